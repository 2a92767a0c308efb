//! What models are, on paper: layers and their sizes, the roles weights play, and the families that declare them.
//!
//! A family is a declaration: how to read its configuration, and what its tensors are called. Names and brands end
//! here; what runs knows only blocks.
#![forbid(unsafe_code)]

mod config;
mod model;
mod role;
mod names;
mod check;
pub mod families;

pub use config::Config;
pub use families::Family;
pub use model::{
    Bands, BlockResiduals, Compressed, Compressor, DeltaNet, Ffn, Gate, Gqa, GroupScore, Groups, HeadNorm,
    Indexer, KeySharing, KimiDelta, LayerSpec, Mixer, Mla, ModelSpec, Moe, Rope, RopePairs, Router, Scope,
    Score, Streams, Stretch, Yarn,
};
pub use names::{Claim, Names, Skip};
pub use role::{ExpertPart, LayerWeight, Role, Slot};
