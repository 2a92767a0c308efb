//! The door to the engine's thread: requests go in, and what it is doing can be looked at.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::status::Status;
use super::work::Work;
use crate::refusal::Refusal;

/// Takes requests for the engine, from any thread.
#[derive(Clone)]
pub struct Desk {
    orders: SyncSender<Work>,
    shared: Arc<Shared>,
}

/// What both sides of the door know.
pub(super) struct Shared {
    /// Answers handed in that have not begun.
    pub waiting: AtomicUsize,
    /// Answers under way.
    pub live: AtomicUsize,
    /// Milliseconds that an answer takes, lately.
    pub answer_millis: AtomicU64,
    /// No more is taken.
    pub closed: AtomicBool,
    /// No more is begun, and what goes on ends.
    pub ending: AtomicBool,
    /// Ends the engine's step.
    pub cancel: Arc<AtomicBool>,
    pub status: Mutex<Status>,
    /// Of the prompts in the pass under way: tokens done, and all of them.
    pub passing: Mutex<Option<(usize, usize)>>,
    parallel: usize,
    queue: usize,
}

impl Desk {
    /// A door to an engine that generates `parallel` answers at once while `queue` wait. `cancel` ends a step.
    pub(super) fn new(
        parallel: usize,
        queue: usize,
        cancel: Arc<AtomicBool>,
    ) -> (Self, Receiver<Work>, Arc<Shared>) {
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            answer_millis: AtomicU64::new(1000),
            closed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            cancel,
            status: Mutex::default(),
            passing: Mutex::default(),
            parallel,
            queue,
        });
        let (orders, receiver) = sync_channel(queue + parallel);
        (Self { orders, shared: shared.clone() }, receiver, shared)
    }

    /// Hands in a request. Refused when too many wait already, or the server is about to end.
    pub fn submit(&self, work: Work) -> Result<(), Refusal> {
        let count = work.seeds.len();
        if self.is_ending() {
            return Err(Refusal::stopping());
        }
        let before = self.shared.waiting.fetch_add(count, Ordering::Relaxed);
        let idle = self.shared.parallel.saturating_sub(self.shared.live.load(Ordering::Relaxed));
        let sent = if before + count > self.shared.queue + idle {
            Err(self.err_busy(before))
        } else {
            self.orders.try_send(work).map_err(|error| match error {
                TrySendError::Full(_) => self.err_busy(before),
                TrySendError::Disconnected(_) => Refusal::stopping(),
            })
        };
        if sent.is_err() {
            self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        }
        sent
    }

    /// The engine as it was after its last step.
    pub fn status(&self) -> Status {
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let passing = *self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((done, _)), [answer]) = (passing, &mut status.answers[..]) {
            answer.advance(done);
        }
        status.waiting = self.shared.waiting.load(Ordering::Relaxed);
        status.memory.resident_bytes = tidemill::machine::resident();
        status
    }

    /// Somebody has gone away: if nobody else is served, the step under way is for nothing.
    pub fn hung_up(&self) {
        if self.shared.live.load(Ordering::Relaxed) <= 1 {
            self.shared.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Takes nothing more; what was taken goes on.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }

    /// Nothing more is taken.
    pub fn is_ending(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed) || self.shared.ending.load(Ordering::Relaxed)
    }

    /// Begins nothing more and ends what goes on. What waits is told so.
    pub fn end(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        self.shared.cancel.store(true, Ordering::Relaxed);
    }

    /// Nothing goes on and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.shared.live.load(Ordering::Relaxed) + self.shared.waiting.load(Ordering::Relaxed) == 0
    }

    fn err_busy(&self, waiting: usize) -> Refusal {
        let millis = self.shared.answer_millis.load(Ordering::Relaxed);
        let turns = waiting / self.shared.parallel + 1;
        let seconds = (millis * turns as u64).div_ceil(1000).clamp(1, 600);
        Refusal::busy(format!("{waiting} answers wait already, which is as many as may"), seconds)
    }
}
