//! What models are, on paper: layers and their sizes, the roles weights play, and the families that declare them.
//!
//! A family is a declaration: how to read its configuration, and what its tensors are called. Names and brands end
//! here; what runs knows only blocks.
#![forbid(unsafe_code)]

mod config;
mod rope;
mod mixer;
mod ffn;
mod model;
mod role;
mod names;
mod check;
pub mod families;

pub use config::Config;
pub use families::Family;
pub use ffn::{Ffn, Gate, GroupScore, Groups, Moe, Router, Score};
pub use mixer::{
    Compressed, Compressor, DeltaNet, Gqa, HeadNorm, Indexer, KeySharing, KimiDelta, Mixer, Mla, Scope,
};
pub use model::{BlockResiduals, LayerSpec, ModelSpec, Streams};
pub use names::{Claim, Names, Skip};
pub use role::{ExpertPart, LayerWeight, Role, Slot};
pub use rope::{Bands, Rope, RopePairs, Stretch, Yarn};
