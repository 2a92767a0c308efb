//! Text out of a file, made safe to print in an error.

use std::fmt::Write;

/// A vocabulary entry for an error message: quoted, on one line, and cut when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut letters = text.chars();
    let mut quoted = String::from("`");
    for letter in letters.by_ref().take(LONGEST) {
        let _ = write!(quoted, "{}", letter.escape_debug());
    }
    quoted.push_str(if letters.next().is_some() { "…`" } else { "`" });
    quoted
}
