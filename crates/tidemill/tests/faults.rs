//! Drives and files that misbehave in the middle of an answer: a clear error or the same text, never a wrong token.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use base::{Extent, Kind, TokenId};
use disk::{Completion, Counters, Disk, Fault, Files, Io, MemoryDisk, ReadRequest};
use tidemill::{Engine, Event, IoMode, MemoryPlan, Opened, Options, Request, demo};

const STORY: &str = "Once upon a time, there was a little girl named Lily. One day,";
const TOKENS: usize = 16;

fn demo_path() -> PathBuf {
    demo::unpack(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo-of-faults")).unwrap()
}

/// The model at `path` with a pool that has to read for every token, and the story begun.
fn telling(path: &Path, io: IoMode) -> Engine {
    let opened = Opened::read(path).unwrap();
    let options = Options { io, threads: Some(2), ..Options::default() };
    let plan = opened.plan(&options).unwrap();
    let plan = MemoryPlan { pool: opened.traffic(&plan).experts_total / 8, ..plan };
    let mut engine = Engine::load(opened, plan, &options, &mut |_, _| {}).unwrap();
    begin(&mut engine);
    engine
}

fn begin(engine: &mut Engine) {
    let tokens = Opened::read(&demo_path()).unwrap().tokenizer().unwrap().encode(STORY).unwrap();
    engine.submit(Request { tokens, max_tokens: TOKENS, ..Request::default() }).unwrap();
}

/// Steps to the end, or to the first error.
fn tell(engine: &mut Engine, said: &mut Vec<TokenId>) -> base::Result<()> {
    while !engine.is_idle() {
        for event in engine.step()?.0 {
            if let Event::Token { token, .. } = event {
                said.push(token);
            }
        }
    }
    Ok(())
}

fn expected() -> Vec<TokenId> {
    let mut said = Vec::new();
    tell(&mut telling(&demo_path(), IoMode::Auto), &mut said).unwrap();
    assert_eq!(said.len(), TOKENS);
    said
}

/// The demo's bytes in memory, behind some disk.
fn telling_from(disk: impl FnOnce(MemoryDisk) -> Arc<dyn Disk>) -> Engine {
    let opened = Opened::read(&demo_path()).unwrap();
    let plan = opened.plan(&Options::default()).unwrap();
    let plan = MemoryPlan { pool: opened.traffic(&plan).experts_total / 8, ..plan };
    let manifest = opened.manifest.clone();
    let files = Arc::new(Files::open(&manifest.files, Io::Buffered).unwrap());
    let backend =
        Arc::new(backend::Cpu::with(backend::Kernels::detect(), tidemill::Activations::Int8, 2).unwrap());
    let rows = files.clone();
    let rows = Arc::new(move |extent: Extent, bytes: &mut [u8]| rows.read_exact(extent, bytes));
    let read = &mut |extent: Extent, bytes: &mut [u8]| files.read_exact(extent, bytes);
    let decoder = model::load(&manifest, backend, read, rows).unwrap();
    let bytes = manifest.files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut engine =
        Engine::assemble(manifest, decoder, disk(MemoryDisk::new(bytes, 3)), plan, "worth").unwrap();
    begin(&mut engine);
    engine
}

#[test]
fn a_drive_that_dies_ends_the_answer_and_every_attempt_to_go_on() {
    let mut engine = telling_from(|disk| Arc::new(disk.with_fault(400, Fault::Always)));
    let mut said = Vec::new();
    for _ in 0..3 {
        let error = tell(&mut engine, &mut said).unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.to_string().contains("layer"), "{error}");
    }
    assert!(!said.is_empty() && said.len() < TOKENS, "{}", said.len());
    assert_eq!(said, expected()[..said.len()], "what was said is right");
}

/// A drive that hangs now and then, until it has been waited for a while.
struct Recovering {
    disk: MemoryDisk,
    flushes: AtomicUsize,
}

impl Disk for Recovering {
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        self.disk.submit(request, done);
    }

    fn flush(&self) {
        self.disk.flush();
        if self.flushes.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) {
            self.disk.resume();
        }
    }

    fn counters(&self) -> Counters {
        self.disk.counters()
    }

    fn io(&self) -> Io {
        self.disk.io()
    }
}

#[test]
fn a_read_that_hangs_for_a_while_is_waited_for() {
    let mut engine = telling_from(|disk| {
        let disk = [40, 41, 300].iter().fold(disk, |disk, nth| disk.with_fault(*nth, Fault::Stall));
        Arc::new(Recovering { disk, flushes: AtomicUsize::new(1) })
    });
    let mut said = Vec::new();
    tell(&mut engine, &mut said).unwrap();
    assert_eq!(said, expected());
}

#[test]
fn a_file_that_is_cut_or_written_to_is_named_and_one_that_is_replaced_is_read_to_the_end() {
    let expected = expected();
    for io in [IoMode::Buffered, IoMode::Direct] {
        for what in ["cut", "written", "replaced"] {
            let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let path = folder.path().join("model.gguf");
            std::fs::copy(demo_path(), &path).unwrap();
            let mut engine = telling(&path, io);
            let mut said = Vec::new();
            for _ in 0..4 {
                said.extend(engine.step().unwrap().0.iter().filter_map(|event| match event {
                    Event::Token { token, .. } => Some(*token),
                    Event::Finished { .. } => None,
                }));
            }
            let open = || std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            match what {
                "cut" => open().set_len(1 << 20).unwrap(),
                "written" => {
                    let file = open();
                    std::io::Write::write_all(&mut &file, b"GGUF").unwrap();
                    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
                }
                _ => {
                    let other = folder.path().join("other.gguf");
                    std::fs::write(&other, vec![0xEE; 30 << 20]).unwrap();
                    std::fs::rename(&other, &path).unwrap();
                }
            }
            let told = tell(&mut engine, &mut said);
            if what == "replaced" {
                told.unwrap();
                assert_eq!(said, expected, "{io:?}");
            } else {
                let error = told.unwrap_err();
                assert_eq!(error.kind(), Kind::Corrupt, "{what}, {io:?}: {error}");
                assert!(error.to_string().contains("model.gguf"), "{error}");
                assert_eq!(said, expected[..said.len()], "{what}, {io:?}");
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn where_the_page_cache_cannot_be_bypassed_the_story_is_the_same_and_a_note_says_so() {
    let Ok(folder) = tempfile::TempDir::new_in("/dev/shm") else { return };
    let path = folder.path().join("model.gguf");
    std::fs::copy(demo_path(), &path).unwrap();
    let mut engine = telling(&path, IoMode::Direct);
    let mut said = Vec::new();
    tell(&mut engine, &mut said).unwrap();
    assert_eq!(said, expected());
    // Newer kernels take direct reads of memory and serve them; older ones refuse.
    let (io, note) = engine.io();
    assert!(io == Io::Direct || note.is_some_and(|note| note.contains("buffered")), "{note:?}");
}
