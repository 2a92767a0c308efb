//! Where the bytes of each routed expert lie.

use base::{ExpertKey, Extent, LayerId};

/// The table of contents of the model's routed experts, as the pool needs it.
pub trait Catalogue: Send + Sync {
    /// All decoder layers, dense ones included.
    fn layers(&self) -> u32;

    /// Routed experts of `layer`; 0 for a dense one.
    fn experts(&self, layer: LayerId) -> u32;

    /// The expert's pieces, in the order that [`Lease::bytes`](crate::Lease::bytes) counts them. A piece may be
    /// empty. Asked once for each expert, when the pool is made.
    fn extents(&self, key: ExpertKey) -> Vec<Extent>;
}

/// Every expert of every layer, layer by layer.
pub(crate) fn keys(catalogue: &dyn Catalogue) -> impl Iterator<Item = ExpertKey> {
    (0..catalogue.layers()).flat_map(move |layer| {
        (0..catalogue.experts(LayerId(layer))).map(move |expert| ExpertKey::new(layer, expert))
    })
}
