//! A disk made of rings (io_uring): one thread a drive keeps `depth` reads in the kernel's hands.
//!
//! Neither rate nor processor time differ much from those of threads (docs/experiments/0006-ways-to-read.md); a probe
//! decides. Buffers are not registered with the kernel: that pins their pages, which ordinary users may not do, and which
//! the pool could then not give back when memory gets short.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use base::{Error, Kind, Result};
use io_uring::{IoUring, Probe, opcode, squeue, types};

use crate::files::{err_read, err_short};
use crate::filling::Chunk;
use crate::queue::{Next, Queues};
use crate::threads::Lanes;
use crate::{Completion, Counters, Disk, Files, Io, ReadRequest};

/// Reads [`Files`] through io_uring. Dropping it lets reads under way finish and answers the ones still queued with
/// [`Kind::Cancelled`]; a read that hangs is left to its thread.
#[derive(Debug)]
pub struct RingDisk {
    queues: Arc<Queues>,
    lanes: Lanes,
}

impl RingDisk {
    /// Starts a ring for each drive, with up to `depth` chunks of at most about `chunk_bytes` in flight.
    /// [`Kind::Unsupported`] where the kernel refuses, as containers often have it do.
    pub fn new(files: Arc<Files>, depth: usize, chunk_bytes: usize) -> Result<Self> {
        let depth = depth.clamp(1, 256);
        let mut rings = Vec::new();
        for _ in 0..files.drives() {
            rings.push((ring(depth).map_err(|error| err_refused(&error))?, bell()?));
        }
        let bells = rings.iter().map(|(_, bell)| bell.try_clone()).collect::<io::Result<Vec<File>>>();
        let bells = bells.map_err(|error| Error::io("making an event counter", &error))?;
        let queues = Arc::new(Queues::new(files, chunk_bytes, bells));
        let disk = Self { lanes: Lanes::new(), queues };
        for (drive, (ring, bell)) in rings.into_iter().enumerate() {
            let queues = Arc::clone(&disk.queues);
            let flights = (0..depth).map(|_| None).collect();
            let mut lane = Lane { ring, bell, flights, queues, drive };
            disk.lanes.start(format!("disk-{drive}-ring"), move || lane.serve())?;
        }
        Ok(disk)
    }
}

impl Disk for RingDisk {
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

impl Drop for RingDisk {
    fn drop(&mut self) {
        self.queues.close();
        self.lanes.leave();
    }
}

/// One drive's thread.
struct Lane {
    ring: IoUring,
    /// Counts what came to the queue; the ring always watches it, so that waiting for reads is waiting for work, too.
    bell: File,
    /// The chunks in the kernel's hands.
    flights: Vec<Option<Flight>>,
    queues: Arc<Queues>,
    drive: usize,
}

/// A chunk in the kernel's hands.
struct Flight {
    chunk: Chunk,
    /// Bytes that have come, a multiple of the step.
    filled: usize,
    retried: bool,
}

/// The bell's name in the ring; reads are named by their place among the flights.
const BELL: u64 = u64::MAX;

impl Lane {
    /// Until the disk is closed and nothing is in flight.
    fn serve(&mut self) {
        self.listen();
        while self.take_off() || self.flights.iter().any(Option::is_some) {
            // An interrupted or crowded call is made again: what is in the queues stays there.
            let _ = self.ring.submit_and_wait(1);
            let landed: Vec<_> =
                self.ring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
            for (place, result) in landed {
                match place {
                    BELL => self.heard(),
                    place => self.land(place as usize, result),
                }
            }
        }
    }

    /// Hands chunks to the kernel as long as there are some and there is room. `false` once the disk is closed.
    fn take_off(&mut self) -> bool {
        while let Some(place) = self.flights.iter().position(Option::is_none) {
            match self.queues.next(self.drive) {
                Next::Chunk(chunk) if chunk.is_moot() => {
                    chunk.end(Ok(()), &self.queues.files, &self.queues.tally);
                }
                Next::Chunk(chunk) => self.fly(place, Flight { chunk, filled: 0, retried: false }),
                Next::Nothing => return true,
                Next::Closed => return false,
            }
        }
        true
    }

