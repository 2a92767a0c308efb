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

/// What [`ALIGNMENT_KEY`] says, or the default; else a sentence, whose kind is for the reader or the writer to say.
///
/// The specification asks for a multiple of 8, GGML for a power of two. Up to 4 GiB, so that aligning an offset within
/// a file cannot overflow.
fn check_alignment(bytes: Option<u64>) -> Result<u64, String> {
    match bytes {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(bytes) if bytes.is_power_of_two() && (8..=1 << 32).contains(&bytes) => Ok(bytes),
        Some(bytes) => Err(format!("{ALIGNMENT_KEY} is {bytes}, expected a power of two from 8 to 2^32")),
    }
}
