//! The reader threads on real files: every mode, every alignment, every way to fail.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

use base::{ALIGNMENT, AlignedBuf, Extent, FileId, Kind};
use disk::{Completion, Disk, Files, Io, IoChoice, Priority, ReadRequest, ThreadedDisk, lay_out};
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
    for want in [IoChoice::Buffered, IoChoice::Direct] {
        let files = Arc::new(Files::open(&paths, want).unwrap());
        assert!(files.io() == Io::Direct || want == IoChoice::Buffered || files.io_note().is_some());
        for readers in [1, 8] {
            let disk = ThreadedDisk::new(files.clone(), readers).unwrap();
            let done = read(&disk, &records);
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
    let files = Files::open(&paths, IoChoice::Direct).unwrap();
    let mut out = vec![0; 9_000_001 - 777];
    files.read_exact(extent(0, 777, out.len() as u64), &mut out).unwrap();
    assert!(out.iter().copied().eq((777..).map(|at| byte(0, at)).take(out.len())));
}

#[test]
fn the_choice_left_to_us_is_direct_only_when_the_files_exceed_memory() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[5000, 5000]);
    for (memory, may_be_direct) in [(10_000, false), (9_999, true), (u64::MAX, false), (0, true)] {
        let files = Files::open(&paths, IoChoice::Auto { memory }).unwrap();
        let direct = files.io() == Io::Direct;
        assert_eq!(direct || files.io_note().is_some(), may_be_direct, "{memory}");
    }
    let files = Files::open(&paths, IoChoice::Buffered).unwrap();
    assert_eq!((files.total_bytes(), files.len(FileId(1)), files.len(FileId(2))), (10_000, Some(5000), None));
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_refuse_direct_reads_are_read_buffered_and_say_so() {
    // proc files open, but not past the page cache
    let files = Files::open(&[PathBuf::from("/proc/self/maps")], IoChoice::Direct).unwrap();
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
    for want in [IoChoice::Buffered, IoChoice::Direct] {
        let disk = ThreadedDisk::new(Arc::new(Files::open(&paths, want).unwrap()), 2).unwrap();
        for (bad, kind, message) in cases {
            let done = read(&disk, &[vec![bad], vec![extent(0, 0, 5000)]]);
            let error = done[0].result.as_ref().unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(done[0].buffer.len(), lay_out(&[bad]).unwrap().buffer_bytes);
            assert_holds(&done[1], &[extent(0, 0, 5000)]);
        }
        assert_eq!(disk.counters().failures, cases.len() as u64);
    }
}

#[test]
fn a_file_that_shrinks_while_in_use_is_named_and_other_reads_go_on() {
    for want in [IoChoice::Buffered, IoChoice::Direct] {
        let folder = TempDir::new().unwrap();
        let paths = write_files(&folder, &[20_000, 20_000]);
        let disk = ThreadedDisk::new(Arc::new(Files::open(&paths, want).unwrap()), 2).unwrap();
        File::options().write(true).open(&paths[0]).unwrap().set_len(9_000).unwrap();
        let done = read(&disk, &[vec![extent(0, 8_000, 8_000)], vec![extent(1, 8_000, 8_000)]]);
        let error = done[0].result.as_ref().unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(
            error.to_string().contains("shard-0.bin: the file changed while in use: 20000 bytes"),
            "{error}"
        );
        assert_holds(&done[1], &[extent(1, 8_000, 8_000)]);
        assert_eq!(disk.counters().retries, 0);
    }
}

#[test]
fn what_cannot_be_opened_is_an_input_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nothing.gguf")] {
        let error = Files::open(std::slice::from_ref(&path), IoChoice::Direct).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
}

#[test]
fn dropping_the_disk_answers_every_request() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[100_000]);
    let disk = ThreadedDisk::new(Arc::new(Files::open(&paths, IoChoice::Buffered).unwrap()), 1).unwrap();
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

#[test]
fn a_receiver_that_is_gone_harms_nobody() {
    let folder = TempDir::new().unwrap();
    let paths = write_files(&folder, &[5000]);
    let disk = ThreadedDisk::new(Arc::new(Files::open(&paths, IoChoice::Buffered).unwrap()), 1).unwrap();
    let (sender, receiver) = channel();
    drop(receiver);
    let layout = lay_out(&[extent(0, 0, 10)]).unwrap();
    let buffer = AlignedBuf::zeroed(layout.buffer_bytes).unwrap();
    disk.submit(
        ReadRequest { ticket: 0, priority: Priority::Demand, pieces: layout.pieces, buffer },
        &sender,
    );
    assert_holds(&read(&disk, &[vec![extent(0, 7, 4000)]])[0], &[extent(0, 7, 4000)]);
}
