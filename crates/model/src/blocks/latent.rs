//! Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1), of all tokens or of those that an indexer
//! chooses.

use backend::{Backend, Form, Heads, LatentQuery, LatentUp, Opening, Span, Tensor, Weight};
use base::{LayerId, Result};
use spec::Mla;

use super::Indexer;
use crate::step::Step;

pub(crate) struct LatentAttention {
    pub(crate) mla: Mla,
    /// Through it go queries where they are projected in two steps.
    pub(crate) low_rank: Option<LowRank>,
    /// The projection of queries, or its second step.
    pub(crate) queries: Weight,
    pub(crate) latent_down: Weight,
    pub(crate) latent_norm: Weight,
    pub(crate) latent_up: LatentUp,
    pub(crate) chooses: Chooses,
    /// Gates of the answers, where they have some.
    pub(crate) gate: Option<Weight>,
    pub(crate) out: Weight,
}

/// The first step of the query projection, and the norm between the two.
pub(crate) struct LowRank {
    pub(crate) down: Weight,
    pub(crate) norm: Weight,
}

/// What tells which tokens are attended to.
pub(crate) enum Chooses {
    /// Nothing: all are.
    Nothing,
    Indexer(Box<Indexer>),
    /// The last indexer of a layer before.
    Former,
}

impl LatentAttention {
    /// `[tokens, hidden]` to `[tokens, hidden]`; what the sequences keep of these tokens is written on the way.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (mla, backend) = (&self.mla, step.backend);
        let low = match &self.low_rank {
            Some(low_rank) => Some(low_rank.forward(x, backend, mla.rank_eps)?),
            None => None,
        };
        let low = low.as_ref().unwrap_or(x);
        let mut q = backend.matmul(low, &self.queries)?;
        if mla.rope.is_some() {
            let heads = Heads { count: mla.heads, width: mla.head(), offset: mla.nope };
            backend.rotate(&mut q, heads, step.rotation())?;
        }

        let rows = self.rows(x, step)?;
        let index = layer.0 as usize;
        for (entry, span) in step.entries.iter_mut().zip(&step.spans).filter(|(_, span)| !span.is_empty()) {
            entry.kv.write(backend, index, &rows, span.rows.clone(), span.start)?;
        }
        self.choose(index, x, low, step)?;

        let mut out = backend.tensor(x.rows, mla.heads * mla.value)?;
        for (i, span) in step.spans.iter().enumerate().filter(|(_, span)| !span.is_empty()) {
            let entry = &step.entries[i];
            let form = step.form.unwrap_or(Form::cheaper(mla, &entry.prompt));
            let (up, kv) = (&self.latent_up, entry.kv.rows(index));
            let chosen = match self.chooses {
                Chooses::Nothing => None,
                Chooses::Indexer(_) | Chooses::Former => step.chosen[i].as_ref(),
            };
            backend.latent_attention(&LatentQuery { mla, up, form, q: &q, span, kv, chosen }, &mut out)?;
        }
        if let Some(gate) = &self.gate {
            backend.gate(&mut out, &backend.matmul(x, gate)?, Opening::Sigmoid)?;
        }
        backend.matmul(&out, &self.out)
    }

    /// The latent row and the one rotated key that all heads share, side by side as the KV cache keeps them; and behind
    /// them the key of the indexer, where there is one.
    fn rows(&self, x: &Tensor, step: &Step<'_, '_>) -> Result<Tensor> {
        let (mla, backend) = (&self.mla, step.backend);
        let mut rows = backend.matmul(x, &self.latent_down)?;
        let whole = Heads { count: 1, width: mla.row(), offset: 0 };
        backend.rms_norm_heads(&mut rows, whole, &self.latent_norm, mla.rank_eps)?;
        if mla.rope.is_some() {
            backend.rotate(&mut rows, Heads { offset: mla.latent, ..whole }, step.rotation())?;
        }
        let Chooses::Indexer(indexer) = &self.chooses else { return Ok(rows) };

        let keys = indexer.keys(x, backend, step.rotation())?;
        let mut both = backend.tensor(x.rows, mla.cached())?;
        let wide = Heads { count: 1, width: mla.cached(), offset: 0 };
        backend.copy_heads(&rows, whole, &mut both, wide, mla.row())?;
        let narrow = Heads { count: 1, width: keys.cols, offset: 0 };
        backend.copy_heads(&keys, narrow, &mut both, Heads { offset: mla.row(), ..wide }, keys.cols)?;
        Ok(both)
    }

    /// Has the indexer, where this layer has one, choose for those sequences that see more than it chooses.
    fn choose(&self, index: usize, x: &Tensor, low: &Tensor, step: &mut Step<'_, '_>) -> Result<()> {
        let (Chooses::Indexer(indexer), backend) = (&self.chooses, step.backend) else { return Ok(()) };
        let long = |span: &Span| !span.is_empty() && span.len() > indexer.sizes.top_k;
        step.chosen.clear();
        if !step.spans.iter().any(long) {
            step.chosen.resize_with(step.spans.len(), || None);
            return Ok(());
        }
        let asked = indexer.questions(x, low, backend, step.rotation())?;
        for (entry, span) in step.entries.iter().zip(&step.spans) {
            let kv = || (entry.kv.rows(index), self.mla.row());
            let chosen = if long(span) { Some(indexer.choose(&asked, span, kv(), backend)?) } else { None };
            step.chosen.push(chosen);
        }
        Ok(())
    }
}

impl LowRank {
    /// `[tokens, hidden]` to `[tokens, query_rank]`.
    pub(super) fn forward(&self, x: &Tensor, backend: &dyn Backend, eps: f32) -> Result<Tensor> {
        let mut low = backend.matmul(x, &self.down)?;
        let whole = Heads { count: 1, width: low.cols, offset: 0 };
        backend.rms_norm_heads(&mut low, whole, &self.norm, eps)?;
        Ok(low)
    }
}
