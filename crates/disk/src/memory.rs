//! A disk in memory that is late, out of order and faulty, as its seed says.
//!
//! For the tests of everything above: with the same seed and the same calls the same things happen, so a failure
//! can be replayed. Completions are held until [`Disk::flush`], which lets some of them go in a shuffled order.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{AlignedBuf, Error, Kind, Result};

use crate::counters::Tally;
use crate::layout::{Piece, runs};
use crate::{Completion, Counters, Disk, Io, Priority, ReadRequest};

/// What goes wrong with one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first attempt fails, the retry succeeds.
    Once,
    /// The read fails, retry included; a later read of the same bytes succeeds.
    Failed,
    /// This read and every later one fails.
    Always,
    /// The read ends early, retry included.
    Short,
    /// The read does not end until [`MemoryDisk::resume`].
    Stall,
}

/// Files held in memory, served late and out of order.
#[derive(Debug)]
pub struct MemoryDisk {
    files: Vec<Vec<u8>>,
    faults: Vec<(u64, Fault)>,
    tally: Tally,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: u64,
    submitted: u64,
    held: Vec<Held>,
    stalled: Vec<Held>,
}

/// A read that is over, but not told.
#[derive(Debug)]
struct Held {
    completion: Completion,
    priority: Priority,
    done: Sender<Completion>,
}

impl MemoryDisk {
    /// Serves `files` (file i is `FileId(i)`); `seed` decides the order of completions.
    pub fn new(files: Vec<Vec<u8>>, seed: u64) -> Self {
        let state = State { random: seed, submitted: 0, held: Vec::new(), stalled: Vec::new() };
        Self { files, faults: Vec::new(), tally: Tally::default(), state: Mutex::new(state) }
    }

    /// The same disk, with `fault` happening to its `nth` read, counted from 0.
    #[must_use]
    pub fn with_fault(mut self, nth: u64, fault: Fault) -> Self {
        self.faults.push((nth, fault));
        self
    }

    /// Lets stalled reads end, as all others do, at the next flush.
    pub fn resume(&self) {
        let mut state = self.state();
        let stalled = std::mem::take(&mut state.stalled);
        state.held.extend(stalled);
    }

    /// Copies the pieces, or fails as `fault` says on the given attempt, leaving rubbish in the buffer.
    fn read(
        &self,
        pieces: &[Piece],
        buffer: &mut AlignedBuf,
        fault: Option<Fault>,
        attempt: u32,
    ) -> Result<u64> {
        let mut copied = 0;
        for run in runs(pieces, buffer.len())? {
            let bytes = self
                .files
                .get(run.file.0 as usize)
                .and_then(|file| file.get(usize::try_from(run.offset).ok()?..usize::try_from(run.end).ok()?));
            let bytes = bytes.ok_or_else(|| err_past_end(run.file.0, run.end))?;
            buffer[run.at..][..bytes.len()].copy_from_slice(bytes);
            copied += bytes.len() as u64;
        }
        let fails = match fault {
            None | Some(Fault::Stall) => false,
            Some(Fault::Once) => attempt == 0,
            Some(Fault::Failed | Fault::Always | Fault::Short) => true,
        };
        if !fails {
            return Ok(copied);
        }
        let file = pieces.first().map_or(0, |piece| piece.extent.file.0);
        let kept = if fault == Some(Fault::Short) { buffer.len() / 2 } else { 0 };
        buffer[kept..].fill(0xEE);
        Err(err_injected(file, copied, kept))
    }

    fn fault(&self, nth: u64) -> Option<Fault> {
        let happens = |(at, fault): &&(u64, Fault)| *at == nth || (*fault == Fault::Always && *at < nth);
        self.faults.iter().find(happens).map(|(_, fault)| *fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        let ReadRequest { ticket, priority, pieces, mut buffer } = request;
        let mut state = self.state();
        let fault = self.fault(state.submitted);
        state.submitted += 1;

        let bytes = pieces.iter().map(|piece| piece.extent.len).sum();
        let mut attempt = 0;
        let result = self.tally.attempt(bytes, || {
            attempt += 1;
            self.read(&pieces, &mut buffer, fault, attempt - 1)
        });
        let completion = Completion { ticket, buffer, result };
        let held = Held { completion, priority, done: done.clone() };
        if fault == Some(Fault::Stall) { state.stalled.push(held) } else { state.held.push(held) }
    }

    /// Lets go of at least one held completion, in a shuffled order.
    fn flush(&self) {
        let mut state = self.state();
        let held = state.held.len();
        let count = if held == 0 { 0 } else { 1 + state.below(held) };
        for left in (held - count + 1..=held).rev() {
            let pick = state.below(left);
            let Held { completion, done, .. } = state.held.swap_remove(pick);
            // The receiver may be gone: then nobody wants the bytes.
            let _ = done.send(completion);
        }
    }

    /// A guess that was not told yet ends as cancelled, with rubbish in its buffer.
    fn cancel(&self, ticket: u64) {
        for held in self.state().guess(ticket) {
            held.completion.buffer.fill(0xEE);
            held.completion.result = Err(Error::cancelled());
        }
    }

    fn promote(&self, ticket: u64) {
        self.state().guess(ticket).for_each(|held| held.priority = Priority::Demand);
    }

    fn counters(&self) -> Counters {
        self.tally.counters()
    }

    fn io(&self) -> Io {
        Io::Buffered
    }
}

impl State {
    /// The guess of that ticket, if it was not told yet.
    fn guess(&mut self, ticket: u64) -> impl Iterator<Item = &mut Held> {
        let held = self.held.iter_mut().chain(&mut self.stalled);
        held.filter(move |held| held.completion.ticket == ticket && held.priority == Priority::Guess)
    }

    /// A number below `bound`, by splitmix64.
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn err_past_end(file: u32, end: u64) -> Error {
    Error::corrupt(format!("the read ends at byte {end}, past the end of the file"))
        .within(format!("file {file}"))
}

fn err_injected(file: u32, wanted: u64, got: usize) -> Error {
    Error::new(Kind::Io, format!("reading {wanted} bytes gave only {got}")).within(format!("file {file}"))
}
