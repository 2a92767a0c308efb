//! What a pool may hold, set from outside while it works.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes a pool may hold from now on, and what it does hold. One thread sets the first, the pool tells the second.
///
/// The pool follows at its next request, or while it waits for a read: it gives up experts until it holds no more than
/// that, and gives their memory back to the system. One slot of each size is always kept.
#[derive(Debug)]
pub struct Bound {
    bytes: AtomicU64,
    held: AtomicU64,
}

impl Bound {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes: AtomicU64::new(bytes), held: AtomicU64::new(0) }
    }

    /// Sets the bytes. More than the pool's budget is as much as the budget.
    pub fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the buffers that the pool has made and not given back, as of its last request or wait.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, held: u64) {
        self.held.store(held, Ordering::Relaxed);
    }
}
