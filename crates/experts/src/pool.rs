//! The expert pool: which experts are resident, and the verbs that change it.
//!
//! Every expert is absent, on its way, or resident. A dense table says which, so a hit costs an index and a
//! reference count whatever the pool's size. Reads in flight own their buffers; when one lands its expert becomes
//! resident, whether or not anybody still waits for it, so a request can be dropped at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use base::{Context, Error, ExpertId, ExpertKey, Kind, LayerId, Result, Timeline};
use disk::{Completion, Disk, Priority, ReadRequest};

use crate::banks::{Banks, Guess, Place};
use crate::bound::Bound;
use crate::catalogue::Catalogue;
use crate::forecast::{Forecasts, Lookahead};
use crate::lease::Lease;
use crate::opened::{Landing, Opened, Unread};
use crate::policy::Policy;
use crate::roster::{Standing, Wanted};
use crate::shelf::{Shelf, ShelfSize, arrange, lay_out_all, shelf_of_layers};
use crate::stats::PoolStats;

/// A bounded set of resident experts. Resident, leased and in flight together never exceed the budget.
pub struct ExpertPool {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) landings: (Sender<Completion>, Receiver<Completion>),
    pub(crate) banks: Banks,
    pub(crate) shelves: Vec<Shelf>,
    cancel: Arc<AtomicBool>,
    give_up: Duration,
    bound: Arc<Bound>,
    watch: Option<Watch>,
    pub(crate) timeline: Timeline,
    pub(crate) forecasts: Forecasts,
    pub(crate) guesses: Vec<Guess>,
    pub(crate) requests: u64,
    /// A request that waits for its caller to come back.
    pub(crate) aside: Option<(LayerId, Opened)>,
    /// When the last request was done with, and its layer.
    pub(crate) last: Option<(LayerId, Instant)>,
    pub(crate) stats: PoolStats,
}

/// Hears every request: the layer, and its experts in the order in which they are settled, each with its number of tokens.
pub type Watch = Box<dyn FnMut(LayerId, &[(ExpertId, u32)]) + Send>;

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
        let capacity_bytes = shelves.iter().map(|shelf| (shelf.roster.slots * shelf.slot_bytes) as u64).sum();
        Ok(Self {
            disk,
            landings: mpsc::channel(),
            banks: Banks::new(layers, shelf_of_layers(&classes, catalogue.layers() as usize)),
            shelves,
            cancel: Arc::default(),
            give_up: GIVE_UP,
            bound: Arc::new(Bound::new(budget_bytes)),
            watch: None,
            timeline: Timeline::default(),
            forecasts: Forecasts::new(Lookahead::Off),
            guesses: Vec::new(),
            requests: 0,
            aside: None,
            last: None,
            stats: PoolStats { budget_bytes, capacity_bytes, ..PoolStats::default() },
        })
    }

    /// Lets `flag` end a wait: while it is set, [`Arrivals::next_ready`](crate::Arrivals::next_ready) fails with
    /// [`Kind::Cancelled`](base::Kind::Cancelled) instead of blocking.
    pub fn cancel_with(&mut self, flag: Arc<AtomicBool>) {
        self.cancel = flag;
    }

    /// How long a request waits for a read before it fails with [`Kind::Io`](base::Kind::Io): 75 seconds if nobody says.
    pub fn give_up_after(&mut self, time: Duration) {
        self.give_up = time;
    }

    /// Gives up every resident expert, so that the next request finds the pool as empty as the first one did.
    ///
    /// [`Kind::Cancelled`](base::Kind::Cancelled) when it would block on reads in flight while the flag of
    /// [`cancel_with`](Self::cancel_with) is set.
    pub fn clear(&mut self) -> Result<()> {
        self.forget_aside();
        self.forget_guesses();
        while self.is_guessing() || self.shelves.iter().any(|shelf| shelf.reading > 0) {
            let completion = self.wait()?;
            let _ = self.settle(completion); // nobody waits for it
        }
        for shelf in 0..self.shelves.len() {
            while self.evict(shelf) {}
        }
        Ok(())
    }

    /// What the pool may hold, for another thread to set. It begins with the whole budget.
    pub fn bound(&self) -> Arc<Bound> {
        self.bound.clone()
    }

    /// Lets `watch` hear every request from now on; `None` ends it.
    pub fn watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }

    /// Writes down reads and waits from now on.
    pub fn log_to(&mut self, timeline: Timeline) {
        self.timeline = timeline;
    }

    /// How many experts each shelf holds, and of which layers: what a [`Replay`](crate::simulate::Replay) starts from.
    pub fn shelves(&self) -> Vec<ShelfSize> {
        let size = |(index, shelf): (usize, &Shelf)| {
            let layers = self.banks.layers().filter(|layer| self.banks.shelf(*layer) == index).collect();
            ShelfSize { slots: shelf.roster.slots, layers }
        };
        self.shelves.iter().enumerate().map(size).collect()
    }

    /// What was done so far, and what is held now.
    pub fn stats(&self) -> PoolStats {
        let mut stats = self.stats;
        stats.retries = self.disk.counters().retries;
        for shelf in &self.shelves {
            let slot_bytes = shelf.slot_bytes as u64;
            stats.allocated_bytes += shelf.made as u64 * slot_bytes;
            stats.in_flight_bytes += shelf.reading as u64 * slot_bytes;
            stats.resident_bytes += shelf.holding() as u64 * slot_bytes;
        }
        stats
    }
}

