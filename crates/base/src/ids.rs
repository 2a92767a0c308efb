//! Which layer, which expert, which token.

use std::fmt;

/// A token of the model's vocabulary.
pub type TokenId = u32;

/// A decoder layer, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub u32);

/// A routed expert within its layer, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpertId(pub u32);

/// One routed expert of one layer: what the expert pool holds and the disk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpertKey {
    /// The decoder layer.
    pub layer: LayerId,
    /// The expert within it.
    pub expert: ExpertId,
}

impl ExpertKey {
    /// Expert `expert` of layer `layer`.
    pub fn new(layer: u32, expert: u32) -> Self {
        Self { layer: LayerId(layer), expert: ExpertId(expert) }
    }
}

impl fmt::Display for ExpertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expert {} of layer {}", self.expert.0, self.layer.0)
    }
}
