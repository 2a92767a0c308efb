//! Tokens and chat: text to the ids a model reads, ids back to text, conversations to prompts.
//!
//! A [`Tokenizer`] is opened from whatever the model ships (`tokenizer.json`, `tiktoken.model`, or the vocabulary
//! inside a GGUF file): byte-level BPE, or the vocabularies of SentencePiece that merge characters; other kinds are refused by
//! name. A [`ChatTemplate`]
//! turns messages into a [`Rendered`] prompt. A [`Detokenizer`] turns ids back into text as they come, whole
//! characters only; an [`AnswerReader`] also takes an answer apart into reasoning, content and calls of tools.
//!
//! One promise holds across the crate: **text from a user never becomes a control token.** [`Tokenizer::encode`]
//! knows no control tokens at all; they enter a prompt only where a chat template wrote them, which
//! [`ChatTemplate::render`] keeps apart from what the messages said, or through [`Tokenizer::encode_trusted`], which is
//! for corpora.

#![forbid(unsafe_code)]

mod byte_level;
mod control;
mod files;
mod normalize;
mod sentence;
mod pretokenize;
mod vocabulary;
mod bpe;
mod detokenize;
mod load;
mod chat;
mod tokenizer;
mod answer;

pub use answer::{
    AnswerEvent, AnswerOptions, AnswerParser, AnswerReader, AnswerSyntax, Arguments, Around, Calls, Frame,
};
pub use answer::{Number, Parameters, Reasoning, StopStrings, Written, function_schema};
pub use chat::{ChatOptions, ChatTemplate, Message, Part, Rendered, ToolCall};
pub use detokenize::Detokenizer;
pub use tokenizer::Tokenizer;
