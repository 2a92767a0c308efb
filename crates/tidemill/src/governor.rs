//! Keeps the expert pool within what the machine has left, while it runs.
//!
//! The plan divides what was free when the model was opened. Neighbours come later: a pool that then holds on to its
//! slots makes the system page, which costs more than any miss, or has the process killed. So a thread looks at the
//! memory that is left every few milliseconds, and lowers the pool's bound when that falls below a reserve; when it has
//! been calm for a while the bound rises again, up to the plan.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use base::{Error, Result};
use experts::Bound;

use crate::machine;

/// Watches from its making until it is dropped.
#[derive(Debug)]
pub(crate) struct Governor {
    /// Dropped to end the thread.
    _end: Sender<()>,
}

/// How often memory is looked at. A neighbour takes about 100 MB in this time.
const PERIOD: Duration = Duration::from_millis(25);

impl Governor {
    /// Starts to govern a pool that the plan gives `plan` bytes, before it holds any; `other` bytes of the plan are not
    /// taken yet either. Where the system does not tell what is left there is nothing to go by, and the plan stands.
    pub fn start(bound: Arc<Bound>, plan: u64, other: u64) -> Result<Option<Self>> {
        let Some((limit, free)) = machine::memory_limit().zip(machine::free_memory()) else {
            return Ok(None);
        };
        let (end, ended) = channel::<()>();
        let mut rule = Rule::new(plan, limit, free.saturating_sub(other));
        bound.set(rule.bound);
        let watch = move || {
            let mut before = Look::now();
            // Nothing is ever sent: the channel ends with the governor.
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let now = Look::now();
                bound.set(rule.bound(&before, &now, bound.held()));
                before = now;
            }
        };
        let thread = thread::Builder::new().name("memory".to_owned()).spawn(watch);
        thread.map_err(|error| Error::io("starting a thread", &error))?;
        Ok(Some(Self { _end: end }))
    }
}

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Bytes that may still be taken.
    free: u64,
    /// Microseconds in which all waited for memory, so far.
    stall: u64,
    /// Page faults of ours that waited for a drive, so far.
    faults: u64,
}

impl Look {
    fn now() -> Self {
        Self {
            free: machine::free_memory().unwrap_or(u64::MAX),
            stall: machine::memory_stall().unwrap_or(0),
            faults: machine::major_faults().unwrap_or(0),
        }
    }
}

/// What the pool may hold, given what was seen.
struct Rule {
    /// Bytes the plan gives to the pool.
    plan: u64,
    /// Bytes of memory that are to stay free.
    reserve: u64,
    bound: u64,
    /// Looks since memory was last short.
    calm: u32,
}

/// Part of the memory that stays free: what a neighbour takes between two looks, and before the pool has heard.
const RESERVE_PART: u64 = 16;
/// Looks without any shortage before the pool grows again: five seconds.
const CALM: u32 = 200;
/// The pool grows, or gives way to a stall, by this part of the plan.
const STEP_PART: u64 = 32;
/// Page faults between two looks that mean thrashing.
const FAULTS: u64 = 32;

impl Rule {
    /// Whatever the plan says, what is not free is not to be had.
    fn new(plan: u64, limit: u64, free: u64) -> Self {
        let reserve = limit / RESERVE_PART;
        Self { plan, reserve, bound: plan.min(free.saturating_sub(reserve)), calm: 0 }
    }

    /// The bound from now on, of a pool that holds `held` bytes.
    fn bound(&mut self, before: &Look, now: &Look, held: u64) -> u64 {
        let step = (self.plan / STEP_PART).max(1);
        let stalled = now.stall.saturating_sub(before.stall) > PERIOD.as_micros() as u64 / 10;
        let thrashing = stalled || now.faults.saturating_sub(before.faults) > FAULTS;
        if now.free < self.reserve {
            // Of what it holds: what it only may hold takes no memory.
            self.bound = self.bound.min(held.saturating_sub(self.reserve - now.free));
            self.calm = 0;
        } else if thrashing && now.free < 4 * self.reserve {
            self.bound = self.bound.min(held.saturating_sub(step));
            self.calm = 0;
        } else if self.bound < self.plan && now.free > self.reserve + 2 * step {
            self.calm += 1;
            if self.calm >= CALM {
                self.bound = self.plan.min(self.bound + step);
                self.calm = CALM - 8;
            }
        }
        self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1600;
    const PLAN: u64 = 960;

    fn look(free: u64) -> Look {
        Look { free, ..Look::default() }
    }

    #[test]
    fn a_pool_gives_way_to_neighbours_and_grows_back_when_they_are_gone() {
        let mut rule = Rule::new(PLAN, LIMIT, 2000);
        let before = look(500);
        assert_eq!(rule.bound(&before, &look(100), PLAN), PLAN, "the reserve is free");
        assert_eq!(rule.bound(&before, &look(40), PLAN), PLAN - 60);
        assert_eq!(rule.bound(&before, &look(0), 500), 400);
        assert_eq!(rule.bound(&before, &look(0), 30), 0, "the pool itself keeps what it needs");
        for _ in 1..CALM {
            assert_eq!(rule.bound(&before, &look(900), 0), 0);
        }
        assert_eq!(rule.bound(&before, &look(900), 0), PLAN / 32);
        for _ in 0..10 * CALM {
            rule.bound(&before, &look(900), 0);
        }
        assert_eq!(rule.bound(&before, &look(900), 0), PLAN);
        assert_eq!(Rule::new(PLAN, LIMIT, 700).bound, 600, "the plan counted on more than there is");
    }

    #[test]
    fn thrashing_counts_only_where_memory_is_short() {
        let before = Look::default();
        let thrashing = |free| [Look { faults: 100, ..look(free) }, Look { stall: 9_000, ..look(free) }];
        for now in thrashing(200) {
            assert_eq!(Rule::new(PLAN, LIMIT, 2000).bound(&before, &now, 600), 570);
        }
        for now in thrashing(900) {
            assert_eq!(Rule::new(PLAN, LIMIT, 2000).bound(&before, &now, 600), PLAN);
        }
    }
}