/// What a request does with the pool.
impl ExpertPool {
    /// Checks a request, gives it the next number, and settles what landed since the last and who makes room. Answers
    /// with the experts as they were found, in file order, and those of the misses that are to stay.
    pub(crate) fn open_request(&mut self, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<Opened> {
        self.banks.check(layer, experts)?;
        self.requests += 1;
        self.forget_aside();
        while let Some(completion) = self.landed() {
            // Asked for by a request that was abandoned: a failure is counted, and nobody is left to be told.
            let _ = self.settle(completion);
        }
        self.obey();
        if experts.is_empty() {
            return Ok(Opened::default());
        }
        self.forecasts.judge(layer, experts);
        let mut experts = experts.to_vec();
        experts.sort_by_cached_key(|(expert, _)| self.file_order(ExpertKey { layer, expert: *expert }));
        if let Some(watch) = &mut self.watch {
            watch(layer, &experts);
        }
        let find = |(expert, tokens): (ExpertId, u32)| {
            (expert, tokens, self.banks.entry(ExpertKey { layer, expert }).standing())
        };
        let wanted: Vec<Wanted> = experts.into_iter().map(find).collect();
        let banks = &self.banks;
        let roster = &mut self.shelves[banks.shelf(layer)].roster;
        let settled = roster.settle(layer, &wanted, &|key| banks.entry(key).is_evictable());
        let mut opened = Opened::default();
        for (expert, _, standing) in wanted {
            self.find(ExpertKey { layer, expert }, standing, &mut opened);
        }
        self.stats.evictions += settled.leaving.len() as u64;
        for key in settled.leaving.iter().chain(&settled.homeless) {
            opened.unread.iter_mut().filter(|one| one.key == *key).for_each(|one| one.stays = false);
            self.give_up(*key);
        }
        self.drop_guesses();
        Ok(opened)
    }

    /// Leases a resident, waits for what is on its way, lists what is to be read; and counts it.
    fn find(&mut self, key: ExpertKey, standing: Standing, opened: &mut Opened) {
        let entry = self.banks.entry_mut(key);
        match standing {
            Standing::Hit => self.stats.hits += 1,
            Standing::Late => self.stats.late_hits += 1,
            Standing::Miss => self.stats.misses += 1,
        }
        match &mut entry.place {
            Place::Resident(buffer) => {
                opened.hits.push_back(Lease::new(key.expert, entry.layout.pieces.clone(), buffer.clone()));
            }
            Place::Reading { request, .. } => {
                *request = self.requests;
                opened.reading += 1;
            }
            Place::Absent => {
                if !self.redeem(key, opened) {
                    opened.unread.push_back(Unread { key, stays: true });
                }
            }
        }
    }

    /// Gives up the buffer of a resident, once nobody leases it. One that is not here was only to pass through.
    fn give_up(&mut self, key: ExpertKey) {
        let entry = self.banks.entry_mut(key);
        if let Place::Reading { stays, .. } = &mut entry.place {
            *stays = false; // a guess that has become a demand
        } else if let Place::Resident(buffer) = std::mem::replace(&mut entry.place, Place::Absent) {
            self.shelves[self.banks.shelf(key.layer)].give_up(buffer);
        }
    }

    /// Where the expert's first byte lies, for reading in file order.
    fn file_order(&self, key: ExpertKey) -> impl Ord + use<> {
        self.banks.entry(key).layout.pieces.first().map(|piece| piece.extent)
    }

    /// Starts reading an absent expert. `false` when every slot of its shelf is leased or being read to.
    pub(crate) fn start_read(&mut self, unread: Unread) -> Result<bool> {
        let Unread { key, stays } = unread;
        let shelf = &mut self.shelves[self.banks.shelf(key.layer)];
        let Some(buffer) = shelf.spare().within(|| key)? else { return Ok(false) };
        shelf.reading += 1;
        let entry = self.banks.entry_mut(key);
        entry.place = Place::Reading { request: self.requests, stays };
        let pieces = entry.layout.pieces.clone();
        self.timeline.begins("read", ticket(key));
        self.disk.submit(
            ReadRequest { ticket: ticket(key), priority: Priority::Demand, pieces, buffer },
            &self.landings.0,
        );
        Ok(true)
    }

    /// A request was dropped before this one's turn came.
    pub(crate) fn forsake(&mut self, unread: Unread) {
        if unread.stays {
            self.shelves[self.banks.shelf(unread.key.layer)].roster.leave(unread.key);
        }
    }

    /// Gives up some resident of the layer's shelf for an expert that had no slot. Where all are leased, whoever leases
    /// them waits for one more: the budget is the bound then.
    pub(crate) fn make_room(&mut self, layer: LayerId) -> Result<bool> {
        let shelf = self.banks.shelf(layer);
        Ok(self.evict(shelf) || self.shelves[shelf].one_more()?)
    }

    /// Gives up a resident of the shelf that nobody leases, if there is one.
    fn evict(&mut self, shelf: usize) -> bool {
        let banks = &self.banks;
        let roster = &mut self.shelves[shelf].roster;
        let Some(victim) = roster.any(&|key| banks.entry(key).is_evictable()) else { return false };
        roster.leave(victim);
        self.stats.evictions += 1;
        self.give_up(victim);
        true
    }

    /// Gives slots back to the system until the pool holds no more than its bound, as far as experts can be given up.
    fn obey(&mut self) {
        let (bound, budget) = (self.bound.bytes(), self.stats.budget_bytes.max(1));
        let mut held = 0;
        for shelf in 0..self.shelves.len() {
            let one = &mut self.shelves[shelf];
            let share = u128::from(bound.min(budget)) * one.most as u128 / u128::from(budget);
            one.roster.slots = (share as usize).max(one.most.min(1));
            while self.shelves[shelf].roster.is_over() && self.evict(shelf) {}
            let released = self.shelves[shelf].release();
            let one = &self.shelves[shelf];
            self.stats.given_back_bytes += (released * one.slot_bytes) as u64;
            held += (one.made * one.slot_bytes) as u64;
        }
        self.bound.tell(held);
    }

    /// Most experts of one request of that layer to have in flight.
    pub(crate) fn window(&self, layer: LayerId) -> usize {
        self.shelves[self.banks.shelf(layer)].roster.window()
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
        let (start, timeline) = (Instant::now(), self.timeline.clone());
        let _waiting = timeline.during("wait", 0);
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
        let name = if is_guess(completion.ticket) { "guess" } else { "read" };
        self.timeline.ends(name, completion.ticket);
        let Some(completion) = self.settle_guess(completion) else { return Landing::Unwanted };
        let key = key(completion.ticket);
        let shelf = &mut self.shelves[self.banks.shelf(key.layer)];
        let entry = self.banks.entry_mut(key);
        let Place::Reading { request, stays } = entry.place else {
            unreachable!("a read of {key} ended that was never started")
        };
        shelf.reading -= 1;
        let wanted = request == self.requests;
        if let Err(error) = completion.result {
            entry.place = Place::Absent;
            shelf.give_back(completion.buffer);
            if stays {
                shelf.roster.leave(key);
            }
            self.stats.failed_reads += 1;
            return if wanted { Landing::Failed(error.within(key)) } else { Landing::Unwanted };
        }
        self.stats.reads += 1;
        self.stats.bytes_read += entry.layout.bytes;
        let buffer = Arc::new(completion.buffer);
        let lease = Lease::new(key.expert, entry.layout.pieces.clone(), buffer.clone());
        if stays {
            entry.place = Place::Resident(buffer);
        } else {
            entry.place = Place::Absent;
            shelf.give_up(buffer);
        }
        if wanted { Landing::Ready(lease) } else { Landing::Unwanted }
    }
}

fn err_hung(time: Duration) -> Error {
    Error::new(Kind::Io, format!("no read has ended for {} s: the drive hangs", time.as_secs()))
}

/// A key is read at most once at a time, so it can name the read.
pub(crate) fn ticket(key: ExpertKey) -> u64 {
    u64::from(key.layer.0) << 32 | u64::from(key.expert.0)
}

/// Marks the tickets of guesses. A guess that is asked for keeps its ticket.
pub(crate) const GUESS: u64 = 1 << 63;

fn is_guess(ticket: u64) -> bool {
    ticket & GUESS != 0
}

pub(crate) fn key(ticket: u64) -> ExpertKey {
    ExpertKey::new((ticket >> 32) as u32, ticket as u32)
}
