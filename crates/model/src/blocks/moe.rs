//! A mixture of experts, streamed.

use std::sync::atomic::AtomicBool;

use backend::{Backend, Expert, Opening, Routing, Tensor, Use, Weight};
use base::{Error, ExpertId, LayerId, Result, TokenId};
use experts::Lease;
use manifest::ExpertMatrix;
use quant::Matrix;
use spec::{Gate, Router};

use super::{Gated, Linear};
use crate::portion::{PORTION, in_portions};
use crate::step::{Guesser, Step, go_on};

pub(crate) struct Moe {
    pub(crate) rule: Router,
    pub(crate) router: Linear,
    pub(crate) bias: Option<Weight>,
    /// The experts of each token, where they hang on it alone: `[vocab, top_k]`.
    pub(crate) table: Option<Vec<ExpertId>>,
    pub(crate) shared: Option<Gated>,
    /// How gate and up of a routed expert meet.
    pub(crate) gate: Gate,
    /// Of gate, up and down: a row for every routed expert.
    pub(crate) biases: Option<[Weight; 3]>,
    /// What the shared experts' answer is scaled by the sigmoid of.
    pub(crate) shared_scale: Option<Weight>,
    /// The width that routed experts work in, where it is not the model's.
    pub(crate) latent: Option<Latent>,
    /// Gate, up and down of every routed expert, as the files spell them.
    pub(crate) matrices: [ExpertMatrix; 3],
    /// The rows of gate and up take turns in one piece.
    pub(crate) alternating: bool,
    /// What these are multiplied with, for each expert; empty when none is.
    pub(crate) factors: Vec<[f32; 3]>,
}

/// Projections to the width that routed experts work in, and from it, and the norm of what they answer together.
pub(crate) struct Latent {
    pub(crate) down: Weight,
    pub(crate) norm: Weight,
    pub(crate) up: Weight,
    pub(crate) eps: f32,
}

/// The router of the next layer with experts, applied to the residual stream as it is before this layer has added to
/// it. What it says is a guess: it starts reads and decides nothing.
pub(crate) struct Ahead<'a> {
    pub(crate) layer: LayerId,
    pub(crate) norm: &'a Weight,
    pub(crate) eps: f32,
    pub(crate) moe: &'a Moe,
    /// `[tokens, hidden]`
    pub(crate) residual: &'a Tensor,
}

/// Rows of a batch up to which all experts that are ready are computed together: each has so few tokens that threads
/// would meet more often than they work.
pub(crate) const TOGETHER_ROWS: usize = 8;

/// Rows of a batch up to which guesses are made. More rows touch so many experts that the drive has no time to spare.
const GUESS_ROWS: usize = 4;

impl Ahead<'_> {
    /// What the layer may ask for, the likeliest first.
    fn experts(
        &self,
        tokens: &[TokenId],
        guesser: Option<Guesser>,
        backend: &dyn Backend,
    ) -> Result<Vec<ExpertId>> {
        let likeliest = match self.moe.experts_of(tokens) {
            Some(certain) => Routing::new(self.moe.rule.top_k, certain, Vec::new()).likeliest(),
            None => {
                let h = backend.rms_norm(self.residual, self.norm, self.eps)?;
                self.moe.route(&h, None, backend)?.likeliest()
            }
        };
        Ok(guesser.map_or(likeliest.clone(), |guesser| guesser(self.moe.router.weight.rows, &likeliest)))
    }
}

impl Moe {
    /// Asks for experts that hang on the tokens alone, so that they are read while the mixer works.
    pub(crate) fn begin(&self, layer: LayerId, step: &mut Step<'_, '_>) -> Result<()> {
        let Some(experts) = self.experts_of(step.tokens) else { return Ok(()) };
        let _request = step.timeline.during("request", layer.0);
        let wanted = Routing::new(self.rule.top_k, experts, Vec::new()).distinct();
        step.experts.request(layer, &wanted)?.set_aside();
        Ok(())
    }

    /// The experts of these tokens, where they hang on them alone.
    fn experts_of(&self, tokens: &[TokenId]) -> Option<Vec<ExpertId>> {
        let (table, top_k) = (self.table.as_ref()?, self.rule.top_k);
        Some(tokens.iter().flat_map(|token| &table[*token as usize * top_k..][..top_k]).copied().collect())
    }

