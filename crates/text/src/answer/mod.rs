//! Answers taken apart as they come: reasoning, content and calls of tools.
//!
//! Every family writes these in its own way. A way is a declaration, an [`AnswerSyntax`]; one parser reads them all.

mod event;
mod syntax;
mod families;
mod lexer;
mod json;
mod schema;
mod envelope;
mod parameters;
mod call;
mod harmony;
mod parser;
mod stops;
mod reader;

pub use event::AnswerEvent;
pub use parser::AnswerParser;
pub use reader::{AnswerOptions, AnswerReader};
pub use schema::function_schema;
pub use stops::StopStrings;
pub use syntax::{AnswerSyntax, Arguments, Around, Calls, Frame, Number, Parameters, Reasoning, Written};