    /// Asks for what a chunk still lacks.
    fn fly(&mut self, place: usize, mut flight: Flight) {
        let part = flight.chunk.part;
        let handle = match self.queues.files.handle(part.file) {
            Ok(handle) => types::Fd(handle.as_raw_fd()),
            Err(error) => return flight.chunk.end(Err(error), &self.queues.files, &self.queues.tally),
        };
        let target = &mut flight.chunk.bytes()[flight.filled..];
        let len = u32::try_from(target.len()).unwrap_or(u32::MAX / 4096 * 4096);
        let read = opcode::Read::new(handle, target.as_mut_ptr(), len);
        let read = read.offset(part.offset + flight.filled as u64).build().user_data(place as u64);
        self.flights[place] = Some(flight);
        // SAFETY: the target belongs to a chunk that stays in `flights` until the kernel has told that the read is
        // over, and keeps its buffer alive; the handle belongs to `queues.files`, which this lane shares.
        unsafe { self.push(&read) };
    }

    /// Has the ring watch the bell.
    fn listen(&mut self) {
        let bell = types::Fd(self.bell.as_raw_fd());
        let watch = opcode::PollAdd::new(bell, libc::POLLIN as u32).build().user_data(BELL);
        // SAFETY: the entry points to no memory, and the bell lives as long as the ring.
        unsafe { self.push(&watch) };
    }

    /// The bell rang: it is quiet again, and watched.
    fn heard(&mut self) {
        // It never blocks, as there is something to read; how often it rang does not matter.
        let _ = self.bell.read(&mut [0; 8]);
        self.listen();
    }

    /// # Safety
    /// What the entry points to stays valid until the kernel has told that it is over.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: as promised by the caller.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // Full of entries the kernel has not taken yet: there are twice as many places as reads in flight.
            let _ = self.ring.submit();
        }
    }

    /// A read is over: the chunk is, too, or it goes on.
    fn land(&mut self, place: usize, result: i32) {
        let Some(mut flight) = self.flights[place].take() else { return };
        let part = flight.chunk.part;
        let Queues { files, tally, .. } = self.queues.as_ref();
        let failure = match usize::try_from(result) {
            Ok(got) if flight.filled + got >= part.needed => {
                tally.asked(part.len as u64);
                return flight.chunk.end(Ok(()), files, tally);
            }
            Ok(got) => {
                let filled = flight.filled + got;
                let next = filled - filled % files.step();
                if next > flight.filled {
                    flight.filled = next;
                    return self.fly(place, flight);
                }
                err_short(part.needed, part.offset, filled)
            }
            Err(_) if [libc::EINTR, libc::EAGAIN].contains(&-result) => return self.fly(place, flight),
            Err(_) => err_read(part.needed, part.offset, &io::Error::from_raw_os_error(-result)),
        };
        let failure = files.explain(part.file, failure);
        if failure.kind() == Kind::Io && !flight.retried {
            tally.retried();
            return self.fly(place, Flight { filled: 0, retried: true, ..flight });
        }
        flight.chunk.end(Err(failure), files, tally);
    }
}

/// A ring that takes plain reads.
fn ring(depth: usize) -> io::Result<IoUring> {
    let ring = IoUring::new((2 * depth as u32 + 2).next_power_of_two())?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    if probe.is_supported(opcode::Read::CODE) { Ok(ring) } else { Err(io::ErrorKind::Unsupported.into()) }
}

fn bell() -> Result<File> {
    // SAFETY: the call takes no memory of ours, and the descriptor it returns is nobody else's.
    let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if bell < 0 {
        return Err(Error::io("making an event counter", &io::Error::last_os_error()));
    }
    // SAFETY: as above.
    Ok(unsafe { File::from_raw_fd(bell) })
}

fn err_refused(error: &io::Error) -> Error {
    Error::unsupported(format!("io_uring is refused ({error})"))
}
