//! Lines that somebody types, or that come through a pipe.

use std::io::{IsTerminal, Lines, StdinLock};
use std::path::PathBuf;

use base::{Error, Result};
use etcetera::{BaseStrategy, choose_base_strategy};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

/// What was read.
pub enum Line {
    Text(String),
    /// Ctrl-C, with nothing to stop.
    Interrupted,
    End,
}

/// Where lines come from.
pub enum Input {
    /// A person: with editing, a history that is kept, and pastes of several lines.
    Person { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    /// Another program: each line is said, and nothing is printed in between.
    Program(Lines<StdinLock<'static>>),
}

impl Input {
    /// A person if stdin is a terminal.
    pub fn open() -> Result<Self> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self::Program(std::io::stdin().lines()));
        }
        let config = Config::builder().auto_add_history(true).bracketed_paste(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(|error| err_terminal(&error))?;
        let history =
            choose_base_strategy().ok().map(|folders| folders.data_dir().join("tidemill").join("history"));
        if let Some(path) = &history {
            let _ = editor.load_history(path); // there is none the first time
        }
        Ok(Self::Person { editor: Box::new(editor), history })
    }

    /// Whether somebody types.
    pub fn is_person(&self) -> bool {
        matches!(self, Self::Person { .. })
    }

    /// The next line, and those after it as long as each ends in a backslash.
    pub fn read(&mut self) -> Result<Line> {
        let mut text = String::new();
        loop {
            let prompt = if text.is_empty() { "> " } else { "… " };
            match self.line(prompt)? {
                Line::Text(line) => text.push_str(&line),
                other => return Ok(other),
            }
            if !text.ends_with('\\') {
                return Ok(Line::Text(text));
            }
            text.pop();
            text.push('\n');
        }
    }

    fn line(&mut self, prompt: &str) -> Result<Line> {
        match self {
            Self::Person { editor, .. } => match editor.readline(prompt) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(err_terminal(&error)),
            },
            Self::Program(lines) => match lines.next() {
                Some(Ok(line)) => Ok(Line::Text(line)),
                Some(Err(error)) => Err(Error::input(format!("stdin: {error}"))),
                None => Ok(Line::End),
            },
        }
    }

    /// Keeps the history for the next time; a disk that is full is no reason to complain.
    pub fn close(&mut self) {
        if let Self::Person { editor, history: Some(path) } = self {
            let folder = path.parent().map(std::fs::create_dir_all);
            if folder.is_some_and(|made| made.is_ok()) {
                let _ = editor.save_history(path);
            }
        }
    }
}

fn err_terminal(error: &ReadlineError) -> Error {
    Error::input(format!("the terminal cannot be read: {error}"))
}
