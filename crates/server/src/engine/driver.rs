//! The engine's thread: takes requests, steps as long as there is something to do, and tells what came of it.
//!
//! Requests join and leave between any two steps. Whoever's turn it is begins as soon as one of `parallel` places and
//! enough of the context are free; finished sequences stay in what is left of the context, for prompts that return.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base::{Error, Kind, Result, TokenId};
use tidemill::{Engine, Event, Finish, PROMPT_MIN, SequenceId};

use super::desk::{Desk, Shared};
use super::keeping::Keeping;
use super::pulse::Pulse;
use super::queue::Queue;
use super::status::{AnswerStatus, Status};
use super::work::{News, Seat, Work};
use crate::refusal::Refusal;

/// A beginning shared with a former sequence is worth taking over from so many tokens on.
const SHARED_MIN: usize = 8;

/// Owns the engine.
pub struct Driver {
    engine: Engine,
    orders: Receiver<Work>,
    shared: Arc<Shared>,
    parallel: usize,
    queue: Queue<Seat>,
    live: BTreeMap<SequenceId, Live>,
    /// Finished sequences, the one used longest ago first.
    kept: VecDeque<SequenceId>,
    keeping: Keeping,
    pulse: Pulse,
    status: Status,
    /// No more requests can come.
    closed: bool,
}

/// An answer under way.
struct Live {
    seat: Seat,
    status: AnswerStatus,
    began: Instant,
}

impl Driver {
    /// A driver of `engine`, and the door to it.
    pub fn new(mut engine: Engine, keeping: Keeping, parallel: usize, queue: usize) -> (Self, Desk) {
        let (desk, orders, shared) = Desk::new(parallel, queue, engine.cancel_flag());
        let passing = shared.clone();
        engine.on_progress(Some(Box::new(move |done, all| {
            *passing.passing.lock().unwrap_or_else(PoisonError::into_inner) = Some((done, all));
        })));
        let mut driver = Self {
            engine,
            orders,
            shared,
            parallel,
            queue: Queue::default(),
            live: BTreeMap::new(),
            kept: VecDeque::new(),
            keeping,
            pulse: Pulse::default(),
            status: Status::default(),
            closed: false,
        };
        driver.publish();
        (driver, desk)
    }

    /// Serves until nobody can ask any more, or the server ends.
    pub fn run(mut self) {
        while self.receive() {
            self.leave();
            self.admit();
            self.publish();
            if !self.live.is_empty() {
                self.step();
                self.publish();
            }
        }
        self.end_all(&Refusal::stopping());
        self.keeping.end(&self.engine, &self.kept);
        self.publish();
    }

