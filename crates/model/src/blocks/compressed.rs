//! Attention to a window and to rows that each stand for several tokens (DeepSeek-V4). A row is key and value at once and
//! serves all heads, so answers are rotated back by where their token stands.

use std::ops::Range;
use std::sync::Arc;

use backend::{
    Backend, Chosen, CompressQuery, CompressedQuery, Heads, IndexQuery, KvRows, Rotation, Span, Tensor,
    Weight,
};
use base::{LayerId, Result};
use spec::Compressed;

use super::LowRank;
use crate::step::Step;

pub(crate) struct CompressedAttention {
    pub(crate) sizes: Compressed,
    pub(crate) low_rank: LowRank,
    pub(crate) queries: Weight,
    /// The norm of each head's query: ones.
    pub(crate) query_norm: Arc<Weight>,
    pub(crate) key: Weight,
    pub(crate) key_norm: Weight,
    pub(crate) sinks: Weight,
    pub(crate) compressor: Option<Compressor>,
    /// Of each group of heads.
    pub(crate) out_down: Weight,
    pub(crate) out: Weight,
    pub(crate) eps: f32,
}

/// What makes compressed rows, and what chooses among them.
pub(crate) struct Compressor {
    pub(crate) sizes: spec::Compressor,
    /// Angle per position of each rotated pair; a row stands where its first token does.
    pub(crate) frequencies: Vec<f32>,
    pub(crate) rows: Mixture,
    pub(crate) indexer: Option<Indexer>,
}

/// What rows of one width are made by.
pub(crate) struct Mixture {
    pub(crate) key: Weight,
    pub(crate) gate: Weight,
    pub(crate) places: Weight,
    pub(crate) norm: Weight,
}

/// The lightning indexer, whose keys are compressed rows of its own.
pub(crate) struct Indexer {
    pub(crate) sizes: spec::Indexer,
    pub(crate) keys: Mixture,
    pub(crate) query: Weight,
    /// What heads weigh.
    pub(crate) weights: Weight,
}

impl CompressedAttention {
    /// `[tokens, hidden]` to `[tokens, hidden]`; what the sequences keep of these tokens is written on the way.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (sizes, backend, index) = (&self.sizes, step.backend, layer.0 as usize);
        let low = self.low_rank.forward(x, backend, self.eps)?;
        let mut q = backend.matmul(&low, &self.queries)?;
        let heads = Heads { count: sizes.heads, width: sizes.head, offset: 0 };
        backend.rms_norm_heads(&mut q, heads, &self.query_norm, self.eps)?;
        let turned = Heads { offset: sizes.head - sizes.rope.dims, ..heads };
        backend.rotate(&mut q, turned, step.rotation())?;
        let mut rows = backend.matmul(x, &self.key)?;
        let one = Heads { count: 1, ..heads };
        backend.rms_norm_heads(&mut rows, one, &self.key_norm, self.eps)?;
        backend.rotate(&mut rows, Heads { count: 1, ..turned }, step.rotation())?;

