//! Conversations to prompts: messages in, a prompt out in which what the template wrote and what the messages said
//! can still be told apart.

mod guard;
mod json;
mod python;
mod functions;
mod message;
mod rendered;
mod source;
mod template;

pub use message::{ChatOptions, Message, ToolCall};
pub use rendered::{Part, Rendered};
pub use template::ChatTemplate;
pub(crate) use template::turn_ends;
