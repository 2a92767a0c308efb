//! What the pool did, counted.

use std::time::Duration;

/// What the pool did since it was made, and what it holds.
///
/// `hits + late_hits + misses` is the number of experts requested. Sizes are those of whole slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Experts found resident.
    pub hits: u64,
    /// Experts found on their way, by a read that an earlier, abandoned request had started.
    pub late_hits: u64,
    /// Experts that had to be read.
    pub misses: u64,
    /// Reads that landed.
    pub reads: u64,
    /// Bytes of experts that these reads brought, without the widening to pages.
    pub bytes_read: u64,
    /// Reads that failed, their retry included.
    pub failed_reads: u64,
    /// Reads of the disk that failed and were tried again.
    pub retries: u64,
    /// Residents given up for another expert.
    pub evictions: u64,
    /// Bytes of slots that were given back to the system because the [bound](crate::Bound) fell.
    pub given_back_bytes: u64,
    /// Experts read before anybody asked for them.
    pub guesses: Guesses,
    /// Time callers were blocked with no expert ready.
    pub wait: Duration,
    /// Time from requests to the end of what was done with their experts.
    pub serving: Duration,
    /// Time from there, of a pass's last request, to the first request of the next pass: no read can overlap it that is
    /// not guessed.
    pub between: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// The budget the pool was given.
    pub budget_bytes: u64,
    /// What it can hold: the budget in whole slots, or every expert.
    pub capacity_bytes: u64,
    /// Buffers made and not given back.
    pub allocated_bytes: u64,
    /// Experts that are resident, leased ones included.
    pub resident_bytes: u64,
    /// Experts on their way.
    pub in_flight_bytes: u64,
}

/// What became of guesses. All that were issued are one of the others in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Given to the disk.
    pub issued: u64,
    /// Asked for by the layer they were meant for. Each is a miss all the same, one that waits less.
    pub useful: u64,
    /// Read, and not asked for.
    pub wasted: u64,
    /// Not asked for, and taken back in time.
    pub cancelled: u64,
}

impl Guesses {
    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            issued: self.issued - before.issued,
            useful: self.useful - before.useful,
            wasted: self.wasted - before.wasted,
            cancelled: self.cancelled - before.cancelled,
        }
    }
}
