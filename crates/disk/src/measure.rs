//! What a disk delivers for a while of reading records in shuffled order.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use base::{AlignedBuf, Error, Extent, Result};

use crate::counters::bytes_read_from_drives;
use crate::layout::lay_out;
use crate::{Disk, Priority, ReadRequest};

/// Records of a model's files, visited out of order: each once before any twice.
#[derive(Debug)]
pub struct Walk<'a> {
    records: &'a [Vec<Extent>],
    stride: usize,
    next: usize,
}

/// What was read in how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Bytes of the records.
    pub bytes: u64,
    /// Bytes that came from a drive, by the system's count; `None` where it does not tell. Nothing else may read
    /// meanwhile.
    pub drive_bytes: Option<u64>,
    /// From the first request to the last completion that counts.
    pub elapsed: Duration,
}

impl Measured {
    /// Bytes of records a second.
    pub fn bytes_per_second(&self) -> u64 {
        (self.bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)) as u64
    }

    /// Whether the system itself says that the bytes came from a drive.
    pub fn is_proven(&self) -> bool {
        self.drive_bytes.is_some_and(|bytes| bytes >= self.bytes / 10 * 9)
    }
}

impl<'a> Walk<'a> {
    /// A walk over at least one record.
    pub fn new(records: &'a [Vec<Extent>]) -> Self {
        assert!(!records.is_empty(), "there is nothing to walk over");
        Self { records, stride: stride(records.len()), next: 0 }
    }

    fn step(&mut self) -> &'a [Extent] {
        self.next += 1;
        &self.records[self.next * self.stride % self.records.len()]
    }
}

/// Reads records for `time`, `at_once` requests at any moment.
pub fn measure(disk: &dyn Disk, walk: &mut Walk<'_>, at_once: usize, time: Duration) -> Result<Measured> {
    let (done, landings) = channel();
    let mut request = |buffer: Option<AlignedBuf>| -> Result<ReadRequest> {
        let layout = lay_out(walk.step())?;
        let buffer = match buffer.filter(|buffer| buffer.len() >= layout.buffer_bytes) {
            Some(buffer) => buffer,
            None => AlignedBuf::zeroed(layout.buffer_bytes)?,
        };
        let ticket = walk.next as u64;
        Ok(ReadRequest { ticket, priority: Priority::Demand, pieces: layout.pieces, buffer })
    };
    let mut first = (0..at_once.max(1)).map(|_| request(None)).collect::<Result<Vec<_>>>()?;
    // Buffers that were never touched have no pages yet; making those is no part of reading.
    first.iter_mut().for_each(|request| request.buffer.fill(0));
    let mut in_flight = first.len();
    let (before, drive_before, start) = (disk.counters().bytes, bytes_read_from_drives(), Instant::now());
    first.into_iter().for_each(|request| disk.submit(request, &done));
    let mut elapsed = Duration::ZERO;
    while in_flight > 0 {
        disk.flush();
        let landed = landings.recv().map_err(|_| Error::input("the reader threads are gone"))?;
        landed.result?;
        elapsed = start.elapsed();
        if elapsed < time {
            disk.submit(request(Some(landed.buffer))?, &done);
        } else {
            in_flight -= 1;
        }
    }
    let drive_bytes = bytes_read_from_drives().zip(drive_before).map(|(now, then)| now - then);
    Ok(Measured { bytes: disk.counters().bytes - before, drive_bytes, elapsed })
}

/// The first number from five eighths of `count` on that shares no factor with it: steps of this size visit every record
/// once before any twice, and out of order.
fn stride(count: usize) -> usize {
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let start = (count * 5 / 8).max(1);
    (start..).find(|stride| divisor(*stride, count) == 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_read_once_before_any_is_read_twice() {
        for count in 1..400 {
            let mut visits = vec![0; count];
            (0..count).for_each(|next| visits[next * stride(count) % count] += 1);
            assert!(visits.iter().all(|visits| *visits == 1), "{count} records");
        }
        assert_eq!([1, 15, 16, 128].map(stride), [1, 11, 11, 81]);
    }
}
