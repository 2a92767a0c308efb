//! The manifest, as the expert pool asks it.

use std::sync::Arc;

use base::{ExpertKey, Extent, LayerId};
use experts::Catalogue;
use manifest::Manifest;

/// Where the routed experts of an opened model lie.
pub struct ManifestCatalogue(pub Arc<Manifest>);

impl Catalogue for ManifestCatalogue {
    fn layers(&self) -> u32 {
        self.0.spec.layers.len() as u32
    }

    fn experts(&self, layer: LayerId) -> u32 {
        self.0.experts(layer).map_or(0, |experts| experts.count() as u32)
    }

    fn extents(&self, key: ExpertKey) -> Vec<Extent> {
        self.0.experts(key.layer).map_or(Vec::new(), |experts| experts.extents(key.expert).to_vec())
    }
}
