//! Writing to the person: answers to stdout, everything else to stderr, and never a panic when the other end is gone.

use std::io::{self, IsTerminal, Write};

use base::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes to stdout and flushes. A closed pipe is an error like any other, which ends the program quietly enough.
pub fn answer(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Error::io("stdout", &error))
}

/// One JSON object on stdout.
pub fn json(value: &serde_json::Value) -> Result<()> {
    answer(&format!("{value:#}\n"))
}

/// A line on stderr; nobody is told when there is nobody to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Part of a line on stderr, at once.
pub fn aside(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// What went wrong, and what to type next.
pub fn complain(error: &Error) {
    note(&format!("error: {error}"));
    if let Some(next) = error.next_step() {
        note(&format!("try: {next}"));
    }
}

/// A progress bar on a terminal, nothing elsewhere.
pub fn progress(what: &'static str, quiet: bool, template: &str) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}

/// For a count of bytes.
pub const BYTES: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
/// For a count of tokens.
pub const TOKENS: &str = "{msg} [{bar:30}] {pos}/{len} tokens, {eta} left";
/// For a count of answers.
pub const ANSWERS: &str = "{msg} [{bar:30}] {pos}/{len} answers, {eta} left";
