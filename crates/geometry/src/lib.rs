//! The sizes of published models without their weights: to plan before a download, and to write stand-ins.
//!
//! A [`Geometry`] is one entry of a table. Its [`Outline`] is the header of the GGUF file such a model comes as: every
//! key and every tensor, as llama.cpp's converter names them. The outline can be planned with as it is, or written out
//! with random weights, which compute as fast as real ones and say nothing.
#![forbid(unsafe_code)]

mod shape;
mod table;
mod random;
mod popularity;
mod fillings;
mod tensors;
mod vocabulary;
mod metadata;
mod outline;

pub use outline::{Choice, Outline};
pub use shape::{
    Alternating, Biases, Compressed, Control, Geometry, Grouped, Indexer, Kimi, Latent, Mixer, Moe, Norms,
    Rope, Shared, Text, Third, Yarn,
};
pub use table::{ALL, by_name};
