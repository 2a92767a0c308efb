//! What was said: the attention state of live sequences.
//!
//! A sequence keeps rows of one precision for each layer, allocated for its whole context when it starts and committed by the system as
//! it fills. What a mixer keeps of a token is its row: for latent attention the latent row and the rotated key, for
//! grouped-query attention the key and the value of each of its heads.
#![forbid(unsafe_code)]

mod saved;

use std::ops::Range;

pub use backend::Precision;
use backend::{Backend, KvRows, Tensor};
use base::{Error, Result};
pub use saved::saved_bytes;
use spec::ModelSpec;

/// The attention state of one sequence.
pub struct KvCache {
    layers: Vec<KvRows>,
    precision: Precision,
    len: usize,
    capacity: usize,
}

/// Bytes a sequence keeps of each token.
pub fn bytes_per_token(spec: &ModelSpec, precision: Precision) -> u64 {
    spec.layers.iter().map(|layer| precision.row_bytes(layer.mixer.row()) as u64).sum()
}

impl KvCache {
    /// Room for `capacity` tokens.
    pub fn new(
        spec: &ModelSpec,
        backend: &dyn Backend,
        precision: Precision,
        capacity: usize,
    ) -> Result<Self> {
        let layers = spec.layers.iter().map(|layer| backend.kv_rows(capacity, layer.mixer.row(), precision));
        Ok(Self { layers: layers.collect::<Result<_>>()?, precision, len: 0, capacity })
    }

    /// Makes room for `capacity` tokens in all, keeping what is kept. Layer by layer, so that no more than one layer is
    /// in memory twice.
    pub fn reserve(&mut self, spec: &ModelSpec, backend: &dyn Backend, capacity: usize) -> Result<()> {
        if capacity <= self.capacity {
            return Ok(());
        }
        for (layer, kept) in spec.layers.iter().zip(&mut self.layers) {
            let mut roomier = backend.kv_rows(capacity, layer.mixer.row(), self.precision)?;
            backend.copy_kv(kept, self.len, &mut roomier)?;
            *kept = roomier;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Another cache with room for `capacity` tokens that keeps what this one does of the first `tokens`.
    pub fn fork(
        &self,
        spec: &ModelSpec,
        backend: &dyn Backend,
        tokens: usize,
        capacity: usize,
    ) -> Result<Self> {
        let mut fork = Self::new(spec, backend, self.precision, capacity)?;
        for (from, to) in self.layers.iter().zip(&mut fork.layers) {
            backend.copy_kv(from, tokens.min(self.len), to)?;
        }
        fork.commit(tokens.min(self.len));
        Ok(fork)
    }

    /// Gives up the room for more tokens than are kept. Rows that were never written take no memory, so nothing moves.
    pub fn shrink(&mut self) {
        self.capacity = self.len;
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

    /// Writes `rows` of `from` as the tokens from position `at` on, behind the tokens kept and those written since. They
    /// are not kept until [`commit`](Self::commit), so a pass that fails or is cancelled in its middle leaves the
    /// sequence as it was.
    pub fn write(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        from: &Tensor,
        rows: Range<usize>,
        at: usize,
    ) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        if at + rows.len() > self.capacity {
            return Err(Error::budget(format!(
                "the sequence has {at} tokens and {} more come, but its context is {}",
                rows.len(),
                self.capacity
            )));
        }
        backend.store_kv(from, rows, &mut self.layers[layer], at)
    }

    /// One layer's rows: those kept, and those written since.
    pub fn rows(&self, layer: usize) -> &KvRows {
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
