//! Model files, opened in place: safetensors folders as Hugging Face publishes them, and GGUF v3, single or split.
//!
//! [`open`] reads headers and nothing else: it answers with a [`Checkpoint`], which says what each tensor is and
//! where its bytes lie. It knows file formats and no model: which tensors a model needs, and what they are for, is
//! decided by others. Nothing in a file is believed before it is checked: a length against the bytes that are left,
//! an extent against the size of its file, a name against the names before it.

#![forbid(unsafe_code)]

// In reading order: a module uses only those above it.
mod element;
mod file;

mod tensor;

mod layout;

pub mod gguf;
pub mod safetensors;

mod checkpoint;

mod open;

pub use checkpoint::{Checkpoint, Format};
pub use element::Element;
pub use open::open;
pub use tensor::{MAX_TENSORS, TensorEntry};
