//! Run Mixture-of-Experts models far larger than memory.
//!
//! What every token needs stays in memory; the experts stay on the drive and are read as the router calls them. Files
//! are opened as they were published: a GGUF file, or a folder of safetensors.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tidemill::{ByteSize, Engine, Opened, Options, Request, demo};
//!
//! # fn main() -> tidemill::Result<()> {
//! // Any model's path will do; this one ships with the crate.
//! let path = demo::unpack(&std::env::temp_dir().join("tidemill-example"))?;
//!
//! // Headers first: the tokenizer, and whether the model fits.
//! let opened = Opened::read(&path)?;
//! let tokenizer = opened.tokenizer()?;
//! let options = Options { memory: Some(ByteSize(64 << 20)), context: Some(64), ..Options::default() };
//! let plan = opened.plan(&options)?;
//! assert!(plan.total() <= 64 << 20);
//!
//! // Then the weights that every token needs. Experts are read when they are called for.
//! let mut engine = Engine::load(opened, plan, &options, &mut |_done, _total| {})?;
//! let tokens = tokenizer.encode_prompt("Once upon a time, there was a little")?;
//! let request = Request { tokens, max_tokens: 6, ..Request::default() };
//! let mut detokenizer = tokenizer.detokenizer();
//! let mut story = String::new();
//! engine.generate(request, &mut |token| {
//!     story += &detokenizer.push(token);
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(story, " girl named Lily. She loved");
//! assert!(engine.pool_stats().bytes_read > 0);
//! # Ok(())
//! # }
//! ```
//!
//! A server gives the engine any number of requests with [`Engine::submit`] and calls [`Engine::step`] as long as
//! there is something to do: each step takes one token of every sequence that generates and chunks of the prompts that
//! wait, and reads each expert once for all of them.
//!
//! The types that carry the crate: [`Opened`] (what headers tell), [`MemoryPlan`] (where the budget goes), [`Engine`]
//! (the loaded model and its loop).
#![forbid(unsafe_code)]

pub mod machine;
mod options;
mod plan;
mod opened;
mod sampling;
mod sampler;
mod constraint;
mod logprobs;
mod choice;
mod sequence;
mod stats;
mod drive;
mod governor;
mod engine;
mod prompts;
pub mod demo;

pub use backend::{Activations, Isa};
pub use base::{ByteSize, Error, Kind, Result, TokenId};
pub use constraint::Constraint;
pub use engine::{Each, Engine, Progress};
pub use experts::Lookahead;
pub use kv::{Beginnings, Precision, Saving};
pub use logprobs::Logprobs;
pub use manifest::MultiplyAdds;
pub use opened::{Opened, Traffic};
pub use options::{IoMode, Options};
pub use plan::{Demand, MemoryPlan, Sizes};
pub use prompts::{Complete, PROMPT_MIN, Prompts, Writing};
pub use sampler::{Sampler, likeliest};
pub use sampling::{REPEAT_WINDOW, Sampling};
pub use sequence::{Event, Finish, Request, SequenceId};
pub use stats::{StepReport, Totals};
