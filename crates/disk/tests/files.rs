//! Real files, read every way there is: every mode, every alignment, every way to fail.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, UNIX_EPOCH};

use base::{ALIGNMENT, AlignedBuf, Extent, FileId, Kind};
use disk::{Completion, Disk, Files, Io, Priority, ReadRequest, Setting, Way, lay_out, start};
use tempfile::TempDir;

/// Lengths that end a file before, at and past a page boundary.
const LENGTHS: [usize; 6] = [0, 1, 4095, 4096, 4097, 70_001];

/// Each byte tells where it belongs.
fn byte(file: usize, offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 ^ file as u8
}

fn write_files(folder: &TempDir, lengths: &[usize]) -> Vec<PathBuf> {
    let write = |(i, len): (usize, &usize)| {
        let path = folder.path().join(format!("shard-{i}.bin"));
        fs::write(&path, (0..*len as u64).map(|at| byte(i, at)).collect::<Vec<u8>>()).unwrap();
        path
    };
    lengths.iter().enumerate().map(write).collect()
}

fn extent(file: u32, offset: u64, len: u64) -> Extent {
    Extent { file: FileId(file), offset, len }
}

/// Both ways to read, with chunks of a page and larger than any record.
fn disks(files: &Arc<Files>, depth: usize) -> Vec<Arc<dyn Disk>> {
    let mut disks = Vec::new();
    for way in Way::ALL {
        for chunk_bytes in [4096, 1 << 20] {
            let setting = Setting { io: files.io(), way: *way, depth, chunk_bytes };
            disks.push(start(files.clone(), &setting).unwrap().0);
        }
    }
    disks
}

/// Reads all records at once; answers in the order of their tickets.
fn read(disk: &dyn Disk, records: &[Vec<Extent>]) -> Vec<Completion> {
    let (sender, receiver) = channel();
    for (ticket, extents) in (0..).zip(records) {
        let layout = lay_out(extents).unwrap();
        let mut buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
        buffer.fill(0xAA);
        disk.submit(
            ReadRequest { ticket, priority: Priority::Demand, pieces: layout.pieces, buffer },
            &sender,
        );
    }
    let mut done: Vec<Completion> = records.iter().map(|_| receiver.recv().unwrap()).collect();
    done.sort_by_key(|completion| completion.ticket);
    done
}

fn assert_holds(completion: &Completion, extents: &[Extent]) {
    assert!(completion.result.is_ok(), "{:?}", completion.result);
    for (piece, extent) in lay_out(extents).unwrap().pieces.iter().zip(extents) {
        let right = (extent.offset..).map(|at| byte(extent.file.0 as usize, at));
        assert!(
            piece.of(&completion.buffer).iter().copied().eq(right.take(extent.len as usize)),
            "{extent:?}"
        );
    }
}

/// Extents around every page boundary and every end of every file.
fn awkward_records() -> Vec<Vec<Extent>> {
    let mut records = vec![
        vec![],
        vec![extent(5, 0, 4096), extent(5, 4096, 4096)],
        vec![extent(5, 60_000, 9_000), extent(4, 17, 4_000), extent(5, 100, 20_000)],
        vec![extent(1, 0, 1), extent(0, 0, 0), extent(5, 70_000, 1)],
    ];
    for (file, len) in (0..).zip(LENGTHS.map(|len| len as u64)) {
        for offset in [0, 1, 4095, 4096, 4097, len.saturating_sub(1)] {
            let lengths = [0, 1, 31, 4096, 8193, len.saturating_sub(offset)];
            let inside = |n: &u64| offset + n <= len;
            records.extend(lengths.into_iter().filter(inside).map(|n| vec![extent(file, offset, n)]));
        }
    }
    records
}

