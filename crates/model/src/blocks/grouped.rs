//! Grouped-query attention (arXiv:2305.13245), with biases, and norms of queries and keys, where the model has them.

use std::ops::Range;

use backend::{Backend, GroupedQuery, Heads, KvRows, Opening, Span, Tensor, Weight};
use base::{LayerId, Result};
use spec::{Gqa, HeadNorm};

use super::Linear;
use crate::step::Step;

pub(crate) struct GroupedAttention {
    pub(crate) gqa: Gqa,
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    /// Of queries and of keys.
    pub(crate) norms: Option<[Weight; 2]>,
    /// Of each head.
    pub(crate) sinks: Option<Weight>,
    pub(crate) eps: f32,
    pub(crate) out: Linear,
}

impl GroupedAttention {
    /// `[tokens, hidden]` to `[tokens, hidden]`; what the sequences keep of these tokens is written on the way.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (gqa, backend) = (&self.gqa, step.backend);
        let heads = |count| Heads { count, width: gqa.head, offset: 0 };
        let (mut q, gate) = self.queries(x, backend)?;
        let mut k = self.key.forward(x, backend)?;
        let v = self.value.forward(x, backend)?;
        if let Some([of_query, of_key]) = &self.norms {
            self.norm(&mut q, gqa.heads, of_query, backend)?;
            self.norm(&mut k, gqa.kv_heads, of_key, backend)?;
        }
        backend.rotate(&mut q, heads(gqa.heads), step.rotation())?;
        backend.rotate(&mut k, heads(gqa.kv_heads), step.rotation())?;

        // Key and value of each head side by side, as the KV cache keeps them.
        let mut rows = backend.room(x.rows, gqa.row())?;
        let side = |offset| Heads { count: gqa.kv_heads, width: 2 * gqa.head, offset };
        backend.copy_heads(&k, heads(gqa.kv_heads), &mut rows, side(0), gqa.head)?;
        backend.copy_heads(&v, heads(gqa.kv_heads), &mut rows, side(gqa.head), gqa.head)?;

        let mut out = backend.tensor(x.rows, gqa.heads * gqa.head)?;
        let index = layer.0 as usize;
        for (entry, span) in step.entries.iter_mut().zip(&step.spans).filter(|(_, span)| !span.is_empty()) {
            let look = &mut |stretch: Range<usize>, kv: &KvRows, _: Option<&KvRows>| {
                let start = span.start + stretch.start - span.rows.start;
                let span = &Span { rows: stretch, start };
                let query = GroupedQuery { gqa, q: &q, span, kv, sinks: self.sinks.as_ref() };
                backend.grouped_attention(&query, &mut out)
            };
            entry.kv.slide(backend, index, (&rows, span.rows.clone()), span.start, look)?;
        }
        if let Some(gate) = &gate {
            backend.gate(&mut out, gate, Opening::Sigmoid)?;
        }
        self.out.forward(&out, backend)
    }

    /// Queries, and their gates where there are any, which come head by head behind them: `[tokens, heads * head]`.
    fn queries(&self, x: &Tensor, backend: &dyn Backend) -> Result<(Tensor, Option<Tensor>)> {
        let joint = self.query.forward(x, backend)?;
        if !self.gqa.gate {
            return Ok((joint, None));
        }
        let (count, head) = (self.gqa.heads, self.gqa.head);
        let apart = |offset| -> Result<Tensor> {
            let mut part = backend.room(x.rows, count * head)?;
            let from = Heads { count, width: 2 * head, offset };
            backend.copy_heads(&joint, from, &mut part, Heads { count, width: head, offset: 0 }, head)?;
            Ok(part)
        };
        Ok((apart(0)?, Some(apart(head)?)))
    }

    fn norm(&self, x: &mut Tensor, count: usize, weight: &Weight, backend: &dyn Backend) -> Result<()> {
        let heads = match self.gqa.norm {
            Some(HeadNorm::Row) => Heads { count: 1, width: x.cols, offset: 0 },
            _ => Heads { count, width: self.gqa.head, offset: 0 },
        };
        backend.rms_norm_heads(x, heads, weight, self.eps)
    }
}
