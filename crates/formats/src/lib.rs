//! Model files, opened in place: safetensors folders as Hugging Face publishes them, and GGUF v3, single or split.
//!
//! [`open`] reads headers and nothing else: it answers with a [`Checkpoint`], which says what each tensor is and
//! where its bytes lie. It knows file formats and no model: which tensors a model needs, and what they are for, is
//! decided by others. Nothing in a file is believed before it is checked: a length against the bytes that are left,
//! an extent against the size of its file, a name against the names before it.

#![forbid(unsafe_code)]

mod checkpoint;
mod element;
mod file;
pub mod gguf;
mod layout;
mod open;
mod quoted;
pub mod safetensors;

pub use checkpoint::{Checkpoint, Format, MAX_TENSORS, TensorEntry};
pub use element::Element;
pub use open::open;
