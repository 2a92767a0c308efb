//! A disk made of threads that call positioned reads, available everywhere.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base::{Error, Kind, Result};

use crate::filling::Chunk;
use crate::queue::Queues;
use crate::{Completion, Counters, Disk, Files, Io, ReadRequest};

/// Reads [`Files`] on threads of its own. Dropping it lets reads under way finish and answers the ones still queued
/// with [`Kind::Cancelled`]; a read that hangs is left to its thread.
#[derive(Debug)]
pub struct ThreadedDisk {
    queues: Arc<Queues>,
    lanes: Lanes,
}

impl ThreadedDisk {
    /// Starts `depth` threads (at least one) for each drive: as many chunks of at most about `chunk_bytes` are in
    /// flight at once.
    pub fn new(files: Arc<Files>, depth: usize, chunk_bytes: usize) -> Result<Self> {
        let queues = Arc::new(Queues::new(files, chunk_bytes, Vec::new()));
        let disk = Self { lanes: Lanes::new(), queues };
        for drive in 0..disk.queues.files.drives() {
            for lane in 0..depth.max(1) {
                let queues = Arc::clone(&disk.queues);
                disk.lanes.start(format!("disk-{drive}-{lane}"), move || serve(&queues, drive))?;
            }
        }
        Ok(disk)
    }
}

impl Disk for ThreadedDisk {
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        self.queues.submit(request, done);
    }

    fn cancel(&self, ticket: u64) {
        self.queues.cancel(ticket);
    }

    fn promote(&self, ticket: u64) {
        self.queues.promote(ticket);
    }

    fn counters(&self) -> Counters {
        self.queues.tally.counters()
    }

    fn io(&self) -> Io {
        self.queues.files.io()
    }
}

impl Drop for ThreadedDisk {
    fn drop(&mut self) {
        self.queues.close();
        self.lanes.leave();
    }
}

/// One thread's life.
fn serve(queues: &Queues, drive: usize) {
    let Queues { files, tally, .. } = queues;
    while let Some(mut chunk) = queues.wait(drive) {
        let result = if chunk.is_moot() { Ok(()) } else { read(queues, &mut chunk) };
        chunk.end(result, files, tally);
    }
}

/// Reads one chunk, once more when the system fails it: drives and cables do recover.
fn read(queues: &Queues, chunk: &mut Chunk) -> Result<()> {
    let Queues { files, tally, .. } = queues;
    let part = chunk.part;
    let mut result = files.read_part(&part, chunk.bytes());
    if result.as_ref().is_err_and(|error| error.kind() == Kind::Io) {
        tally.retried();
        result = files.read_part(&part, chunk.bytes());
    }
    if result.is_ok() {
        tally.asked(part.len as u64);
    }
    result
}

/// The threads of a disk.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Every thread holds a sender and never sends: the channel ends with the last of them.
    ends: (Option<Sender<()>>, Mutex<Receiver<()>>),
}

/// How long a disk that is dropped waits for reads under way. One that hangs is left behind: its thread owns all it
/// needs, and a drive that does not answer must not keep a program from ending.
const PATIENCE: Duration = Duration::from_secs(1);

impl Lanes {
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        Self { ends: (Some(sender), Mutex::new(receiver)) }
    }

    /// Starts a thread.
    pub fn start(&self, name: String, life: impl FnOnce() + Send + 'static) -> Result<()> {
        let end = self.ends.0.clone();
        let lane = thread::Builder::new().name(name).spawn(move || {
            life();
            drop(end);
        });
        lane.map(drop).map_err(|error| Error::io("starting a reader thread", &error))
    }

    /// Waits for the threads to end, but not for long.
    pub fn leave(&mut self) {
        self.ends.0 = None;
        // Nothing is ever sent: this ends with the last thread, or with patience.
        let _ = self.ends.1.get_mut().map(|ends| ends.recv_timeout(PATIENCE));
    }
}
