//! The arithmetic of a transformer, in terms of a [`Backend`](backend::Backend)'s verbs and an
//! [`ExpertPool`](experts::ExpertPool)'s leases.
//!
//! [`Decoder::forward`] takes a batch of sequences, each with a prompt's chunk or a single token, through every layer.
//! No block does I/O, and none learns where an expert came from.
#![forbid(unsafe_code)]

mod embedding;
mod catalogue;
mod portion;
mod stream;
mod step;
mod blocks;
mod decoder;
mod load;
mod scratch;

pub use backend::Form;
pub use catalogue::ManifestCatalogue;
pub use decoder::{Decoder, Emit};
pub use embedding::RowSource;
pub use load::{ReadExact, load};
pub use scratch::{PassSize, scratch_bytes};
pub use step::{Entry, Guesser, Logits};