#[test]
fn direct_and_buffered_reads_of_any_alignment_give_the_files_bytes() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &LENGTHS);
    let records = awkward_records();
    for want in [Io::Buffered, Io::Direct] {
        let files = Arc::new(Files::open(&paths, want).unwrap());
        assert!(files.io() == Io::Direct || want == Io::Buffered || files.io_note().is_some());
        for disk in [disks(&files, 1), disks(&files, 8)].concat() {
            let done = read(disk.as_ref(), &records);
            done.iter().zip(&records).for_each(|(completion, extents)| assert_holds(completion, extents));

            let counters = disk.counters();
            let asked = records.iter().flatten().map(|extent| extent.len).sum::<u64>();
            assert_eq!((counters.reads, counters.bytes), (records.len() as u64, asked));
            assert_eq!((counters.retries, counters.failures), (0, 0));
            assert!(counters.system_bytes >= asked || files.io() == Io::Buffered);
            assert!(files.io() == Io::Buffered || counters.system_bytes.is_multiple_of(ALIGNMENT as u64));
        }
        for extents in &records {
            for extent in extents {
                let mut out = vec![0xAA; extent.len as usize];
                files.read_exact(*extent, &mut out).unwrap();
                let right = (extent.offset..).map(|at| byte(extent.file.0 as usize, at));
                assert!(out.iter().copied().eq(right.take(out.len())), "{want:?} {extent:?}");
            }
        }
    }
}

#[test]
fn a_long_extent_is_read_exactly_through_the_small_buffer() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[9_000_001]);
    let files = Files::open(&paths, Io::Direct).unwrap();
    let mut out = vec![0; 9_000_001 - 777];
    files.read_exact(extent(0, 777, out.len() as u64), &mut out).unwrap();
    assert!(out.iter().copied().eq((777..).map(|at| byte(0, at)).take(out.len())));
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_refuse_direct_reads_are_read_buffered_and_say_so() {
    // proc files open, but not past the page cache
    let files = Files::open(&[PathBuf::from("/proc/self/maps")], Io::Direct).unwrap();
    assert_eq!(files.io(), Io::Buffered);
    assert!(files.io_note().unwrap().starts_with("/proc/self/maps: direct reads are refused ("));
}

#[test]
fn an_extent_past_the_end_or_of_no_file_is_refused_by_name_and_the_buffer_comes_back() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[5000]);
    let cases = [
        (
            extent(0, 4990, 11),
            Kind::Corrupt,
            "shard-0.bin: 11 bytes at offset 4990 lie past the end of the file",
        ),
        (
            extent(0, 9000, 1),
            Kind::Corrupt,
            "shard-0.bin: 1 bytes at offset 9000 lie past the end of the file",
        ),
        (extent(1, 0, 1), Kind::Input, "file 1 is not one of the 1 opened"),
    ];
    for want in [Io::Buffered, Io::Direct] {
        for disk in disks(&Arc::new(Files::open(&paths, want).unwrap()), 2) {
            for (bad, kind, message) in cases {
                let done = read(disk.as_ref(), &[vec![bad], vec![extent(0, 0, 5000)]]);
                let error = done[0].result.as_ref().unwrap_err();
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains(message), "{error}");
                assert_eq!(done[0].buffer.len(), lay_out(&[bad]).unwrap().buffer_bytes);
                assert_holds(&done[1], &[extent(0, 0, 5000)]);
            }
            assert_eq!(disk.counters().failures, cases.len() as u64);
        }
    }
}

