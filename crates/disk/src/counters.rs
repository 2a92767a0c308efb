//! What was read, and the one retry every read gets.

use std::sync::atomic::{AtomicU64, Ordering};

use base::{Kind, Result};

/// What a disk has read since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that succeeded.
    pub reads: u64,
    /// Bytes asked for by those requests.
    pub bytes: u64,
    /// Bytes asked of the system for them: more than `bytes` when reads are widened to pages.
    pub system_bytes: u64,
    /// Reads that failed and were tried again.
    pub retries: u64,
    /// Requests that failed for good.
    pub failures: u64,
}

/// Bytes this process had read from drives, by the system's count: what the page cache served is not among them. `None`
/// where the system does not tell.
pub fn bytes_read_from_drives() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
}

/// [`Counters`] that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    reads: AtomicU64,
    bytes: AtomicU64,
    system_bytes: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

impl Tally {
    /// Runs one request of `bytes`, which answers with the bytes it asked of the system, and counts how it went.
    ///
    /// A request that fails with [`Kind::Io`] is tried once more: drives and cables do recover. Other kinds mean
    /// that the file is not what it was, and would fail again.
    pub fn attempt(&self, bytes: u64, mut request: impl FnMut() -> Result<u64>) -> Result<()> {
        let mut answer = request();
        if answer.as_ref().is_err_and(|error| error.kind() == Kind::Io) {
            self.retried();
            answer = request();
        }
        let result = answer.map(|system_bytes| self.asked(system_bytes));
        self.ended(bytes, &result);
        result
    }

    /// A read failed and is tried again.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// The system was asked for bytes, and gave them.
    pub fn asked(&self, system_bytes: u64) {
        self.system_bytes.fetch_add(system_bytes, Ordering::Relaxed);
    }

    /// A request of `bytes` is over. One that was taken back counts for nothing.
    pub fn ended(&self, bytes: u64, result: &Result<()>) {
        match result {
            Ok(()) => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) if error.kind() == Kind::Cancelled => {}
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn counters(&self) -> Counters {
        Counters {
            reads: self.reads.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            system_bytes: self.system_bytes.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Error;

    use super::*;

    #[test]
    fn an_io_failure_is_tried_once_more_and_a_corrupt_file_is_not() {
        let io = || Error::new(Kind::Io, "the cable came loose");
        let corrupt = || Error::corrupt("the file ended");
        // answers of the first and second attempt, then: succeeds, attempts made
        let cases: [(Result<u64>, Result<u64>, bool, usize); 4] = [
            (Ok(8), Ok(8), true, 1),
            (Err(io()), Ok(8), true, 2),
            (Err(io()), Err(io()), false, 2),
            (Err(corrupt()), Ok(8), false, 1),
        ];
        for (first, second, succeeds, attempts) in cases {
            let tally = Tally::default();
            let mut made = 0;
            let result = tally.attempt(5, || {
                made += 1;
                if made == 1 { first.clone() } else { second.clone() }
            });
            assert_eq!((result.is_ok(), made), (succeeds, attempts));
            let counters = tally.counters();
            assert_eq!(counters.retries, attempts as u64 - 1);
            assert_eq!((counters.reads, counters.failures), (succeeds as u64, !succeeds as u64));
            assert_eq!((counters.bytes, counters.system_bytes), if succeeds { (5, 8) } else { (0, 0) });
        }
    }
}
