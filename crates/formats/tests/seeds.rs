//! The seeds of the fuzz targets, and thousands of mutations of each: read or refused, never a panic.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should stop

use std::path::Path;

use base::{Error, FileId};

/// Mutations of each seed; the fuzz targets themselves make millions.
const MUTATIONS: u64 = 3_000;

#[test]
fn gguf_seeds_and_their_mutations_are_read_or_refused() {
    run("gguf", |bytes| formats::gguf::read_header(bytes, FileId(0), bytes.len() as u64).map(drop));
}

#[test]
fn safetensors_seeds_and_their_mutations_are_read_or_refused() {
    run("safetensors", |bytes| {
        formats::safetensors::read_header(bytes, FileId(0), bytes.len() as u64).map(drop)
    });
}

fn run(target: &str, read: impl Fn(&[u8]) -> Result<(), Error>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    for path in paths {
        let seed = std::fs::read(path).unwrap();
        check(read(&seed));
        let mut random = Random(seed.len() as u64 + 1);
        for _ in 0..MUTATIONS {
            check(read(&mutated(&seed, &mut random)));
        }
    }
}

/// What is refused is refused in one line.
fn check(result: Result<(), Error>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(text.len() < 2000 && !text.contains(|letter: char| letter.is_control()), "{text:?}");
    }
}

/// Up to four changes: a flipped bit, a replaced byte or word, a cut, a repeated piece.
fn mutated(seed: &[u8], random: &mut Random) -> Vec<u8> {
    const WORDS: [u64; 6] = [0, 1, 255, 1 << 31, 1 << 40, u64::MAX];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => {
                let word = WORDS[random.below(WORDS.len())].to_le_bytes();
                bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
            }
            3 => bytes.truncate(at),
            _ => {
                let piece = bytes[at..].iter().copied().take(random.below(64)).collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Xorshift: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
