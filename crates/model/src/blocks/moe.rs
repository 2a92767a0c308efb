//! A mixture of experts, streamed.

use backend::{Tensor, Weight};
use base::{LayerId, Result};
use experts::Lease;
use manifest::ExpertMatrix;
use quant::Matrix;
use spec::Router;

use super::Gated;
use crate::step::{Step, go_on};

pub(crate) struct Moe {
    pub(crate) rule: Router,
    pub(crate) router: Weight,
    pub(crate) bias: Option<Weight>,
    pub(crate) shared: Option<Gated>,
    /// Gate, up and down of every routed expert, as the files spell them.
    pub(crate) matrices: [ExpertMatrix; 3],
}

impl Moe {
    /// Sends each token to its experts and sums their answers: `[tokens, hidden]` to `[tokens, hidden]`.
    ///
    /// Experts are computed in the order their bytes arrive, each into rows of its own; the rows are summed in rank
    /// order. So the disk decides when, never what.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (backend, cancel) = (step.backend, step.cancel);
        let logits = backend.matmul(x, &self.router)?;
        let routing = backend.route(&logits, self.bias.as_ref(), &self.rule)?;
        let mut arrivals = step.experts.request(layer, &routing.distinct())?;

        let mut y = match &self.shared {
            Some(shared) => shared.forward(x, backend)?, // while the reads are under way
            None => backend.tensor(x.rows, x.cols)?,
        };
        let mut parts = backend.tensor(x.rows * routing.top_k, x.cols)?;
        while let Some(lease) = arrivals.next_ready()? {
            go_on(cancel)?;
            backend.expert(&mut parts, x, &routing.uses(lease.expert), self.spell(&lease)?)?;
        }
        backend.combine(&mut y, &parts, &routing)?;
        Ok(y)
    }

    /// The three matrices in an expert's bytes.
    fn spell<'a>(&self, lease: &'a Lease) -> Result<[Matrix<'a>; 3]> {
        let mut piece = 0;
        let mut next = |matrix: &ExpertMatrix| {
            let values = lease.bytes(piece);
            let scales = if matrix.scaled { lease.bytes(piece + 1) } else { &[] };
            piece += 1 + usize::from(matrix.scaled);
            Matrix::new(matrix.quant, matrix.rows, matrix.cols, values, scales)
        };
        let [gate, up, down] = &self.matrices;
        Ok([next(gate)?, next(up)?, next(down)?])
    }
}
