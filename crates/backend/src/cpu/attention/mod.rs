//! Attention on the processor: an online softmax over tiles of the context.
//!
//! A *tile* is 128 cached rows, widened to f32 once for all the queries of a *block*: up to 64 of them, a lane each. A
//! *range* is a few tiles whose sums begin afresh; the sums of ranges are merged in order. Tiles and ranges begin at
//! fixed positions, so what a token is answered depends on the rows it sees and on nothing else: neither on threads,
//! nor on how a prompt was cut, nor on who else is in the batch.

mod sums;
mod tile;
mod blocks;
mod latent;
mod absorbed;
mod expanded;
mod grouped;
mod index;
mod scratch;

use std::sync::{Mutex, PoisonError};

use kernels::{Kernels, Threads};

pub(super) use grouped::{compressed, run as grouped};
pub(super) use index::run as choose;
pub(super) use latent::run as latent;
pub use scratch::{
    compressed_scratch_bytes, grouped_scratch_bytes, index_scratch_bytes, latent_scratch_bytes,
};

/// Lanes the kernels take at once.
const SIXTEEN: usize = 16;

/// Queries of a block: their scores with a tile are 32 KiB.
const BLOCK: usize = 64;

/// Cached rows of a tile.
const TILE: usize = 128;

/// Tokens that the absorbed form carries through together: enough that weights are decoded seldom, few enough that what
/// is kept of them stays small.
const WAVE: usize = 32;

/// What attention computes with, kept from one call to the next.
pub(super) struct Machine<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) threads: &'a Threads,
    pub(super) memory: &'a Memory,
}

/// Buffers that are kept; they grow to the largest call seen.
#[derive(Default)]
pub(super) struct Memory {
    /// One for each task at work.
    spaces: Mutex<Vec<Space>>,
    /// What tasks hand to those after them.
    shared: Mutex<Shared>,
}

/// What one task works in.
#[derive(Default)]
struct Space {
    tile: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    weights: Vec<f32>,
    queries: Vec<f32>,
}

/// What tasks hand to those after them.
#[derive(Default)]
struct Shared {
    lifted: Vec<f32>,
    turned: Vec<f32>,
    sums: Vec<f32>,
    answers: Vec<f32>,
    index: Vec<f32>,
}

impl Memory {
    /// Calls `work` with a space of its own.
    fn with_space<T>(&self, work: impl FnOnce(&mut Space) -> T) -> T {
        let spaces = || self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut space = spaces().pop().unwrap_or_default();
        let answer = work(&mut space);
        spaces().push(space);
        answer
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `len` floats of `buffer`, which begin at a cache line; what is in them is anybody's guess.
fn grown(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len + SIXTEEN {
        buffer.clear();
        buffer.reserve_exact(len + SIXTEEN);
        buffer.resize(len + SIXTEEN, 0.0);
    }
    let skipped = buffer.as_ptr().align_offset(64).min(SIXTEEN);
    &mut buffer[skipped..skipped + len]
}

/// The same, all 0.
fn zeroed(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let floats = grown(buffer, len);
    floats.fill(0.0);
    floats
}

/// Rounded up to whole registers.
fn padded(width: usize) -> usize {
    width.next_multiple_of(SIXTEEN)
}
