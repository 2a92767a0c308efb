//! What was said: the attention state of live sequences.
//!
//! A sequence keeps one tensor a layer, allocated for its whole context when it starts and committed by the system as
//! it fills. What a mixer keeps of a token is its row: for latent attention the latent row and the rotated key, which
//! is all that any head needs.
#![forbid(unsafe_code)]

use std::ops::Range;

use backend::{Backend, Tensor};
use base::{Error, Result};
use spec::{Mixer, ModelSpec};

/// The attention state of one sequence.
pub struct KvCache {
    layers: Vec<Tensor>,
    len: usize,
    capacity: usize,
}

/// Bytes a sequence keeps of each token.
pub fn bytes_per_token(spec: &ModelSpec) -> u64 {
    let numbers: usize = spec.layers.iter().map(|layer| width(&layer.mixer)).sum();
    (numbers * size_of::<f32>()) as u64
}

fn width(mixer: &Mixer) -> usize {
    let Mixer::Mla(mla) = mixer;
    mla.row()
}

impl KvCache {
    /// Room for `capacity` tokens.
    pub fn new(spec: &ModelSpec, backend: &dyn Backend, capacity: usize) -> Result<Self> {
        let layers = spec.layers.iter().map(|layer| backend.tensor(capacity, width(&layer.mixer)));
        Ok(Self { layers: layers.collect::<Result<_>>()?, len: 0, capacity })
    }

    /// Makes room for `capacity` tokens in all, keeping what is kept. Layer by layer, so that no more than one layer is
    /// in memory twice.
    pub fn reserve(&mut self, spec: &ModelSpec, backend: &dyn Backend, capacity: usize) -> Result<()> {
        if capacity <= self.capacity {
            return Ok(());
        }
        for (layer, kept) in spec.layers.iter().zip(&mut self.layers) {
            let mut roomier = backend.tensor(capacity, width(&layer.mixer))?;
            backend.copy_rows(kept, 0..self.len, &mut roomier, 0)?;
            *kept = roomier;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Tokens kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No token is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes `rows` of `from` behind the tokens kept. They are not kept until [`commit`](Self::commit), so a pass
    /// that fails or is cancelled in its middle leaves the sequence as it was.
    pub fn write(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        from: &Tensor,
        rows: Range<usize>,
    ) -> Result<()> {
        if self.len + rows.len() > self.capacity {
            return Err(Error::budget(format!(
                "the sequence has {} tokens and {} more come, but its context is {}",
                self.len,
                rows.len(),
                self.capacity
            )));
        }
        backend.copy_rows(from, rows, &mut self.layers[layer], self.len)
    }

    /// One layer's rows: those kept, and those written since.
    pub fn rows(&self, layer: usize) -> &Tensor {
        &self.layers[layer]
    }

    /// Keeps `tokens` more, now that every layer has written them.
    pub fn commit(&mut self, tokens: usize) {
        self.len += tokens;
        assert!(self.len <= self.capacity, "only what was written is kept");
    }

    /// Forgets all but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.len = self.len.min(tokens);
    }
}
