//! Answers held to a shape: JSON schemas, regular expressions, grammars in Lark's notation, and calls of tools in the
//! model's own syntax.
//!
//! [`Grammars`] knows the tokens of one model; each of its makers answers with a [`tidemill::Constraint`] for a request to
//! carry. The engine underneath is `llguidance`. Nothing here is built before it is asked for: the tree of a model's
//! tokens takes some tens of bytes a token.

#![forbid(unsafe_code)]

mod limits;
mod lark;
mod shape;
mod answers;
mod grammars;
mod tools;

pub use grammars::Grammars;
pub use limits::{LEXER_BYTES, tree_bytes};
pub use tools::ToolChoice;