/// What happens to the first of two files while they are in use, and what is said of it.
type Mishap = (fn(&Path), Option<&'static str>);

const MISHAPS: [Mishap; 4] = [
    (|path| cut(path, 9_000), Some("shard-0.bin: the file changed while in use: 20000 bytes")),
    (
        |path| {
            cut(path, 0);
            cut(path, 20_000);
        },
        Some("shard-0.bin: the file changed while in use: it was written to"),
    ),
    (|path| cut(path, 40_000), Some("shard-0.bin: the file changed while in use: 20000 bytes")),
    // Another file of that name is not the one that was opened.
    (
        |path| {
            fs::write(path.with_extension("new"), [7; 20_000]).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        None,
    ),
];

fn cut(path: &Path, len: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
    // The clock of files is coarse; a change in the same tick as the opening is what this is not about.
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

#[test]
fn a_file_that_changes_while_in_use_is_named_and_other_reads_go_on() {
    for want in [Io::Buffered, Io::Direct] {
        for (happen, said) in MISHAPS {
            let folder = TempDir::new().unwrap();
            let paths = write_files(&folder, &[20_000, 20_000]);
            let disks = disks(&Arc::new(Files::open(&paths, want).unwrap()), 2);
            happen(&paths[0]);
            for disk in disks {
                let records = [vec![extent(0, 8_000, 8_000)], vec![extent(1, 8_000, 8_000)]];
                let done = read(disk.as_ref(), &records);
                match (&done[0].result, said) {
                    (Err(error), Some(said)) => {
                        assert_eq!(error.kind(), Kind::Corrupt);
                        assert!(error.to_string().contains(said), "{error}");
                    }
                    _ => assert_eq!(said, None),
                }
                if said.is_none() {
                    assert_holds(&done[0], &records[0]);
                }
                assert_holds(&done[1], &records[1]);
                assert_eq!(disk.counters().retries, 0);
            }
        }
    }
}

#[test]
fn guesses_wait_for_demands_and_can_be_taken_back() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[2_000_000]);
    let files = Arc::new(Files::open(&paths, Io::Buffered).unwrap());
    for disk in disks(&files, 1) {
        let (sender, receiver) = channel();
        let submit = |ticket: u64, priority| {
            let layout = lay_out(&[extent(0, ticket * 100_000, 100_000)]).unwrap();
            let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
            disk.submit(ReadRequest { ticket, priority, pieces: layout.pieces, buffer }, &sender);
        };
        (0..16).for_each(|ticket| submit(ticket, Priority::Guess));
        submit(16, Priority::Demand);
        disk.promote(15);
        (0..16).for_each(|ticket| disk.cancel(ticket));
        let done: Vec<Completion> = (0..17).map(|_| receiver.recv().unwrap()).collect();
        for completion in &done {
            match &completion.result {
                Ok(()) => assert_holds(completion, &[extent(0, completion.ticket * 100_000, 100_000)]),
                Err(error) => assert!(error.kind() == Kind::Cancelled && completion.ticket < 15, "{error}"),
            }
        }
        assert_eq!(disk.counters().failures, 0, "what is taken back has not failed");
    }
}

#[test]
fn what_cannot_be_opened_is_an_input_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nothing.gguf")] {
        let error = Files::open(std::slice::from_ref(&path), Io::Direct).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
}

#[test]
fn dropping_the_disk_answers_every_request() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[100_000]);
    for disk in disks(&Arc::new(Files::open(&paths, Io::Buffered).unwrap()), 1) {
        let (sender, receiver) = channel();
        let record = [extent(0, 0, 100_000)];
        for ticket in 0..50 {
            let layout = lay_out(&record).unwrap();
            let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
            disk.submit(
                ReadRequest { ticket, priority: Priority::Demand, pieces: layout.pieces, buffer },
                &sender,
            );
        }
        drop((disk, sender));
        let done: Vec<Completion> = receiver.iter().collect();
        assert_eq!(done.len(), 50);
        for completion in &done {
            match &completion.result {
                Ok(()) => assert_holds(completion, &record),
                Err(error) => assert_eq!(error.kind(), Kind::Cancelled),
            }
        }
    }
}

#[test]
fn a_receiver_that_is_gone_harms_nobody() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[5000]);
    for disk in disks(&Arc::new(Files::open(&paths, Io::Buffered).unwrap()), 1) {
        let (sender, receiver) = channel();
        drop(receiver);
        let layout = lay_out(&[extent(0, 0, 10)]).unwrap();
        let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
        disk.submit(
            ReadRequest { ticket: 0, priority: Priority::Demand, pieces: layout.pieces, buffer },
            &sender,
        );
        assert_holds(&read(disk.as_ref(), &[vec![extent(0, 7, 4000)]])[0], &[extent(0, 7, 4000)]);
    }
}
