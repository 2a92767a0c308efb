//! A prompt, with its control tokens told apart from its text.

use base::TokenId;

/// A rendered conversation: what [`crate::Tokenizer::encode_rendered`] turns into ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt from its start to its end.
    pub parts: Vec<Part>,
}

/// A stretch of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A control token that the template wrote.
    Control {
        /// Its id.
        id: TokenId,
        /// Its spelling.
        text: String,
    },
    /// Text, from the template or from a message; it holds no control tokens, whatever it looks like.
    Text(String),
}

impl Part {
    /// What it looks like.
    pub fn text(&self) -> &str {
        match self {
            Self::Control { text, .. } | Self::Text(text) => text,
        }
    }
}

impl Rendered {
    /// What the prompt looks like. To be read, not to be encoded: here a control token and its spelling in a message
    /// are the same.
    pub fn text(&self) -> String {
        self.parts.iter().map(Part::text).collect()
    }
}
