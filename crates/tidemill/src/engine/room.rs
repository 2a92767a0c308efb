//! Room for a pass: code and constants are given back when the budget is nearly reached.
//!
//! The system holds more or fewer of them from run to run and from machine to machine, and none goes by itself before the
//! whole system runs short. Finding them takes it 17 ms where 3 GB are resident, so it is done for a small part of the time.

use std::time::Instant;

use crate::machine;

/// Bytes of the budget that a pass is to find free.
const FREE: u64 = 1 << 20;

/// After giving back, so many times as long passes before it is done again.
const REST: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Room {
    /// When it may be done again.
    next: Option<Instant>,
}

impl Room {
    /// Before a pass, of a process that `budget` bounds.
    pub fn make(&mut self, budget: u64) {
        let near = || machine::resident().is_some_and(|resident| resident.saturating_add(FREE) > budget);
        self.make_by(near, base::release_code_pages);
    }

    fn make_by(&mut self, near: impl FnOnce() -> bool, release: impl FnOnce()) {
        let start = Instant::now();
        if self.next.is_none_or(|next| start >= next) && near() {
            release();
            let end = Instant::now();
            self.next = Some(end + (end - start) * REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn code_is_given_back_only_near_the_budget_and_not_again_before_some_rest() {
        let released = Cell::new(0);
        let release = || {
            released.set(released.get() + 1);
            std::thread::sleep(Duration::from_millis(100));
        };
        let mut room = Room::default();
        room.make_by(|| false, release);
        assert_eq!((released.get(), room.next), (0, None));
        room.make_by(|| true, release);
        room.make_by(|| true, release);
        assert_eq!(released.get(), 1);
        room.next = Some(Instant::now());
        room.make_by(|| true, release);
        assert_eq!(released.get(), 2);
    }
}
