//! The disk in memory: what its seed and its faults promise to the tests above.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::mpsc::{Receiver, channel};

use base::{AlignedBuf, Extent, FileId, Kind};
use disk::{Completion, Disk, Fault, MemoryDisk, Priority, ReadRequest, lay_out};

const READS: u64 = 12;

fn extent(ticket: u64) -> Extent {
    Extent { file: FileId(0), offset: ticket * 10, len: 10 }
}

fn new_disk(seed: u64) -> MemoryDisk {
    MemoryDisk::new(vec![(0..=255).collect()], seed)
}

/// Submits `READS` reads; read i has ticket i.
fn submit(disk: &MemoryDisk) -> Receiver<Completion> {
    let (sender, receiver) = channel();
    for ticket in 0..READS {
        let layout = lay_out(&[extent(ticket)]).unwrap();
        let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
        disk.submit(
            ReadRequest { ticket, priority: Priority::Demand, pieces: layout.pieces, buffer },
            &sender,
        );
    }
    receiver
}

fn flush_all(disk: &MemoryDisk, receiver: &Receiver<Completion>) -> Vec<Completion> {
    let mut done = Vec::new();
    for _ in 0..READS {
        disk.flush();
        done.extend(receiver.try_iter());
    }
    done
}

#[test]
fn completions_come_shuffled_as_the_seed_says_and_each_flush_brings_one() {
    let order = |seed| {
        let disk = new_disk(seed);
        let receiver = submit(&disk);
        assert!(receiver.try_recv().is_err(), "held until the flush");
        disk.flush();
        assert!(receiver.try_iter().count() > 0);
        let disk = new_disk(seed);
        let done = flush_all(&disk, &submit(&disk));
        for Completion { ticket, buffer, result } in &done {
            assert!(result.is_ok());
            let piece = lay_out(&[extent(*ticket)]).unwrap().pieces[0];
            assert_eq!(piece.of(buffer)[0], (ticket * 10) as u8);
        }
        done.iter().map(|completion| completion.ticket).collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut sorted = order(3);
    assert_ne!(sorted, (0..READS).collect::<Vec<_>>());
    sorted.sort_unstable();
    assert_eq!(sorted, (0..READS).collect::<Vec<_>>());
}

#[test]
fn each_fault_fails_the_reads_it_says() {
    // fault of read 3, reads that fail, retries
    let cases = [
        (Fault::Once, vec![], 1),
        (Fault::Failed, vec![3], 1),
        (Fault::Short, vec![3], 1),
        (Fault::Always, (3..READS).collect(), READS - 3),
    ];
    for (fault, fails, retries) in cases {
        let disk = new_disk(7).with_fault(3, fault);
        let mut done = flush_all(&disk, &submit(&disk));
        done.sort_by_key(|completion| completion.ticket);
        assert_eq!(done.len() as u64, READS);
        let failed: Vec<u64> = done.iter().filter(|c| c.result.is_err()).map(|c| c.ticket).collect();
        assert_eq!(failed, fails, "{fault:?}");
        assert_eq!(disk.counters().retries, retries, "{fault:?}");
        assert!(done.iter().filter_map(|c| c.result.as_ref().err()).all(|error| error.kind() == Kind::Io));
    }
}

#[test]
fn a_stalled_read_ends_only_after_resume() {
    let disk = new_disk(7).with_fault(3, Fault::Stall);
    let receiver = submit(&disk);
    assert_eq!(flush_all(&disk, &receiver).len() as u64, READS - 1);
    disk.resume();
    disk.flush();
    assert_eq!(receiver.try_iter().map(|completion| completion.ticket).collect::<Vec<_>>(), [3]);
}

#[test]
fn an_extent_past_the_end_is_corrupt() {
    let disk = MemoryDisk::new(vec![vec![0; 5]], 0);
    let done = flush_all(&disk, &submit(&disk));
    assert!(done.iter().all(|c| c.result.as_ref().is_err_and(|error| error.kind() == Kind::Corrupt)));
    assert_eq!(disk.counters().failures, READS);
}

#[test]
fn a_cancelled_guess_completes_as_cancelled_and_a_demand_is_not_cancelled() {
    let disk = new_disk(7);
    let (sender, receiver) = channel();
    for (ticket, priority) in [(0, Priority::Guess), (1, Priority::Guess), (2, Priority::Demand)] {
        let layout = lay_out(&[extent(ticket)]).unwrap();
        let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
        disk.submit(ReadRequest { ticket, priority, pieces: layout.pieces, buffer }, &sender);
    }
    disk.promote(1);
    (0..9).for_each(|ticket| disk.cancel(ticket));
    let mut done = flush_all(&disk, &receiver);
    done.sort_by_key(|completion| completion.ticket);
    let cancelled = |c: &Completion| c.result.as_ref().is_err_and(|error| error.kind() == Kind::Cancelled);
    assert_eq!(done.iter().map(cancelled).collect::<Vec<_>>(), [true, false, false]);
}
