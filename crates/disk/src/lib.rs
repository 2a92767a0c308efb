//! Aligned positioned reads, many at once, each reported when it is done.
//!
//! [`lay_out`] says where the extents of one record land in a buffer; a [`Disk`] fills that buffer and sends it
//! back in a [`Completion`]. Buffered and direct reads fill the same layout, so nothing above this crate knows
//! which of the two is in effect. [`start`] makes a disk for [`Files`]: [`ThreadedDisk`] by positioned reads on its own
//! threads, or `RingDisk` by io_uring, where there is one. [`MemoryDisk`] serves bytes from memory, late, out of order
//! and with faults, for the tests of everything above.
//!
//! The disk decides when bytes arrive, never what they are.

mod counters;
mod direct;
mod layout;
mod files;
mod memory;
mod filling;
mod queue;
mod threads;
#[cfg(target_os = "linux")]
mod ring;
mod setting;
mod measure;
mod probe;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use base::{AlignedBuf, Result};

pub use counters::{Counters, bytes_read_from_drives};
pub use files::Files;
pub use layout::{Layout, Piece, lay_out};
pub use measure::{Measured, Walk, measure};
pub use memory::{Fault, MemoryDisk};
pub use probe::{Answer, Question, probe};
#[cfg(target_os = "linux")]
pub use ring::RingDisk;
pub use setting::{Setting, Way, start};
pub use threads::ThreadedDisk;

/// Reads laid-out buffers, many at once, and reports each when it is done.
pub trait Disk: Send + Sync {
    /// Starts (or queues) one read. Exactly one [`Completion`] with the request's ticket is sent to `done`,
    /// whatever happens, unless `done`'s receiver is gone.
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>);

    /// Takes back the guess of that ticket, as far as it has not been read yet. It completes all the same: with
    /// [`Kind::Cancelled`](base::Kind::Cancelled), or well when it was too late. Nothing happens to demands, or when
    /// there is no such read.
    fn cancel(&self, _ticket: u64) {}

    /// Makes the guess of that ticket a demand, behind those that wait already. Nothing happens when there is no such
    /// read.
    fn promote(&self, _ticket: u64) {}

    /// Called each time before the caller blocks on completions: a disk that collects requests, or holds back
    /// completions, lets at least one of them go.
    fn flush(&self) {}

    /// What has been read so far.
    fn counters(&self) -> Counters;

    /// The way reads go.
    fn io(&self) -> Io;
}

/// The way reads go: what is in effect, not what was wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// Through the system's page cache.
    Buffered,
    /// Past the page cache, in whole pages (`O_DIRECT`, `F_NOCACHE`).
    Direct,
}

impl Io {
    /// `buffered` or `direct`.
    pub fn name(self) -> &'static str {
        match self {
            Io::Buffered => "buffered",
            Io::Direct => "direct",
        }
    }
}

/// Whether somebody waits for a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A computation waits for it. Demands are read in the order they came.
    #[default]
    Demand,
    /// It may be wanted soon: begun only when no demand waits to be begun.
    Guess,
}

/// One record to read: its pieces, and the buffer to read them to.
#[derive(Debug)]
pub struct ReadRequest {
    /// The caller's name for this read; comes back in the completion. No two reads that are under way share one.
    pub ticket: u64,
    /// Whether somebody waits for it.
    pub priority: Priority,
    /// Where each extent lands, from [`lay_out`].
    pub pieces: Arc<[Piece]>,
    /// At least [`Layout::buffer_bytes`] long. Bytes outside of the pieces are unspecified afterwards.
    pub buffer: AlignedBuf,
}

/// A read that is over. The buffer always comes back, with the pieces' bytes if `result` is `Ok`.
#[derive(Debug)]
pub struct Completion {
    /// The request's ticket.
    pub ticket: u64,
    /// The request's buffer; after an error its content is unspecified.
    pub buffer: AlignedBuf,
    /// Whether every byte of every piece was read; the error names the file and the offset.
    pub result: Result<()>,
}