    /// Takes what came in; waits for it when there is nothing else to do. `false` when all is over.
    fn receive(&mut self) -> bool {
        let idle = self.live.is_empty() && self.queue.len() == 0;
        if idle && !self.closed {
            let patience = if self.keeping.work(&mut self.engine) { Duration::ZERO } else { IDLE_LOOK };
            match self.orders.recv_timeout(patience) {
                Ok(work) => self.take(work),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => self.closed = true,
            }
        }
        loop {
            match self.orders.try_recv() {
                Ok(work) => self.take(work),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.closed = true;
                    break;
                }
            }
        }
        let idle = self.live.is_empty() && self.queue.len() == 0;
        !(self.shared.ending.load(Ordering::Relaxed) || (self.closed && idle))
    }

    fn take(&mut self, work: Work) {
        for seat in Seat::all_of(work) {
            self.queue.push(seat.client, seat);
        }
    }

    /// Lets those go whose client is gone or whose time is over.
    fn leave(&mut self) {
        let now = Instant::now();
        let mut left = 0;
        let mut stays = |seat: &Seat| {
            let late = seat.is_late(now);
            if late {
                seat.tell(News::Failed(err_late()));
            }
            let leaves = late || seat.is_forsaken();
            left += usize::from(leaves);
            !leaves
        };
        self.queue.retain(&mut stays);
        self.shared.waiting.fetch_sub(left, Ordering::Relaxed);
        self.status.totals.cancelled += left as u64;
        let gone: Vec<SequenceId> = self
            .live
            .iter()
            .filter(|(_, live)| live.seat.is_forsaken() || live.seat.is_late(now))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.engine.cancel(id);
            let Some(live) = self.retire(id) else { continue };
            let totals = &mut self.status.totals;
            *(if live.seat.has_enough() { &mut totals.finished } else { &mut totals.cancelled }) += 1;
            live.seat.tell(News::Failed(err_late()));
        }
    }

    /// Begins whoever's turn it is, as long as there is a place and room.
    fn admit(&mut self) {
        while self.live.len() < self.parallel {
            let Some(seat) = self.queue.first() else { break };
            if self.live.values().any(|live| live.waits_for_leader(seat)) {
                break;
            }
            let need = seat.request.tokens.len().saturating_add(seat.request.max_tokens);
            let source = self.engine.likest(&seat.request.tokens).filter(|(_, shared)| *shared >= SHARED_MIN);
            if !self.make_room(need, source.map(|(id, _)| id)) && !self.live.is_empty() {
                break;
            }
            let Some(seat) = self.queue.pop() else { break };
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.begin(seat, source, need);
        }
        self.shared.live.store(self.live.len(), Ordering::Relaxed);
    }

    /// Forgets finished sequences, the oldest first and `source` never, until `need` tokens of context are free.
    fn make_room(&mut self, need: usize, source: Option<SequenceId>) -> bool {
        let taken_over = source.filter(|id| !self.live.contains_key(id));
        let free = |engine: &Engine| engine.room() + taken_over.map_or(0, |id| engine.held(id));
        let mut oldest = 0;
        while free(&self.engine) < need && oldest < self.kept.len() {
            if Some(self.kept[oldest]) == source {
                oldest += 1;
            } else if let Some(id) = self.kept.remove(oldest) {
                self.keeping.leaving(&self.engine, id);
                self.engine.forget(id);
            }
        }
        free(&self.engine) >= need
    }

    /// Hands an answer to the engine, with what is known of its prompt.
    fn begin(&mut self, mut seat: Seat, source: Option<(SequenceId, usize)>, need: usize) {
        let in_memory = source.map_or(0, |(_, shared)| shared);
        let on_drive = self.keeping.known(&seat.request.tokens);
        let saved = match on_drive > in_memory + PROMPT_MIN {
            true => self.keeping.submit(&mut self.engine, &seat.request),
            false => None,
        };
        let submitted = match saved {
            Some(id) => Ok(id),
            None => self.submit(&mut seat, source.map(|(id, _)| id), need),
        };
        match submitted {
            Ok(id) => {
                let cached = self.engine.prefill_progress(id).map_or(0, |(done, _)| done);
                let prefixes = &mut self.status.prefixes;
                prefixes.tokens += cached as u64;
                *(match (cached, saved) {
                    (0, _) => &mut prefixes.misses,
                    (_, None) => &mut prefixes.memory_hits,
                    (_, Some(_)) => &mut prefixes.drive_hits,
                }) += 1;
                seat.tell(News::Begun { cached });
                let status = AnswerStatus {
                    id: id.0,
                    prompt_tokens: seat.request.tokens.len(),
                    cached_tokens: cached,
                    prompt_done: cached,
                    since: Some(Instant::now()),
                    waited: seat.arrived.elapsed().as_secs_f64(),
                    ..AnswerStatus::default()
                };
                self.live.insert(id, Live { seat, status, began: Instant::now() });
            }
            Err(error) => {
                self.status.totals.failed += 1;
                seat.tell(News::Failed(Refusal::of(&error)));
            }
        }
    }

    /// Hands an answer to the engine, with what `source` shares with its prompt.
    fn submit(&mut self, seat: &mut Seat, source: Option<SequenceId>, need: usize) -> Result<SequenceId> {
        match source {
            Some(id) if self.live.contains_key(&id) || self.is_worth_keeping(id, seat, need) => {
                seat.request.copy = source;
            }
            Some(id) => {
                self.keeping.taken_over(id);
                seat.request.resume = source;
            }
            None => {}
        }
        let id = self.engine.submit(seat.request.clone())?;
        seat.request.constraint = None; // the sequence has its own
        self.kept.retain(|kept| Some(*kept) != seat.request.resume);
        Ok(id)
    }

    /// A finished sequence that goes another way than the prompt is kept for its own return, if there is room for both.
    fn is_worth_keeping(&self, id: SequenceId, seat: &Seat, need: usize) -> bool {
        let Some(computed) = self.engine.computed(id) else { return false };
        shared(computed, &seat.request.tokens) + SHARED_MIN < computed.len() && self.engine.room() >= need
    }

    fn step(&mut self) {
        let stepped = self.engine.step();
        *self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match stepped {
            Ok((events, report)) => {
                self.keeping.work_beside(&self.engine, report.elapsed);
                self.pulse.beat(report);
                self.status.totals.steps += 1;
                for event in events {
                    self.tell(event);
                }
            }
            // Whoever is gone leaves before the next step; for all others it is as if this one had not been tried.
            Err(error) if error.kind() == Kind::Cancelled => self.engine.clear_cancel(),
            Err(error) => self.fail_all(&error),
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Token { sequence, token, logprobs } => {
                let Some(live) = self.live.get_mut(&sequence) else { return };
                live.status.tokens += 1;
                self.status.totals.tokens += 1;
                live.seat.tell(News::Token { token, logprobs });
            }
            Event::Finished { sequence, finish } => {
                let failure = self.engine.failure(sequence).map(Refusal::of);
                let Some(live) = self.retire(sequence) else { return };
                let news = match (finish, failure) {
                    (Finish::Failed, Some(refusal)) => News::Failed(refusal),
                    _ => News::Finished(finish),
                };
                let failed = matches!(news, News::Failed(_));
                *(if failed { &mut self.status.totals.failed } else { &mut self.status.totals.finished }) +=
                    1;
                live.seat.tell(news);
            }
        }
    }

    /// Takes an answer out of those under way; its sequence stays for prompts that return.
    fn retire(&mut self, id: SequenceId) -> Option<Live> {
        let live = self.live.remove(&id)?;
        self.engine.settle(id);
        self.kept.push_back(id);
        self.keeping.finished(id);
        let took = live.began.elapsed().as_millis().min(u128::from(u32::MAX)) as u64;
        let lately = self.shared.answer_millis.load(Ordering::Relaxed);
        self.shared.answer_millis.store((lately * 7 + took) / 8, Ordering::Relaxed);
        Some(live)
    }

    /// What fails for one pass fails for all that were in it.
    fn fail_all(&mut self, error: &Error) {
        let ids: Vec<SequenceId> = self.live.keys().copied().collect();
        for id in ids {
            self.engine.cancel(id);
            if let Some(live) = self.retire(id) {
                live.seat
                    .tell(News::Failed(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())));
                self.status.totals.failed += 1;
            }
        }
    }

    fn end_all(&mut self, refusal: &Refusal) {
        for live in std::mem::take(&mut self.live).into_values() {
            live.seat.tell(News::Failed(refusal.clone()));
        }
        while let Some(seat) = self.queue.pop() {
            seat.tell(News::Failed(refusal.clone()));
        }
        self.shared.live.store(0, Ordering::Relaxed);
        self.shared.waiting.store(0, Ordering::Relaxed);
    }

    /// Lets everybody see how things are.
    fn publish(&mut self) {
        for (id, live) in &mut self.live {
            let done = self.engine.prefill_progress(*id).map_or(0, |(done, _)| done);
            live.status.advance(done);
        }
        let (plan, pool) = (*self.engine.plan(), self.engine.pool_stats());
        self.status.answers = self.live.values().map(|live| live.status.clone()).collect();
        self.status.rates = self.pulse.rates();
        self.status.totals.take(&self.engine.totals(), &pool);
        self.status.prefixes.kept = self.kept.len();
        self.keeping.tell(&mut self.status.prefixes);
        let memory = &mut self.status.memory;
        memory.budget_bytes = plan.budget;
        memory.trunk_bytes = plan.trunk;
        memory.kv_bytes = plan.kv;
        memory.pool_bytes = plan.pool;
        memory.pool_resident_bytes = pool.resident_bytes;
        memory.context_tokens = plan.context;
        memory.context_free_tokens = self.engine.room();
        self.shared.live.store(self.live.len(), Ordering::Relaxed);
        let mut shown = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(&self.status);
    }
}

/// How often an idle driver looks whether the server ends.
const IDLE_LOOK: Duration = Duration::from_millis(100);

impl Live {
    /// Whether `seat` asks for another answer to the prompt that this one is still reading.
    fn waits_for_leader(&self, seat: &Seat) -> bool {
        self.status.prompt_done < self.status.prompt_tokens
            && seat.choice > 0
            && seat.request.tokens == self.seat.request.tokens
    }
}

/// How many tokens both begin with.
fn shared(known: &[TokenId], prompt: &[TokenId]) -> usize {
    known.iter().zip(prompt).take_while(|(a, b)| a == b).count()
}

fn err_late() -> Refusal {
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the answer was not complete by its deadline")
}
