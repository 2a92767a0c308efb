//! One request while it is being read: cut in parts, filled by several lanes at once, told when the last part is over.
//!
//! Parts rather than whole records are what lanes take from the queue: the first expert of a layer lands after its
//! own bytes and not after those of all the others, and its arithmetic begins that much earlier.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{AlignedBuf, Error, Result};

use crate::counters::Tally;
use crate::files::Files;
use crate::layout::{Part, Piece};
use crate::{Completion, ReadRequest};

/// A request whose parts are being read.
#[derive(Debug)]
pub(crate) struct Filling {
    ticket: u64,
    pieces: Arc<[Piece]>,
    /// The buffer's first byte. Lanes write through it, each to its own part.
    start: NonNull<u8>,
    state: Mutex<State>,
    done: Sender<Completion>,
}

#[derive(Debug)]
struct State {
    /// Taken out when the last part is over, and not looked into before.
    buffer: Option<AlignedBuf>,
    left: usize,
    result: Result<()>,
}

// SAFETY: `start` points into the buffer that `state` owns, which any thread may own. Through it only `Chunk::bytes`
// writes, whose chunks are disjoint.
unsafe impl Send for Filling {}
// SAFETY: as above; everything else is behind a lock.
unsafe impl Sync for Filling {}

/// One part of a request, in the hands of one lane or queue.
#[derive(Debug)]
pub(crate) struct Chunk {
    filling: Arc<Filling>,
    pub part: Part,
    /// Counts it for as long as it lives.
    _count: Option<Count>,
}

/// One of those that a counter counts.
#[derive(Debug)]
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Filling {
    /// Cuts a request into chunks of about `chunk_bytes`. One that cannot be read, or has nothing to read, completes
    /// at once.
    pub fn begin(
        request: ReadRequest,
        done: &Sender<Completion>,
        files: &Files,
        tally: &Tally,
        chunk_bytes: usize,
    ) -> Vec<Chunk> {
        let ReadRequest { ticket, pieces, mut buffer, .. } = request;
        let parts = files.parts(&pieces, buffer.len(), chunk_bytes);
        let start = NonNull::from(&mut buffer[..]).cast();
        let (parts, result) = match parts {
            Ok(parts) => (parts, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let state = Mutex::new(State { buffer: Some(buffer), left: parts.len(), result });
        let filling = Arc::new(Filling { ticket, pieces, start, state, done: done.clone() });
        if parts.is_empty() {
            filling.complete(&mut filling.state(), files, tally);
        }
        parts.into_iter().map(|part| Chunk { filling: filling.clone(), part, _count: None }).collect()
    }

    /// Sends the buffer back.
    fn complete(&self, state: &mut State, files: &Files, tally: &Tally) {
        let Some(buffer) = state.buffer.take() else { return };
        let mut result = std::mem::replace(&mut state.result, Ok(()));
        if result.is_ok() {
            result = files.check_unchanged(&self.pieces);
        }
        tally.ended(self.pieces.iter().map(|piece| piece.extent.len).sum(), &result);
        // The receiver may be gone: then nobody wants the bytes, and the buffer is freed here.
        let _ = self.done.send(Completion { ticket: self.ticket, buffer, result });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chunk {
    /// The same, counted by `counter` until it is over.
    pub fn counted(mut self, counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        self._count = Some(Count(counter.clone()));
        self
    }

    /// The request's ticket.
    pub fn ticket(&self) -> u64 {
        self.filling.ticket
    }

    /// The bytes to fill.
    pub fn bytes(&mut self) -> &mut [u8] {
        let Part { at, len, .. } = self.part;
        // SAFETY: `Files::parts` made parts that lie within the buffer and share no byte, each became one chunk, and
        // the chunk is borrowed mutably. The buffer lives until `left` is 0, and this chunk is not over.
        unsafe { std::slice::from_raw_parts_mut(self.filling.start.as_ptr().add(at), len) }
    }

    /// Whether another part has failed already, so that this one need not be read.
    pub fn is_moot(&self) -> bool {
        self.filling.state().result.is_err()
    }

    /// The part is over. The last one completes the request.
    pub fn end(self, result: Result<()>, files: &Files, tally: &Tally) {
        let mut state = self.filling.state();
        if state.result.is_ok() {
            state.result = result;
        }
        state.left -= 1;
        if state.left == 0 {
            self.filling.complete(&mut state, files, tally);
        }
    }

    /// The part was taken back before it was read.
    pub fn cancel(self, files: &Files, tally: &Tally) {
        self.end(Err(Error::cancelled()), files, tally);
    }
}
