//! The expert pool: which experts are resident, and the verbs that change it.
//!
//! Every expert is absent, on its way, or resident. A dense table says which, so a hit costs an index and a
//! reference count whatever the pool's size. Reads in flight own their buffers; when one lands its expert becomes
//! resident, whether or not anybody still waits for it, so a request can be dropped at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use base::{AlignedBuf, Context, Error, ExpertId, ExpertKey, Kind, LayerId, Result};
use disk::{Completion, Disk, Priority, ReadRequest};

use crate::banks::{Banks, Place};
use crate::bound::Bound;
use crate::catalogue::Catalogue;
use crate::lease::Lease;
use crate::policy::Policy;
use crate::shelf::{Shelf, arrange, lay_out_all, shelf_of_layers};
use crate::stats::PoolStats;

/// A bounded set of resident experts. Resident, leased and in flight together never exceed the budget.
pub struct ExpertPool {
    disk: Arc<dyn Disk>,
    landings: (Sender<Completion>, Receiver<Completion>),
    banks: Banks,
    shelves: Vec<Shelf>,
    cancel: Arc<AtomicBool>,
    give_up: Duration,
    bound: Arc<Bound>,
    last_layer: Option<LayerId>,
    requests: u64,
    stats: PoolStats,
}

/// How often a blocked caller looks at the cancel flag.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// How long a caller waits for a read before the drive counts as hung. Drives that recover do so when the system's own
/// limit of 30 seconds a command has passed, and the command was given again.
const GIVE_UP: Duration = Duration::from_secs(75);

impl ExpertPool {
    /// An empty pool of at most `budget_bytes`; buffers are made as they are first needed.
    ///
    /// [`Kind::Budget`](base::Kind::Budget) when one expert does not fit, naming the smallest workable figure (also
    /// found by [`needs`](crate::needs)); the catalogue's extents are checked as [`disk::lay_out`] does.
    pub fn new(
        catalogue: &dyn Catalogue,
        disk: Arc<dyn Disk>,
        budget_bytes: u64,
        policy: Policy,
    ) -> Result<Self> {
        let layers = lay_out_all(catalogue)?;
        let classes = arrange(&layers, budget_bytes)?;
        let shelves: Vec<Shelf> = classes.iter().map(|class| Shelf::new(class, (policy.make)())).collect();
        let capacity_bytes = shelves.iter().map(|shelf| (shelf.slots * shelf.slot_bytes) as u64).sum();
        Ok(Self {
            disk,
            landings: mpsc::channel(),
            banks: Banks::new(layers, shelf_of_layers(&classes, catalogue.layers() as usize)),
            shelves,
            cancel: Arc::default(),
            give_up: GIVE_UP,
            bound: Arc::new(Bound::new(budget_bytes)),
            last_layer: None,
            requests: 0,
            stats: PoolStats { budget_bytes, capacity_bytes, ..PoolStats::default() },
        })
    }

    /// Lets `flag` end a wait: while it is set, [`Arrivals::next_ready`](crate::Arrivals::next_ready) fails with
    /// [`Kind::Cancelled`](base::Kind::Cancelled) instead of blocking.
    pub fn cancel_with(&mut self, flag: Arc<AtomicBool>) {
        self.cancel = flag;
    }

    /// Gives up every resident expert, so that the next request finds the pool as empty as the first one did.
    ///
    /// [`Kind::Cancelled`](base::Kind::Cancelled) when it would block on reads in flight while the flag of
    /// [`cancel_with`](Self::cancel_with) is set.
    pub fn clear(&mut self) -> Result<()> {
        while self.shelves.iter().any(|shelf| shelf.reading > 0) {
            let completion = self.wait()?;
            let _ = self.settle(completion); // nobody waits for it
        }
        for shelf in 0..self.shelves.len() {
            while let Some(buffer) = self.evict(shelf) {
                self.shelves[shelf].free.push(buffer);
            }
        }
        Ok(())
    }

    /// How long a request waits for a read before it fails with [`Kind::Io`](base::Kind::Io): 75 seconds if nobody says.
    pub fn give_up_after(&mut self, time: Duration) {
        self.give_up = time;
    }

    /// What the pool may hold, for another thread to set. It begins with the whole budget.
    pub fn bound(&self) -> Arc<Bound> {
        self.bound.clone()
    }

