//! Run Mixture-of-Experts models far larger than memory.
//!
//! What every token needs stays in memory; the experts stay on the drive and are read as the router calls them.
#![forbid(unsafe_code)]

pub mod machine;
mod options;
mod plan;
mod opened;
mod sampler;
mod sequence;
mod stats;
mod engine;
pub mod demo;

pub use base::{ByteSize, Error, Kind, Result, TokenId};
pub use engine::{Each, Engine};
pub use opened::{Opened, Traffic};
pub use options::{IoMode, Options};
pub use plan::{Demand, MemoryPlan};
pub use sampler::{REPEAT_WINDOW, Sampler, Sampling, likeliest};
pub use sequence::{Event, Finish, Request, SequenceId};
pub use stats::{StepReport, Totals};
