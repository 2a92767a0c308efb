//! GGUF v3, little-endian: reading the header of a file, and writing a file.
//!
//! A file is a magic, a version, two counts, that many metadata entries, that many tensor descriptions, and the
//! tensors' bytes, each tensor at a multiple of `general.alignment`.

pub mod types;
mod value;

mod fields;
mod metadata;

mod header;

pub mod write;

pub use header::{Header, read_header};
pub use metadata::Metadata;
pub use value::{Array, Strings, Value, ValueType};

/// The first four bytes of every GGUF file.
const MAGIC: [u8; 4] = *b"GGUF";
/// The one version that is read and written.
const VERSION: u32 = 3;
/// Where tensors start when the metadata does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The metadata key that says.
const ALIGNMENT_KEY: &str = "general.alignment";
/// The most sizes a tensor can have.
const MAX_DIMENSIONS: usize = 4;
