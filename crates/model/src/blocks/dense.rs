//! A gated feed-forward network: `down (join(gate x, up x))`.

use backend::{Backend, Tensor, Weight};
use base::Result;
use spec::Gate;

pub(crate) struct Gated {
    pub(crate) gate: Weight,
    pub(crate) up: Weight,
    pub(crate) down: Weight,
    /// How gate and up meet.
    pub(crate) join: Gate,
}

impl Gated {
    pub(crate) fn forward(&self, x: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        backend.gated(x, [&self.gate, &self.up, &self.down], self.join)
    }
}
