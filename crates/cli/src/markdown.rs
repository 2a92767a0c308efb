//! Markdown as it streams in: bold, code, headings and lists for a terminal, letter by letter.
//!
//! At a few tokens a second nobody wants to wait for the end of a line, so what can be shown is shown at once; only the letters
//! that may be a mark wait for the next one. What is no mark stays as it was written.

/// Turns text into text with the terminal's own colours.
#[derive(Debug, Default)]
pub struct Markdown {
    /// What may be a mark: asterisks, backticks, and all at the start of a line that may be one.
    waiting: String,
    /// Whether a line has begun.
    within_line: bool,
    /// Within a block of code, and the line that began or ends it.
    block: bool,
    bold: bool,
    code: bool,
    heading: bool,
    /// The rest of the line names the language of a block.
    naming: bool,
}

const BOLD: &str = "\x1b[1m";
const CODE: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// What a line may begin with and mean something.
const LINE_MARKS: [&str; 9] = ["```", "# ", "## ", "### ", "#### ", "##### ", "###### ", "- ", "* "];

impl Markdown {
    /// What can be shown once `text` has come.
    pub fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        for letter in text.chars() {
            self.letter(letter, &mut out);
        }
        out
    }

    /// What is left at the end, and the terminal as it was.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.release(&mut out);
        self.release(&mut out);
        let styled = self.bold || self.code || self.heading || self.block || self.naming;
        *self = Self::default();
        if styled { out + PLAIN } else { out }
    }

    fn letter(&mut self, letter: char, out: &mut String) {
        if self.waits_for(letter) {
            self.waiting.push(letter);
            return;
        }
        self.release(out);
        if self.waits_for(letter) {
            self.waiting.push(letter);
            return;
        }
        self.release(out);
        if letter == '\n' {
            self.end_line(out);
        } else {
            self.within_line = true;
            out.push(letter);
        }
    }

    /// Whether `letter` may go on a mark that has begun, or begin one.
    fn waits_for(&self, letter: char) -> bool {
        let longer = format!("{}{letter}", self.waiting);
        if !self.within_line {
            let may_be = |mark: &str| mark.starts_with(longer.trim_start_matches(' '));
            let indented = longer.trim_start_matches(' ').is_empty() && longer.len() < 8;
            return !self.naming && (indented || LINE_MARKS.iter().any(|mark| may_be(mark)));
        }
        !self.block && (longer == "*" || longer == "**" || longer == "`")
    }

    /// Shows what waited, as the mark that it is or as the text that it is.
    fn release(&mut self, out: &mut String) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        if !self.within_line {
            self.within_line = true;
            return self.line_mark(&waiting, out);
        }
        match waiting.as_str() {
            "**" if !self.code => self.bold = !self.bold,
            "`" => self.code = !self.code,
            text => return out.push_str(text),
        }
        self.style(out);
    }

    fn line_mark(&mut self, waiting: &str, out: &mut String) {
        let mark = waiting.trim_start_matches(' ');
        let indent = &waiting[..waiting.len() - mark.len()];
        match mark {
            "```" => {
                self.block = !self.block;
                self.naming = true;
                out.push_str(DIM);
                out.push_str(waiting);
            }
            _ if self.block => out.push_str(waiting),
            "- " | "* " => out.push_str(&format!("{indent}• ")),
            mark if mark.starts_with('#') && mark.ends_with(' ') => {
                self.heading = true;
                self.style(out);
            }
            // No line begins so, but bold text or code may.
            "*" | "`" => {
                out.push_str(indent);
                self.waiting = mark.to_owned();
            }
            _ => out.push_str(waiting),
        }
    }

    fn end_line(&mut self, out: &mut String) {
        if self.heading || self.naming {
            (self.heading, self.naming) = (false, false);
            self.style(out);
        }
        self.within_line = false;
        out.push('\n');
    }

    /// Writes the colours that hold from here on.
    fn style(&self, out: &mut String) {
        out.push_str(PLAIN);
        if self.bold || self.heading {
            out.push_str(BOLD);
        }
        if self.code || self.block {
            out.push_str(CODE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours as letters: B bold, C code, D dim, / plain.
    fn shown(pieces: &[&str]) -> String {
        let mut markdown = Markdown::default();
        let mut out: String = pieces.iter().map(|piece| markdown.push(piece)).collect();
        out += &markdown.finish();
        [(BOLD, "{B}"), (CODE, "{C}"), (DIM, "{D}"), (PLAIN, "{/}")]
            .iter()
            .fold(out, |out, (code, name)| out.replace(code, name))
    }

    #[test]
    fn marks_become_colours_wherever_they_are_cut() {
        for (text, expected) in [
            ("plain text, 2 * 3 * 4", "plain text, 2 * 3 * 4"),
            ("a **bold** word", "a {/}{B}bold{/} word"),
            ("**b** a", "{/}{B}b{/} a"),
            ("use `a * b` here", "use {/}{C}a * b{/} here"),
            ("# Head\ntext", "{/}{B}Head{/}\ntext"),
            ("- one\n  * two\n-three", "• one\n  • two\n-three"),
            ("```rust\nlet **x**;\n- y\n```\nend", "{D}```rust{/}{C}\nlet **x**;\n- y\n{D}```{/}\nend"),
            ("#tag and `open", "#tag and {/}{C}open{/}"),
            ("a\n\n    deep\n", "a\n\n    deep\n"),
        ] {
            assert_eq!(shown(&[text]), expected, "{text:?}");
            for (cut, _) in text.char_indices() {
                assert_eq!(shown(&[&text[..cut], &text[cut..]]), expected, "{text:?} cut at {cut}");
            }
        }
    }
}
