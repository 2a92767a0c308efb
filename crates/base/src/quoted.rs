//! Text out of a file, made safe to print: on one line, without control characters, and cut when it is long.
//!
//! A tensor, a token or a key is called what its file says, and a terminal obeys escapes whoever wrote them.

use std::fmt;

/// A name out of a file, in backticks: what messages print. Escaped and cut as an [`Excerpt`].
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

/// A text that is, or repeats, some of a file: its first 120 characters, with `…` for the rest.
///
/// Line breaks, control characters, characters that change the direction of writing and marks that combine with the
/// one before are spelled as Rust spells them (`\n`, `\u{1b}`); quotes and backslashes stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Excerpt(self.0))
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 120;
        let mut letters = self.0.chars();
        for letter in letters.by_ref().take(LONGEST) {
            match letter {
                '"' | '\'' | '\\' => write!(f, "{letter}")?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        f.write_str(if letters.next().is_some() { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_file_is_printed_on_one_short_line() {
        let cases = [
            ("a.b", "`a.b`"),
            ("", "``"),
            ("naïve 船", "`naïve 船`"),
            ("it's \"C:\\\"", "`it's \"C:\\\"`"),
            ("a\r\nb\t\0", "`a\\r\\nb\\t\\0`"),
            ("\u{1b}[2J\u{9b}0m", "`\\u{1b}[2J\\u{9b}0m`"),
            ("\u{202e}\u{2028}\u{200b}", "`\\u{202e}\\u{2028}\\u{200b}`"),
            ("e\u{301}", "`e\\u{301}`"),
        ];
        for (text, expected) in cases {
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(Excerpt("expected `\"`").to_string(), "expected `\"`");
        assert_eq!(Quoted(&"x".repeat(1000)).to_string(), format!("`{}…`", "x".repeat(120)));
    }
}
