//! One error type: a kind callers branch on, one sentence, where it happened, and what to type next.

use std::fmt;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure this is; the only thing callers branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller asked for something that makes no sense: a bad flag, an empty prompt, a missing file.
    Input,
    /// The input is well formed, but this engine does not implement it.
    Unsupported,
    /// A file contradicts itself or its format.
    Corrupt,
    /// The memory budget cannot hold what was asked.
    Budget,
    /// The operating system failed a read, a write or an allocation.
    Io,
    /// The caller cancelled the work.
    Cancelled,
}

/// A failure, told so that a person can act on it.
///
/// Prints as `where: what`, outermost context first. `hint` is the next command to type, if there is one.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    context: Vec<String>,
    hint: Option<String>,
}

impl Error {
    /// An error of `kind`; `message` is one lower-case sentence: what was found and what was expected.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), hint: None }
    }

    /// [`Kind::Input`].
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// [`Kind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// [`Kind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// [`Kind::Budget`].
    pub fn budget(message: impl Into<String>) -> Self {
        Self::new(Kind::Budget, message)
    }

    /// [`Kind::Io`], from the operating system's own error.
    pub fn io(doing: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Kind::Io, format!("{doing}: {error}"))
    }

    /// [`Kind::Cancelled`].
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "cancelled")
    }

    /// Says where it happened (a file, a layer, a tensor); call from the inside out.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.context.push(place.to_string());
        self
    }

    /// Adds the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next command to type, if there is one.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.context.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Adds where to a failing `Result`.
pub trait Context<T> {
    /// Says where it happened; `place` is only built on failure.
    fn within<P: fmt::Display>(self, place: impl FnOnce() -> P) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn within<P: fmt::Display>(self, place: impl FnOnce() -> P) -> Result<T> {
        self.map_err(|error| error.within(place()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outside_in() {
        let result: Result<()> = Err(Error::corrupt("offset 7 lies past the end").within("tensor a.b"));
        let error = result.within(|| "model.gguf").unwrap_err().hint("tidemill inspect model.gguf");
        assert_eq!(error.to_string(), "model.gguf: tensor a.b: offset 7 lies past the end");
        assert_eq!(error.kind(), Kind::Corrupt);
        assert_eq!(error.next_step(), Some("tidemill inspect model.gguf"));
    }
}
