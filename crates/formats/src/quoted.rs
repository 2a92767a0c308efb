//! Text out of a file, made safe to print: on one line, without control characters, and cut when it is long.

use std::fmt;

/// A name out of a file, in backticks.
pub(crate) struct Quoted<'a>(pub &'a str);

/// A text that may repeat some of a file.
pub(crate) struct Excerpt<'a>(pub &'a str);

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
        assert_eq!(Quoted("a.b").to_string(), "`a.b`");
        assert_eq!(Quoted("a\nb\u{1b}[0m").to_string(), "`a\\nb\\u{1b}[0m`");
        assert_eq!(Excerpt("expected `\"`").to_string(), "expected `\"`");
        assert_eq!(Quoted(&"x".repeat(1000)).to_string().chars().count(), 123);
    }
}
