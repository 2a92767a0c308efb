//! Text cut at marks, however it arrives: what might be the beginning of a mark waits until it is known.

/// What the text begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// Text without a mark in it.
    Text(String),
    /// The mark of this place in the list.
    Mark(usize),
}

/// Text that is not read yet.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    text: String,
}

impl Lexer {
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Puts back what was read too early.
    pub fn put_back(&mut self, text: &str) {
        self.text.insert_str(0, text);
    }

    /// The next text or mark. `ends` says that no text will follow what there is, so that nothing is worth waiting for.
    /// `None` until there is more.
    pub fn next(&mut self, marks: &[&str], ends: bool) -> Option<Lexeme> {
        let found = marks.iter().enumerate().filter_map(|(at, mark)| Some((self.text.find(mark)?, at)));
        // Of two marks in one place neither is the beginning of the other, so there is only one.
        if let Some((start, at)) = found.min() {
            if start > 0 {
                return Some(Lexeme::Text(self.text.drain(..start).collect()));
            }
            self.text.drain(..marks[at].len());
            return Some(Lexeme::Mark(at));
        }
        let waiting = if ends { 0 } else { begun(&self.text, marks) };
        let ready = self.text.len() - waiting;
        (ready > 0).then(|| Lexeme::Text(self.text.drain(..ready).collect()))
    }
}

/// How many bytes at the end of `text` may be the beginning of one of `marks`.
fn begun(text: &str, marks: &[&str]) -> usize {
    let longest = marks.iter().map(|mark| mark.len()).max().unwrap_or(0).saturating_sub(1);
    let from = text.len().saturating_sub(longest);
    let starts = (from..text.len()).filter(|start| text.is_char_boundary(*start));
    let mut waiting = starts.filter(|start| marks.iter().any(|mark| mark.starts_with(&text[*start..])));
    waiting.next().map_or(0, |start| text.len() - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_the_text_is_cut() {
        let (text, marks) = ("a<b><bc</b>é<", ["<b>", "</b>"]);
        let read = |pieces: &[&str]| {
            let (mut lexer, mut found) = (Lexer::default(), String::new());
            let mut next = |lexer: &mut Lexer, ends| {
                while let Some(lexeme) = lexer.next(&marks, ends) {
                    match lexeme {
                        Lexeme::Text(text) => found.push_str(&text),
                        Lexeme::Mark(at) => found.push_str(["[", "]"][at]),
                    }
                }
            };
            for piece in pieces {
                lexer.push(piece);
                next(&mut lexer, false);
            }
            next(&mut lexer, true);
            found
        };
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            assert_eq!(read(&[&text[..cut], &text[cut..]]), "a[<bc]é<", "cut at {cut}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_mark_waits() {
        let mut lexer = Lexer::default();
        lexer.push("abc <|im");
        assert_eq!(lexer.next(&["<|im_end|>"], false), Some(Lexeme::Text("abc ".into())));
        assert_eq!(lexer.next(&["<|im_end|>"], false), None);
        lexer.push("age");
        assert_eq!(lexer.next(&["<|im_end|>"], false), Some(Lexeme::Text("<|image".into())));
    }
}
