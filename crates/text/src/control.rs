//! Tokens that are written out in text: finding them, and telling those that steer the model from mere words.
//!
//! Which tokens steer the model is more than what vocabularies call "special". DeepSeek marks `<｜User｜>` as not
//! special, Qwen `<think>` and `<tool_call>`: the mark says whether decoding hides a token, not whether text may turn
//! into it. So every token that was added to a vocabulary counts as control unless it is made of letters, digits and
//! spaces only, as added words and runs of indentation are.

use std::collections::BTreeMap;

use base::TokenId;

/// Whether an added token of this spelling steers the model. `special` is the vocabulary's own mark.
pub(crate) fn is_control(text: &str, special: bool) -> bool {
    special || text.chars().any(|letter| !letter.is_alphanumeric() && !letter.is_whitespace())
}

/// A token that is recognised by its spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub id: TokenId,
    pub text: String,
    /// Swallows the white space before it.
    pub strips_left: bool,
    /// Swallows the white space after it.
    pub strips_right: bool,
    /// Is recognised only between characters that are not part of a word.
    pub single_word: bool,
}

impl Literal {
    /// A token that is recognised anywhere and swallows nothing.
    pub fn plain(id: TokenId, text: &str) -> Self {
        Self { id, text: text.to_owned(), strips_left: false, strips_right: false, single_word: false }
    }
}

/// A set of literals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Literals {
    /// By first character, the longest first.
    by_first: BTreeMap<char, Vec<Literal>>,
}

/// A stretch of a text.
pub(crate) enum Piece<'l, 't> {
    Literal(&'l Literal),
    Text(&'t str),
}

/// A literal in a text.
struct Found<'l> {
    literal: &'l Literal,
    /// Where it starts, swallowed space included.
    start: usize,
    /// Where the text goes on.
    end: usize,
}

impl Literals {
    /// The set of `literals`; empty ones are left out, as nothing can be recognised by them.
    pub fn new(literals: impl IntoIterator<Item = Literal>) -> Self {
        let mut by_first: BTreeMap<char, Vec<Literal>> = BTreeMap::new();
        for literal in literals {
            if let Some(first) = literal.text.chars().next() {
                by_first.entry(first).or_default().push(literal);
            }
        }
        for group in by_first.values_mut() {
            group.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        }
        Self { by_first }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Literal> {
        self.by_first.values().flatten()
    }

    /// The literal of exactly this spelling.
    pub fn get(&self, text: &str) -> Option<&Literal> {
        self.by_first.get(&text.chars().next()?)?.iter().find(|literal| literal.text == text)
    }

    /// `text` from start to end: literals, and what lies between them.
    pub fn split<'t>(&self, text: &'t str) -> Vec<Piece<'_, 't>> {
        let mut pieces = Vec::new();
        let mut done = 0;
        while let Some(found) = self.find(text, done) {
            pieces.push(Piece::Text(&text[done..found.start]));
            pieces.push(Piece::Literal(found.literal));
            done = found.end;
        }
        pieces.push(Piece::Text(&text[done..]));
        pieces.retain(|piece| !matches!(piece, Piece::Text("")));
        pieces
    }

    /// The first literal in `text` at or after `from`, the longest where several start.
    fn find(&self, text: &str, from: usize) -> Option<Found<'_>> {
        if self.by_first.is_empty() {
            return None;
        }
        let mut places = text[from..].char_indices();
        places.find_map(|(offset, first)| {
            let start = from + offset;
            let here =
                self.by_first.get(&first)?.iter().find(|literal| text[start..].starts_with(&literal.text))?;
            here.in_context(text, from, start)
        })
    }
}

impl Literal {
    /// This literal at `start` of a text of which everything before `from` is taken.
    fn in_context(&self, text: &str, from: usize, start: usize) -> Option<Found<'_>> {
        let (before, after) = (&text[from..start], &text[start + self.text.len()..]);
        if self.single_word && (before.ends_with(is_word) || after.starts_with(is_word)) {
            return None;
        }
        // Not looked at unless it matters: a run of ten thousand indentations would be read as often.
        let space_before = || before.len() - before.trim_end().len();
        let space_after = || after.len() - after.trim_start().len();
        Some(Found {
            literal: self,
            start: start - if self.strips_left { space_before() } else { 0 },
            end: text.len() - after.len() + if self.strips_right { space_after() } else { 0 },
        })
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_words_and_indentation_are_text_and_the_rest_is_control() {
        for (text, special, expected) in [
            ("<think>", false, true),
            ("<｜User｜>", false, true),
            ("[gMASK]", true, true),
            ("]~b]", true, true),
            ("pad", true, true),
            ("    ", false, false),
            ("\n\n", false, false),
            ("Covid19", false, false),
        ] {
            assert_eq!(is_control(text, special), expected, "{text:?}");
        }
    }

    #[test]
    fn the_first_and_longest_literal_is_found() {
        let strip = Literal { strips_left: true, strips_right: true, ..Literal::plain(3, "<m>") };
        let word = Literal { single_word: true, ..Literal::plain(4, "ab") };
        let literals = Literals::new([Literal::plain(1, "<a"), Literal::plain(2, "<a>"), strip, word]);
        let cases = [
            ("x<a>y", 0, Some((2, 1, 4))),
            ("x<a y", 0, Some((1, 1, 3))),
            ("x<a y<a>", 3, Some((2, 5, 8))),
            ("x  <m>  y", 0, Some((3, 1, 8))),
            ("x  <m>  y", 2, Some((3, 2, 8))),
            ("cab ab", 0, Some((4, 4, 6))),
            ("nothing < here", 0, None),
        ];
        for (text, from, expected) in cases {
            let found = literals.find(text, from).map(|found| (found.literal.id, found.start, found.end));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
