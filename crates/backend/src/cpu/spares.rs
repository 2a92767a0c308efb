//! Memory of tensors that are no more, kept for new ones of the same length.
//!
//! The system hands out large memory page by page, each zeroed and found by a fault: of a prompt that is a seventh of
//! the time. How much is kept is a promise as the rest of the memory plan is: nothing, unless somebody asks for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Numbers that are worth keeping: fewer come from pages that the process has already.
const WORTH: usize = 16 << 10;

/// Buffers that wait for their next use.
#[derive(Default)]
pub(super) struct Spares(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The one that waits longest comes first.
    buffers: VecDeque<Vec<f32>>,
    /// Bytes of all of them.
    bytes: u64,
    /// Bytes they may have.
    most: u64,
}

impl Spares {
    /// Keeps up to `most` bytes from now on.
    pub fn keep(&self, most: u64) {
        let mut waiting = self.waiting();
        waiting.most = most;
        waiting.shrink();
    }

    /// A buffer of `len` numbers, whatever they are, if one waits: the latest, which is the likeliest to be in a cache.
    pub fn take(&self, len: usize) -> Option<Vec<f32>> {
        if len < WORTH {
            return None;
        }
        let mut waiting = self.waiting();
        let place = waiting.buffers.iter().rposition(|buffer| buffer.len() == len)?;
        let buffer = waiting.buffers.remove(place)?;
        waiting.bytes -= bytes(&buffer);
        Some(buffer)
    }

    /// Keeps a buffer, and lets go of those that have waited longest where that is too much.
    pub fn put(&self, buffer: Vec<f32>) {
        let mut waiting = self.waiting();
        if buffer.len() >= WORTH && bytes(&buffer) <= waiting.most {
            waiting.bytes += bytes(&buffer);
            waiting.buffers.push_back(buffer);
            waiting.shrink();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn shrink(&mut self) {
        while self.bytes > self.most {
            let Some(buffer) = self.buffers.pop_front() else { return };
            self.bytes -= bytes(&buffer);
        }
    }
}

fn bytes(buffer: &Vec<f32>) -> u64 {
    (buffer.capacity() * size_of::<f32>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_unless_it_was_asked_for() {
        let spares = Spares::default();
        spares.put(vec![1.0; WORTH]);
        assert_eq!(spares.take(WORTH), None);
    }

    #[test]
    fn a_buffer_serves_a_tensor_of_its_length_and_only_once() {
        let spares = Spares::default();
        spares.keep(u64::MAX);
        spares.put(vec![1.0; WORTH]);
        spares.put(vec![2.0; WORTH - 1]);
        assert_eq!(spares.take(WORTH + 1), None);
        assert_eq!(spares.take(WORTH - 1), None, "few numbers are not worth it");
        assert_eq!(spares.take(WORTH), Some(vec![1.0; WORTH]));
        assert_eq!(spares.take(WORTH), None);
        assert_eq!(spares.waiting().bytes, 0);
    }

    #[test]
    fn no_more_is_kept_than_was_asked_for_and_the_oldest_goes_first() {
        let spares = Spares::default();
        spares.keep(3 * 4 * WORTH as u64 + 8);
        for value in 0..3 {
            spares.put(vec![value as f32; WORTH]);
        }
        spares.put(vec![3.0; WORTH + 1]);
        assert_eq!(spares.waiting().bytes, (3 * 4 * WORTH + 4) as u64);
        assert_eq!(spares.take(WORTH), Some(vec![2.0; WORTH]));
        assert_eq!(spares.take(WORTH), Some(vec![1.0; WORTH]));
        assert_eq!(spares.take(WORTH), None, "the oldest is gone");
        spares.put(vec![4.0; 4 * WORTH]);
        assert_eq!(spares.take(4 * WORTH), None, "more than all that is kept");
        spares.keep(0);
        assert_eq!(spares.take(WORTH + 1), None);
    }
}