    /// Sends each token to its experts and sums their answers: `[tokens, hidden]` to `[tokens, hidden]`.
    ///
    /// Experts are computed in the order their bytes arrive, each into rows of its own; the rows are summed in rank
    /// order. So the disk decides when, never what.
    pub(crate) fn forward(
        &self,
        layer: LayerId,
        x: &Tensor,
        ahead: Option<Ahead<'_>>,
        step: &mut Step<'_, '_>,
    ) -> Result<Tensor> {
        let (backend, cancel, guesser) = (step.backend, step.cancel, step.guesser);
        let timeline = step.timeline;
        let now = timeline.during("route", layer.0);
        let settled = self.experts_of(step.tokens);
        let begun = settled.is_some();
        let routing = self.route(x, settled, backend)?;
        drop(now);
        let now = timeline.during("request", layer.0);
        let (wanted, mut done) = (routing.distinct(), 0);
        let mut arrivals = match begun {
            true => step.experts.resume(layer).ok_or_else(|| err_not_begun(layer))?,
            false => step.experts.request(layer, &wanted)?,
        };
        drop(now);
        if let Some(ahead) = ahead.filter(|_| x.rows <= GUESS_ROWS)
            && arrivals.wants_forecast(ahead.layer)
        {
            let _ahead = timeline.during("lookahead", ahead.layer.0);
            arrivals.foresee(ahead.layer, &ahead.experts(step.tokens, guesser, backend)?);
        }

        let mut y = self.always(x, backend)?; // while the reads are under way
        let narrow = match &self.latent {
            Some(latent) => {
                let project = &mut |x: &Tensor| backend.matmul(x, &latent.down);
                Some(in_portions(x, latent.down.rows, backend, project)?)
            }
            None => None,
        };
        let x = narrow.as_ref().unwrap_or(x);
        let mut parts = backend.room(x.rows * routing.top_k, x.cols)?;
        loop {
            let leases: Vec<Lease> = match x.rows <= TOGETHER_ROWS {
                true => arrivals.all_ready()?,
                false => arrivals.next_ready()?.into_iter().collect(),
            };
            let Some(first) = leases.first() else { break };
            let _experts = timeline.during("experts", first.expert.0);
            self.compute(&leases, x, &routing, &mut parts, (backend, cancel))?;
            done += leases.len();
            (step.progress)(f64::from(layer.0) + done as f64 / wanted.len() as f64);
        }
        match &self.latent {
            None => backend.combine(&mut y, &parts, &routing)?,
            Some(latent) => {
                let mut sum = backend.tensor(x.rows, x.cols)?;
                backend.combine(&mut sum, &parts, &routing)?;
                backend.add(&mut y, &latent.widen(&sum, backend)?)?;
            }
        }
        Ok(y)
    }

    /// What the shared experts add.
    fn always(&self, x: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        let mut y = match &self.shared {
            Some(shared) => in_portions(x, x.cols, backend, &mut |x| shared.forward(x, backend))?,
            None => backend.tensor(x.rows, x.cols)?,
        };
        if let Some(scale) = &self.shared_scale {
            backend.gate(&mut y, &backend.matmul(x, scale)?, Opening::Sigmoid)?;
        }
        Ok(y)
    }

    /// Computes the experts of these leases, as many at once as there are, each on the tokens that use it.
    fn compute(
        &self,
        leases: &[Lease],
        x: &Tensor,
        routing: &Routing,
        parts: &mut Tensor,
        (backend, cancel): (&dyn Backend, &AtomicBool),
    ) -> Result<()> {
        let uses: Vec<Vec<Use>> = leases.iter().map(|lease| routing.uses(lease.expert)).collect();
        let mut experts = Vec::with_capacity(leases.len());
        for (lease, uses) in leases.iter().zip(&uses) {
            let expert = self.expert(lease)?;
            experts.extend(uses.chunks(PORTION).map(|uses| (expert, uses)));
        }
        for experts in experts.chunks(leases.len()) {
            go_on(cancel)?;
            backend.experts(parts, x, experts)?;
        }
        Ok(())
    }

    fn expert<'a>(&'a self, lease: &'a Lease) -> Result<Expert<'a>> {
        let factors = self.factors.get(lease.expert.0 as usize).copied().unwrap_or([1.0; 3]);
        Ok(Expert {
            id: lease.expert,
            matrices: spell(&self.matrices, self.alternating, factors, lease)?,
            gate: self.gate,
            biases: self.biases.as_ref(),
        })
    }

    /// `settled` are experts that hang on the tokens alone.
    fn route(&self, x: &Tensor, settled: Option<Vec<ExpertId>>, backend: &dyn Backend) -> Result<Routing> {
        let cols = self.router.weight.rows;
        let logits = in_portions(x, cols, backend, &mut |x| self.router.forward(x, backend))?;
        match settled {
            Some(experts) => backend.weigh(&logits, experts, &self.rule),
            None => backend.route(&logits, self.bias.as_ref(), &self.rule),
        }
    }
}

impl Latent {
    /// `[tokens, latent]` to `[tokens, hidden]`.
    fn widen(&self, x: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        in_portions(x, self.up.rows, backend, &mut |x| {
            backend.matmul(&backend.rms_norm(x, &self.norm, self.eps)?, &self.up)
        })
    }
}

fn err_not_begun(layer: LayerId) -> Error {
    Error::corrupt(format!("the experts of layer {} were not asked for", layer.0))
}

/// Gate, up and down in an expert's bytes, with what they are multiplied with; the rows of gate and up may take turns in
/// one piece.
pub(super) fn spell<'a>(
    matrices: &[ExpertMatrix; 3],
    alternating: bool,
    [a, b, c]: [f32; 3],
    lease: &'a Lease,
) -> Result<[Matrix<'a>; 3]> {
    let mut piece = 0;
    let mut next = |matrix: &ExpertMatrix, rows: usize| {
        let values = lease.bytes(piece);
        let scales = if matrix.scaled { lease.bytes(piece + 1) } else { &[] };
        piece += 1 + usize::from(matrix.scaled);
        Matrix::new(matrix.quant, rows, matrix.cols, values, scales)
    };
    let [gate, up, down] = matrices;
    let [gate, up] = match alternating {
        true => next(gate, gate.rows + up.rows)?.alternating(),
        false => [next(gate, gate.rows)?, next(up, up.rows)?],
    };
    Ok([gate.times(a), up.times(b), next(down, down.rows)?.times(c)])
}
