//! The channels of gpt-oss: every message has a header that says where it goes.

use super::call::Call;

/// The longest header.
pub(super) const MAX_HEADER_BYTES: usize = 1024;

/// Where a message goes.
#[derive(Debug)]
pub(super) enum Message {
    Reasoning,
    Content,
    Call(Box<Call>),
}

impl Message {
    /// By its header: what was written before `<|message|>`, marks included.
    pub fn of(header: &str) -> Self {
        let word_after = |mark: &str| {
            let rest = &header[header.find(mark)? + mark.len()..];
            let end = rest.find(|letter: char| letter.is_whitespace() || letter == '<').unwrap_or(rest.len());
            Some(&rest[..end])
        };
        match (word_after("to="), word_after("<|channel|>")) {
            (Some(recipient), _) if recipient.starts_with("functions.") => {
                Self::Call(Box::new(Call::of(&recipient["functions.".len()..], header)))
            }
            // Tools built into the model, which nobody asked for, are its own business.
            (Some(_), _) | (None, Some("analysis")) => Self::Reasoning,
            _ => Self::Content,
        }
    }
}
