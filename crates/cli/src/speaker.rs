//! An answer as people see it: what it says on stdout, what it thinks dimmed on stderr, the speed in the title.

use std::io::IsTerminal;
use std::time::Instant;

use base::Result;

use crate::markdown::Markdown;
use crate::session::Piece;
use crate::terminal;

/// Prints one answer.
pub struct Speaker {
    /// Colours instead of marks; `None` where nobody sees them.
    markdown: Option<Markdown>,
    shows_reasoning: bool,
    /// Reasoning was printed last.
    thinking: bool,
    /// When the first piece came, and how many did since; where the title is written.
    pace: Option<(Instant, u32)>,
    has_title: bool,
}

impl Speaker {
    /// Prints what is said as it is.
    pub fn plain(shows_reasoning: bool) -> Self {
        Self { markdown: None, shows_reasoning, thinking: false, pace: None, has_title: false }
    }

    /// Prints Markdown in colours and tells the speed in the title, as far as there is a terminal.
    pub fn for_person(shows_reasoning: bool) -> Self {
        let colours = std::io::stdout().is_terminal() && console::colors_enabled();
        let has_title = std::io::stderr().is_terminal() && console::colors_enabled_stderr();
        Self { markdown: colours.then(Markdown::default), has_title, ..Self::plain(shows_reasoning) }
    }

    /// Prints a piece.
    pub fn say(&mut self, piece: Piece<'_>) -> Result<()> {
        self.tell_pace();
        match piece {
            Piece::Reasoning(text) if self.shows_reasoning => {
                self.thinking = true;
                terminal::aside(&console::style(text).for_stderr().dim().to_string());
                Ok(())
            }
            Piece::Reasoning(_) => Ok(()),
            Piece::Content(text) => {
                self.end_reasoning();
                match &mut self.markdown {
                    Some(markdown) => terminal::answer(&markdown.push(text)),
                    None => terminal::answer(text),
                }
            }
        }
    }

    /// Nothing more comes.
    pub fn finish(&mut self) -> Result<()> {
        self.end_reasoning();
        if self.has_title {
            terminal::aside("\x1b]0;tidemill\x07");
        }
        match &mut self.markdown {
            Some(markdown) => terminal::answer(&markdown.finish()),
            None => Ok(()),
        }
    }

    fn end_reasoning(&mut self) {
        if std::mem::take(&mut self.thinking) {
            terminal::aside("\n\n");
        }
    }

    /// A piece is a token, near enough.
    fn tell_pace(&mut self) {
        let (start, pieces) = self.pace.get_or_insert_with(|| (Instant::now(), 0));
        let seconds = start.elapsed().as_secs_f64();
        if self.has_title && seconds > 0.0 {
            let rate = f64::from(*pieces) / seconds;
            terminal::aside(&format!("\x1b]0;tidemill: {rate:.1} tok/s\x07"));
        }
        *pieces += 1;
    }
}
