//! One resident expert, pinned for as long as someone computes with it.

use std::sync::Arc;

use base::{AlignedBuf, ExpertId};
use disk::Piece;

/// One expert's bytes. While it lives they are neither evicted nor overwritten; it may outlive the request, move
/// to other threads, and even outlive the pool.
///
/// The pin is the reference count: the pool holds one share of the buffer and gives it up only when it holds the
/// last. So a lease needs neither a lock nor a message to be returned.
#[derive(Debug)]
pub struct Lease {
    /// Which expert of the requested layer.
    pub expert: ExpertId,
    pieces: Arc<[Piece]>,
    buffer: Arc<AlignedBuf>,
}

impl Lease {
    pub(crate) fn new(expert: ExpertId, pieces: Arc<[Piece]>, buffer: Arc<AlignedBuf>) -> Self {
        Self { expert, pieces, buffer }
    }

    /// The bytes of the `piece`-th extent of [`Catalogue::extents`](crate::Catalogue::extents).
    ///
    /// # Panics
    /// When the catalogue lists fewer extents.
    pub fn bytes(&self, piece: usize) -> &[u8] {
        self.pieces[piece].of(&self.buffer)
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }
}
