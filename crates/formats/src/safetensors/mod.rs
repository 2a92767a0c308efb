//! Safetensors: reading the header of a file, and the index of several.
//!
//! A file is a length, that many bytes of JSON saying what each tensor is and where, and the tensors' bytes, which
//! cover the rest of the file exactly.

mod header;
mod index;

pub use header::read_header;
pub(crate) use index::Index;
