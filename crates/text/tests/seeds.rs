//! The seeds of the fuzz target `tokenizer`, and thousands of mutations of each: read or refused, never a panic.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use base::FileId;
use formats::gguf::read_header;
use text::Tokenizer;

/// Mutations of each seed; the fuzz target itself makes millions.
const MUTATIONS: usize = 2_000;

#[test]
fn tokenizer_seeds_and_their_mutations_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/tokenizer");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    for path in paths {
        let seed = std::fs::read(&path).unwrap();
        assert!(read(&seed) > 0, "{} is not read", path.display());
        let mut random = Random(seed.len() as u64 + 1);
        for _ in 0..MUTATIONS {
            read(&mutated(&seed, &mut random));
        }
    }
}

/// How many of the three readers take `bytes` for a tokenizer.
fn read(bytes: &[u8]) -> usize {
    let gguf = read_header(bytes, FileId(0), bytes.len() as u64)
        .and_then(|head| Tokenizer::from_metadata(&head.metadata));
    let readers = [Tokenizer::from_json(bytes), Tokenizer::from_ranks(bytes), gguf];
    readers.into_iter().filter(|result| check(result.as_ref())).count()
}

fn check(result: Result<&Tokenizer, &base::Error>) -> bool {
    match result {
        Ok(tokenizer) => {
            if let Ok(ids) = tokenizer.encode("ab  a<|e|>\n a1b2 漢e\u{301}") {
                assert!(!ids.iter().any(|id| tokenizer.is_control(*id)));
                tokenizer.decode(&ids);
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 2000 && !text.contains(char::is_control), "{text:?}");
        }
    }
    result.is_ok()
}

/// Up to four changes: a flipped bit, a replaced byte, a cut, a repeated piece.
fn mutated(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = b"\"[]{},:0129abe<\\ \n"[random.below(18)],
            2 if random.below(4) == 0 => bytes.truncate(at),
            _ => {
                let piece: Vec<u8> = bytes[at..].iter().copied().take(random.below(32)).collect();
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
