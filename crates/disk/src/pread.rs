//! A disk made of threads that call positioned reads, available everywhere.
//!
//! One queue, first come first served, so that the reads of one layer go out in the order they were asked for and
//! no reader idles while another has work waiting.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use base::{Error, Result};

use crate::counters::Tally;
use crate::{Completion, Counters, Disk, Files, Io, Priority, ReadRequest};

/// Readers when nothing else is known: 4 to 32 reads of 1 to 25 MB in flight saturate the NVMe drives measured.
pub const READERS: usize = 8;

/// Reads [`Files`] on threads of its own. Dropping it lets reads under way finish, answers the ones still queued
/// with [`Kind::Cancelled`](base::Kind::Cancelled), and joins the threads.
#[derive(Debug)]
pub struct ThreadedDisk {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    files: Arc<Files>,
    tally: Tally,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// By [`Priority`].
    waiting: [VecDeque<(ReadRequest, Sender<Completion>)>; 2],
    closed: bool,
}

impl ThreadedDisk {
    /// Starts `readers` threads (at least one): as many reads are in flight at once.
    pub fn new(files: Arc<Files>, readers: usize) -> Result<Self> {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { files, tally: Tally::default(), queue, changed });
        let mut disk = Self { shared, readers: Vec::new() };
        for i in 0..readers.max(1) {
            let shared = Arc::clone(&disk.shared);
            let reader = thread::Builder::new().name(format!("disk-{i}")).spawn(move || shared.serve());
            disk.readers.push(reader.map_err(|error| Error::io("starting a reader thread", &error))?);
        }
        Ok(disk)
    }
}

impl Disk for ThreadedDisk {
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        self.shared.queue().waiting[request.priority as usize].push_back((request, done.clone()));
        self.shared.changed.notify_one();
    }

    fn cancel(&self, ticket: u64) {
        let taken = self.shared.queue().take_guess(ticket);
        if let Some((request, done)) = taken {
            complete(request, Err(Error::cancelled()), &done);
        }
    }

    fn promote(&self, ticket: u64) {
        let mut queue = self.shared.queue();
        if let Some((request, done)) = queue.take_guess(ticket) {
            let request = ReadRequest { priority: Priority::Demand, ..request };
            queue.waiting[Priority::Demand as usize].push_back((request, done));
        }
    }

    fn counters(&self) -> Counters {
        self.shared.tally.counters()
    }

    fn io(&self) -> Io {
        self.shared.files.io()
    }
}

impl Drop for ThreadedDisk {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.shared.queue();
            queue.closed = true;
            std::mem::take(&mut queue.waiting)
        };
        self.shared.changed.notify_all();
        for (request, done) in left.into_iter().flatten() {
            complete(request, Err(Error::cancelled()), &done);
        }
        for reader in self.readers.drain(..) {
            // A reader that panicked has already reported itself; there is nothing to add while dropping.
            let _ = reader.join();
        }
    }
}

impl Queue {
    /// Takes the guess of that ticket out, if no reader has begun it.
    fn take_guess(&mut self, ticket: u64) -> Option<(ReadRequest, Sender<Completion>)> {
        let guesses = &mut self.waiting[Priority::Guess as usize];
        let at = guesses.iter().position(|(request, _)| request.ticket == ticket)?;
        guesses.remove(at)
    }
}

impl Shared {
    /// One reader's life.
    fn serve(&self) {
        while let Some((mut request, done)) = self.next() {
            let bytes = request.pieces.iter().map(|piece| piece.extent.len).sum();
            let result =
                self.tally.attempt(bytes, || self.files.read_pieces(&request.pieces, &mut request.buffer));
            complete(request, result, &done);
        }
    }

    /// The next request, or `None` once the disk is dropped.
    fn next(&self) -> Option<(ReadRequest, Sender<Completion>)> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(next) = queue.waiting.iter_mut().find_map(VecDeque::pop_front) {
                return Some(next);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held, so a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complete(request: ReadRequest, result: Result<()>, done: &Sender<Completion>) {
    // The receiver may be gone: then nobody wants the bytes, and the buffer is freed here.
    let _ = done.send(Completion { ticket: request.ticket, buffer: request.buffer, result });
}
