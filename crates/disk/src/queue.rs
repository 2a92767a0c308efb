//! What waits to be read, by drive: demands before guesses, each in the order it came.
//!
//! Files on different drives have queues, and lanes that serve them, of their own, so that drives read in parallel.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::counters::Tally;
use crate::files::Files;
use crate::filling::{Chunk, Filling};
use crate::{Completion, Priority, ReadRequest};

/// All queues of one disk, and what its lanes need.
#[derive(Debug)]
pub(crate) struct Queues {
    pub files: Arc<Files>,
    pub tally: Tally,
    chunk_bytes: usize,
    /// By [`Files::drive`].
    drives: Vec<Queue>,
}

/// What waits for one drive.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Written to when a chunk comes, for a lane that cannot wait on `changed`.
    bell: Option<File>,
}

#[derive(Debug, Default)]
struct State {
    /// By [`Priority`].
    waiting: [VecDeque<Chunk>; 2],
    /// Chunks of guesses that lanes have begun and not ended.
    guessing: Arc<AtomicUsize>,
    closed: bool,
}

/// Lanes of a drive that guesses may occupy. What is begun cannot be taken back, and the demands of a guess that was
/// wrong wait behind it: two chunks keep a drive almost busy, and delay by some milliseconds.
const GUESSING_LANES: usize = 2;

/// What a lane that does not wait finds.
pub(crate) enum Next {
    Chunk(Chunk),
    Nothing,
    Closed,
}

impl Queues {
    /// Empty queues. `bells` has one bell a drive, or none at all.
    pub fn new(files: Arc<Files>, chunk_bytes: usize, bells: Vec<File>) -> Self {
        let mut bells = bells.into_iter();
        let queue = |_| Queue { bell: bells.next(), ..Queue::default() };
        let drives = (0..files.drives()).map(queue).collect();
        Self { files, tally: Tally::default(), chunk_bytes, drives }
    }

    /// Queues a request's chunks with the drives that have them.
    pub fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        let priority = request.priority;
        let chunks = Filling::begin(request, done, &self.files, &self.tally, self.chunk_bytes);
        let mut chunks = chunks.into_iter().peekable();
        while let Some(chunk) = chunks.next() {
            let drive = self.files.drive(chunk.part.file);
            let mut state = self.drives[drive].state();
            state.waiting[priority as usize].push_back(chunk);
            while let Some(chunk) = chunks.next_if(|chunk| self.files.drive(chunk.part.file) == drive) {
                state.waiting[priority as usize].push_back(chunk);
            }
            drop(state);
            self.drives[drive].ring();
        }
    }

    /// Takes back what no lane has begun of a guess.
    pub fn cancel(&self, ticket: u64) {
        for drive in &self.drives {
            let taken = drive.state().take_guess(ticket);
            taken.into_iter().for_each(|chunk| chunk.cancel(&self.files, &self.tally));
        }
    }

    /// Makes a guess a demand.
    pub fn promote(&self, ticket: u64) {
        for drive in &self.drives {
            let mut state = drive.state();
            let taken = state.take_guess(ticket);
            state.waiting[Priority::Demand as usize].extend(taken);
        }
    }

    /// The next chunk for a lane of `drive`, or `None` once the disk is closed.
    pub fn wait(&self, drive: usize) -> Option<Chunk> {
        let queue = &self.drives[drive];
        let mut state = queue.state();
        loop {
            match state.next() {
                Next::Chunk(chunk) => return Some(chunk),
                Next::Closed => return None,
                Next::Nothing => state = queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// [`Queues::wait`] for a lane that does not.
    #[cfg(target_os = "linux")]
    pub fn next(&self, drive: usize) -> Next {
        self.drives[drive].state().next()
    }

    /// Answers all that waits with [`Kind::Cancelled`](base::Kind::Cancelled), and sends the lanes home.
    pub fn close(&self) {
        for drive in &self.drives {
            let left = {
                let mut state = drive.state();
                state.closed = true;
                std::mem::take(&mut state.waiting)
            };
            left.into_iter().flatten().for_each(|chunk| chunk.cancel(&self.files, &self.tally));
            drive.ring();
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned queue is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the lanes that something came.
    fn ring(&self) {
        self.changed.notify_all();
        if let Some(mut bell) = self.bell.as_ref() {
            // A counter of 64 bits: the write fails only when it is full, and then the bell rings already.
            let _ = bell.write_all(&1u64.to_ne_bytes());
        }
    }
}

impl State {
    fn next(&mut self) -> Next {
        let [demands, guesses] = &mut self.waiting;
        if let Some(chunk) = demands.pop_front() {
            return Next::Chunk(chunk);
        }
        // The count rises here alone, under the lock; a lane that ends a guess asks for the next chunk itself.
        if self.guessing.load(Ordering::Relaxed) < GUESSING_LANES
            && let Some(chunk) = guesses.pop_front()
        {
            return Next::Chunk(chunk.counted(&self.guessing));
        }
        if self.closed { Next::Closed } else { Next::Nothing }
    }

    fn take_guess(&mut self, ticket: u64) -> Vec<Chunk> {
        let guesses = &mut self.waiting[Priority::Guess as usize];
        let (taken, left) = guesses.drain(..).partition(|chunk: &Chunk| chunk.ticket() == ticket);
        *guesses = left;
        Vec::from_iter::<VecDeque<Chunk>>(taken)
    }
}