        let chosen = match &self.compressor {
            Some(compressor) => {
                self.compress(compressor, index, x, step)?;
                self.choose(compressor, index, (x, &low), step)?
            }
            None => step.spans.iter().map(|_| None).collect(),
        };
        let mut out = backend.tensor(x.rows, sizes.heads * sizes.head)?;
        let entries = step.entries.iter_mut().zip(&step.spans).zip(&chosen);
        for ((entry, span), chosen) in entries.filter(|((_, span), _)| !span.is_empty()) {
            let look = &mut |stretch: Range<usize>, kv: &KvRows, compressed: Option<&KvRows>| {
                let first = stretch.start - span.rows.start;
                let chosen = chosen.as_ref().map(|chosen| (chosen, first));
                let (span, sinks) = (&Span { rows: stretch, start: span.start + first }, &self.sinks);
                let query = CompressedQuery { sizes, q: &q, span, kv, compressed, chosen, sinks };
                backend.compressed_attention(&query, &mut out)
            };
            entry.kv.slide(backend, index, (&rows, span.rows.clone()), span.start, look)?;
        }
        backend.rotate(&mut out, turned, &step.rotation().back())?;
        backend.matmul(&backend.matmul_groups(&out, &self.out_down, sizes.groups)?, &self.out)
    }

    /// Makes the rows whose last tokens are among these.
    fn compress(
        &self,
        compressor: &Compressor,
        index: usize,
        x: &Tensor,
        step: &mut Step<'_, '_>,
    ) -> Result<()> {
        let (backend, ratio) = (step.backend, compressor.sizes.ratio);
        let inputs = compressor.inputs(x, self.sizes.head, backend)?;
        for (entry, span) in step.entries.iter_mut().zip(&step.spans).filter(|(_, span)| !span.is_empty()) {
            let mut made: Vec<(usize, Tensor)> = Vec::new();
            let look = &mut |stretch: Range<usize>, inputs: &KvRows| {
                let start = span.start + stretch.start - span.rows.start;
                let rows = start / ratio..(start + stretch.len()) / ratio;
                if !rows.is_empty() {
                    made.push((rows.start, compressor.make(inputs, rows, &self.sizes, self.eps, backend)?));
                }
                Ok(())
            };
            entry.kv.gather(backend, index, (&inputs, span.rows.clone()), span.start, look)?;
            for (at, rows) in made {
                entry.kv.compress(backend, index, &rows, at)?;
            }
        }
        Ok(())
    }

    /// Has the indexer, where this layer has one, choose for those sequences that see more rows than it chooses.
    fn choose(
        &self,
        compressor: &Compressor,
        index: usize,
        (x, low): (&Tensor, &Tensor),
        step: &Step<'_, '_>,
    ) -> Result<Vec<Option<Chosen>>> {
        let (backend, ratio) = (step.backend, compressor.sizes.ratio);
        let nothing = || step.spans.iter().map(|_| None).collect();
        let Some(indexer) = &compressor.indexer else { return Ok(nothing()) };
        let long = |span: &Span| !span.is_empty() && span.len() / ratio > indexer.sizes.top_k;
        if !step.spans.iter().any(long) {
            return Ok(nothing());
        }
        let mut q = backend.matmul(low, &indexer.query)?;
        let (width, dims) = (indexer.sizes.head, self.sizes.rope.dims);
        let heads = Heads { count: indexer.sizes.heads, width, offset: width - dims };
        backend.rotate(&mut q, heads, step.rotation())?;
        let weights = backend.matmul(x, &indexer.weights)?;
        let choose = |(entry, span): (&crate::Entry<'_>, &Span)| {
            if !long(span) {
                return Ok(None);
            }
            let kv = entry.kv.compressed(index);
            let (sizes, key_at) = (&indexer.sizes, self.sizes.head);
            let query =
                IndexQuery { indexer: sizes, q: &q, weights: &weights, span, kv, key_at, every: ratio };
            backend.choose_rows(&query).map(Some)
        };
        step.entries.iter().zip(&step.spans).map(choose).collect()
    }
}

impl Compressor {
    fn mixtures(&self, head: usize) -> impl Iterator<Item = (&Mixture, usize)> {
        let of_indexer = self.indexer.as_ref().map(|indexer| (&indexer.keys, indexer.sizes.head));
        std::iter::once((&self.rows, head)).chain(of_indexer)
    }

    /// What tokens project for rows, side by side: of each mixture what it mixes, then how.
    fn inputs(&self, x: &Tensor, head: usize, backend: &dyn Backend) -> Result<Tensor> {
        let width = self.sizes.inputs(head);
        let mut all = backend.tensor(x.rows, width)?;
        let mut offset = 0;
        for weight in self.mixtures(head).flat_map(|(mixture, _)| [&mixture.key, &mixture.gate]) {
            let part = backend.matmul(x, weight)?;
            let from = Heads { count: 1, width: part.cols, offset: 0 };
            backend.copy_heads(&part, from, &mut all, Heads { count: 1, width, offset }, part.cols)?;
            offset += part.cols;
        }
        Ok(all)
    }

    /// Compressed rows as the KV cache keeps them, the keys of the indexer behind.
    fn make(
        &self,
        inputs: &KvRows,
        rows: Range<usize>,
        sizes: &Compressed,
        eps: f32,
        backend: &dyn Backend,
    ) -> Result<Tensor> {
        let (dims, whole) = (sizes.rope.dims, self.sizes.row(sizes.head));
        let positions: Vec<usize> = rows.clone().map(|row| row * self.sizes.ratio).collect();
        let rotation = Rotation::new(&sizes.rope, &self.frequencies, &positions);
        let mut all = backend.tensor(rows.len(), whole)?;
        let (mut key_at, mut offset) = (0, 0);
        for (mixture, width) in self.mixtures(sizes.head) {
            let gate_at = key_at + self.sizes.parts() * width;
            let mut made = backend.compress(&CompressQuery {
                compressor: &self.sizes,
                inputs,
                key_at,
                gate_at,
                width,
                places: &mixture.places,
                rows: rows.clone(),
            })?;
            let one = Heads { count: 1, width, offset: 0 };
            backend.rms_norm_heads(&mut made, one, &mixture.norm, eps)?;
            backend.rotate(&mut made, Heads { offset: width - dims, ..one }, &rotation)?;
            backend.copy_heads(&made, one, &mut all, Heads { count: 1, width: whole, offset }, width)?;
            key_at = gate_at + self.sizes.parts() * width;
            offset += width;
        }
        Ok(all)
    }
}
