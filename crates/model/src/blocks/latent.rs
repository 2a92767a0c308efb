//! Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

use backend::{Backend, Form, Heads, LatentQuery, LatentUp, Tensor, Weight};
use base::{LayerId, Result};
use spec::Mla;

use crate::step::Step;

pub(crate) struct LatentAttention {
    pub(crate) mla: Mla,
    pub(crate) queries: Queries,
    pub(crate) latent_down: Weight,
    pub(crate) latent_norm: Weight,
    pub(crate) latent_up: LatentUp,
    pub(crate) out: Weight,
}

/// How queries are projected.
pub(crate) enum Queries {
    /// In one step.
    Direct(Weight),
    /// Through a low rank, with a norm between.
    LowRank { down: Weight, norm: Weight, up: Weight },
}

impl LatentAttention {
    /// `[tokens, hidden]` to `[tokens, hidden]`; what the sequences keep of these tokens is written on the way.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (mla, backend) = (&self.mla, step.backend);
        let mut q = self.queries.forward(x, backend, mla.rank_eps)?;

        // The latent row and the one rotated key that all heads share, side by side as the KV cache keeps them.
        let mut rows = backend.matmul(x, &self.latent_down)?;
        backend.rms_norm_heads(&mut rows, whole(mla.row()), &self.latent_norm, mla.rank_eps)?;
        if mla.rope.is_some() {
            let heads = Heads { count: mla.heads, width: mla.head(), offset: mla.nope };
            backend.rotate(&mut q, heads, &step.rotation)?;
            let key = Heads { count: 1, width: mla.row(), offset: mla.latent };
            backend.rotate(&mut rows, key, &step.rotation)?;
        }

        let mut out = backend.tensor(x.rows, mla.heads * mla.value)?;
        let index = layer.0 as usize;
        for (entry, span) in step.entries.iter_mut().zip(&step.spans).filter(|(_, span)| !span.is_empty()) {
            entry.kv.write(backend, index, &rows, span.rows.clone(), span.start)?;
            let form = step.form.unwrap_or(Form::cheaper(mla, &entry.prompt));
            let (up, kv) = (&self.latent_up, entry.kv.rows(index));
            backend.latent_attention(&LatentQuery { mla, up, form, q: &q, span, kv }, &mut out)?;
        }
        backend.matmul(&out, &self.out)
    }
}

/// The one head of rows that have no heads.
fn whole(width: usize) -> Heads {
    Heads { count: 1, width, offset: 0 }
}

impl Queries {
    /// `[tokens, hidden]` to `[tokens, heads * (nope + rotated)]`.
    fn forward(&self, x: &Tensor, backend: &dyn Backend, eps: f32) -> Result<Tensor> {
        match self {
            Self::Direct(w) => backend.matmul(x, w),
            Self::LowRank { down, norm, up } => {
                let mut low = backend.matmul(x, down)?;
                let width = low.cols;
                backend.rms_norm_heads(&mut low, whole(width), norm, eps)?;
                backend.matmul(&low, up)
            }
        }
    }
}