    /// What was done so far, and what is held now.
    pub fn stats(&self) -> PoolStats {
        let mut stats = self.stats;
        stats.retries = self.disk.counters().retries;
        for shelf in &self.shelves {
            let slot_bytes = shelf.slot_bytes as u64;
            let resident = shelf.made - shelf.reading - shelf.free.len();
            stats.allocated_bytes += shelf.made as u64 * slot_bytes;
            stats.in_flight_bytes += shelf.reading as u64 * slot_bytes;
            stats.resident_bytes += resident as u64 * slot_bytes;
        }
        stats
    }
}

/// What a request does with the pool.
impl ExpertPool {
    /// Checks a request, gives it the next number, and settles what landed since the last.
    pub(crate) fn open_request(&mut self, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<()> {
        self.banks.check(layer, experts)?;
        if self.last_layer.is_some_and(|last| layer <= last) {
            self.shelves.iter_mut().for_each(|shelf| shelf.policy.tick());
        }
        self.last_layer = Some(layer);
        self.requests += 1;
        while let Some(completion) = self.landed() {
            // Asked for by a request that was abandoned: a failure is counted, and nobody is left to be told.
            let _ = self.settle(completion);
        }
        self.obey();
        Ok(())
    }

    /// Looks `key` up for the latest request, and counts what it found.
    pub(crate) fn find(&mut self, key: ExpertKey, tokens: u32) -> Found {
        let shelf = self.banks.shelf(key.layer);
        let entry = self.banks.entry_mut(key);
        match &mut entry.place {
            Place::Resident(buffer) => {
                let lease = Lease::new(key.expert, entry.layout.pieces.clone(), buffer.clone());
                self.shelves[shelf].policy.touched(key, tokens);
                self.stats.hits += 1;
                Found::Resident(lease)
            }
            Place::Reading { request, tokens: waiting } => {
                *request = self.requests;
                *waiting = waiting.saturating_add(tokens);
                self.stats.late_hits += 1;
                Found::Reading
            }
            Place::Absent => {
                self.stats.misses += 1;
                Found::Absent
            }
        }
    }

    /// Where the expert's first byte lies, for reading in file order.
    pub(crate) fn file_order(&self, key: ExpertKey) -> impl Ord + use<> {
        self.banks.entry(key).layout.pieces.first().map(|piece| piece.extent)
    }

    /// Starts reading an absent expert. `false` when every slot of its shelf is leased or being read to.
    pub(crate) fn start_read(&mut self, key: ExpertKey, tokens: u32) -> Result<bool> {
        let shelf = self.banks.shelf(key.layer);
        let Some(buffer) = self.vacate(shelf).within(|| key)? else { return Ok(false) };
        self.shelves[shelf].reading += 1;
        let entry = self.banks.entry_mut(key);
        entry.place = Place::Reading { request: self.requests, tokens };
        let pieces = entry.layout.pieces.clone();
        self.disk.submit(
            ReadRequest { ticket: ticket(key), priority: Priority::Demand, pieces, buffer },
            &self.landings.0,
        );
        Ok(true)
    }

    /// The slots that the layer shares with those of its shelf.
    pub(crate) fn slots(&self, layer: LayerId) -> usize {
        self.shelves[self.banks.shelf(layer)].slots
    }

    /// Whether a read to the layer's shelf is in flight, whoever asked for it.
    pub(crate) fn is_reading(&self, layer: LayerId) -> bool {
        self.shelves[self.banks.shelf(layer)].reading > 0
    }

    /// A read that is over, if there is one.
    pub(crate) fn landed(&self) -> Option<Completion> {
        self.landings.1.try_recv().ok()
    }

    /// Blocks until a read is over, or the caller is cancelled.
    pub(crate) fn wait(&mut self) -> Result<Completion> {
        let start = Instant::now();
        let landed = loop {
            if self.cancel.load(Ordering::Relaxed) {
                break Err(Error::cancelled());
            }
            if start.elapsed() > self.give_up {
                break Err(err_hung(self.give_up));
            }
            self.obey();
            self.disk.flush();
            match self.landings.1.recv_timeout(CANCEL_POLL) {
                Ok(completion) => break Ok(completion),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the pool holds a sender"),
            }
        };
        self.stats.wait += start.elapsed();
        self.stats.longest_wait = self.stats.longest_wait.max(start.elapsed());
        landed
    }

    /// Makes the expert of a finished read resident, or absent again when the read failed. Answers with its lease
    /// if it is the latest request that waits for it.
    pub(crate) fn settle(&mut self, completion: Completion) -> Landing {
        let key = key(completion.ticket);
        let shelf = &mut self.shelves[self.banks.shelf(key.layer)];
        let entry = self.banks.entry_mut(key);
        let Place::Reading { request, tokens } = entry.place else {
            unreachable!("a read of {key} ended that was never started")
        };
        shelf.reading -= 1;
        let wanted = request == self.requests;
        if let Err(error) = completion.result {
            entry.place = Place::Absent;
            shelf.free.push(completion.buffer);
            self.stats.failed_reads += 1;
            return if wanted { Landing::Failed(error.within(key)) } else { Landing::Unwanted };
        }
        self.stats.reads += 1;
        self.stats.bytes_read += entry.layout.bytes;
        let buffer = Arc::new(completion.buffer);
        entry.place = Place::Resident(buffer.clone());
        shelf.policy.inserted(key, tokens);
        if !wanted {
            return Landing::Unwanted;
        }
        Landing::Ready(Lease::new(key.expert, entry.layout.pieces.clone(), buffer))
    }

    /// Gives slots back to the system until the pool holds no more than its bound, as far as experts can be given up.
    fn obey(&mut self) {
        let (bound, budget) = (self.bound.bytes(), self.stats.budget_bytes.max(1));
        let mut held = 0;
        for shelf in 0..self.shelves.len() {
            let one = &mut self.shelves[shelf];
            let share = u128::from(bound.min(budget)) * one.most as u128 / u128::from(budget);
            one.slots = (share as usize).max(one.most.min(1));
            while self.shelves[shelf].made > self.shelves[shelf].slots {
                let buffer = self.shelves[shelf].free.pop().or_else(|| self.evict(shelf));
                if buffer.is_none() {
                    break; // the rest is leased or being read to
                }
                drop(buffer);
                self.shelves[shelf].made -= 1;
                self.stats.given_back_bytes += self.shelves[shelf].slot_bytes as u64;
            }
            held += (self.shelves[shelf].made * self.shelves[shelf].slot_bytes) as u64;
        }
        self.bound.tell(held);
    }

    /// An empty buffer of the shelf: a spare one, or that of an expert given up for it.
    fn vacate(&mut self, shelf: usize) -> Result<Option<AlignedBuf>> {
        match self.shelves[shelf].spare()? {
            Some(spare) => Ok(Some(spare)),
            None => match self.evict(shelf) {
                // Whoever leases all that the bound allows waits for one more: the budget is the bound then.
                None if self.shelves[shelf].reading == 0 => self.shelves[shelf].one_more(),
                found => Ok(found),
            },
        }
    }

    /// The buffer of the expert that the policy gives up; `None` when all of the shelf are leased.
    fn evict(&mut self, shelf: usize) -> Option<AlignedBuf> {
        let (shelf, banks) = (&mut self.shelves[shelf], &self.banks);
        let victim = shelf.policy.victim(&|key| banks.entry(key).is_evictable())?;
        let place = std::mem::replace(&mut self.banks.entry_mut(victim).place, Place::Absent);
        let Place::Resident(buffer) = place else {
            panic!("the policy gave up {victim}, which is not resident")
        };
        shelf.policy.removed(victim);
        self.stats.evictions += 1;
        let buffer = Arc::into_inner(buffer);
        Some(buffer.unwrap_or_else(|| panic!("the policy gave up {victim}, which is leased")))
    }
}

fn err_hung(time: Duration) -> Error {
    Error::new(Kind::Io, format!("no read has ended for {} s: the drive hangs", time.as_secs()))
}

/// What a request finds.
pub(crate) enum Found {
    Resident(Lease),
    Reading,
    Absent,
}

/// How a read ended, for the latest request.
pub(crate) enum Landing {
    Ready(Lease),
    Failed(Error),
    Unwanted,
}

/// A key is read at most once at a time, so it can name the read.
fn ticket(key: ExpertKey) -> u64 {
    u64::from(key.layer.0) << 32 | u64::from(key.expert.0)
}

fn key(ticket: u64) -> ExpertKey {
    ExpertKey::new((ticket >> 32) as u32, ticket as u32)
}
