//! Safetensors: a folder with `config.json` and one file of tensors, or several and an index of them.
//!
//! A file is a length, that many bytes of JSON saying what each tensor is and where, and the tensors' bytes, which
//! cover the rest of the file exactly.

mod folder;
mod header;
mod index;

pub(crate) use folder::{holds_model, open};
pub use header::read_header;
