//! The disk, the pool and the threads decide when an answer comes, never what it is: to the bit.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use disk::{Fault, Io};
use testkit::{DiskKind, Oracle, Rig, RigOptions, checkpoints, fixture};

/// A model with groups and shared experts.
const MODEL: &str = "deepseek_v3/grouped";

/// A model, a prompt, and its logits with everything resident.
fn reference() -> (PathBuf, Vec<u32>, Vec<f32>) {
    let path = fixture(MODEL).join("model.gguf");
    let tokens = Oracle::read(&fixture(MODEL).join("oracle.safetensors")).tokens;
    let logits = logits(&path, &tokens);
    (path, tokens, logits)
}

fn logits(path: &Path, tokens: &[u32]) -> Vec<f32> {
    let mut rig = Rig::open(path, &RigOptions { threads: 1, ..RigOptions::default() }).unwrap();
    rig.prefill(tokens, 512).unwrap()
}

fn check(options: &RigOptions, what: &str) -> Rig {
    let (path, tokens, expected) = reference();
    check_chunks(&path, &tokens, &expected, options, what)
}

fn check_chunks(path: &Path, tokens: &[u32], expected: &[f32], options: &RigOptions, what: &str) -> Rig {
    let mut rig = Rig::open(path, options).unwrap();
    for chunk in [512, 7, 1] {
        let found = rig.prefill(tokens, chunk).unwrap();
        assert!(found == expected, "{}, {what}, chunks of {chunk}", path.display());
    }
    rig
}

#[test]
fn any_number_of_threads_and_any_chunks_give_every_model_the_same_bits() {
    for (path, oracle) in checkpoints() {
        let expected = logits(&path, &oracle.tokens);
        for threads in [2, 4] {
            let options = RigOptions { threads, ..RigOptions::default() };
            check_chunks(&path, &oracle.tokens, &expected, &options, &format!("{threads} threads"));
        }
    }
}

#[test]
fn any_pool_any_policy_and_any_order_of_arrival_give_the_same_bits() {
    let smallest = Rig::smallest_pool(&fixture("deepseek_v3/grouped/model.gguf"));
    for policy in experts::policy::POLICIES {
        for pool in [Some(smallest), Some(smallest * 3), Some(smallest * 9), None] {
            for seed in 0..3 {
                let disk = DiskKind::Shuffled(seed, Vec::new());
                let options = RigOptions { pool, policy: policy.name, disk, ..RigOptions::default() };
                let rig = check(&options, &format!("policy {}, pool {pool:?}, seed {seed}", policy.name));
                let stats = rig.pool.stats();
                assert!(stats.misses > 0, "experts came from the disk");
                assert!(pool.is_none_or(|pool| stats.allocated_bytes <= pool), "{stats:?}");
                assert_eq!(pool.is_none(), stats.evictions == 0, "{stats:?}");
            }
        }
    }
}

#[test]
fn direct_and_buffered_reads_give_the_same_bits() {
    for choice in [Io::Direct, Io::Buffered] {
        check(&RigOptions { disk: DiskKind::Files(choice), ..RigOptions::default() }, "files");
    }
}

#[test]
fn a_read_that_fails_once_changes_nothing() {
    let faults = (0..40).map(|nth| (nth, Fault::Once)).collect();
    let rig = check(&RigOptions { disk: DiskKind::Shuffled(5, faults), ..RigOptions::default() }, "retries");
    assert!(rig.pool.stats().retries > 0, "{:?}", rig.pool.stats());
}

#[test]
fn a_read_that_fails_for_good_is_an_error_and_the_next_pass_is_right() {
    let (path, tokens, expected) = reference();
    let disk = DiskKind::Shuffled(5, vec![(3, Fault::Failed), (9, Fault::Short)]);
    let mut rig = Rig::open(&path, &RigOptions { disk, ..RigOptions::default() }).unwrap();
    for _ in 0..2 {
        let error = rig.prefill(&tokens, 512).unwrap_err();
        assert_eq!(error.kind(), base::Kind::Io);
        assert!(error.to_string().contains("layer"), "{error}");
    }
    assert_eq!(rig.prefill(&tokens, 512).unwrap(), expected);
}

#[test]
fn every_batch_gives_each_sequence_the_bits_it_has_alone() {
    use kv::KvCache;
    use model::{Entry, Logits};
    let (path, tokens, expected) = reference();
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let vocab = rig.decoder.spec().vocab;
    let backend = rig.decoder.backend().clone();
    let mut caches: Vec<KvCache> = (0..3)
        .map(|_| {
            KvCache::new(rig.decoder.spec(), backend.as_ref(), kv::Precision::F32, tokens.len()).unwrap()
        })
        .collect();
    // Three sequences of the same prompt at different places: chunks of 5, 1 and the rest, in one pass each time.
    let mut seen = vec![Vec::new(); 3];
    while caches.iter().any(|kv| kv.len() < tokens.len()) {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (kv, take) in caches.iter_mut().zip([5, 1, tokens.len()]) {
            let start = kv.len();
            let end = tokens.len().min(start + take);
            entries.push(Entry {
                kv,
                tokens: &tokens[start..end],
                prompt: 0..tokens.len(),
                logits: Logits::All,
            });
        }
        let before: Vec<usize> = seen.iter().map(|logits| logits.len() / vocab).collect();
        let emit = &mut |entry: usize, place: usize, logits: &[f32]| {
            assert_eq!(before[entry] + place, seen[entry].len() / vocab, "token by token");
            seen[entry].extend_from_slice(logits);
            Ok(())
        };
        rig.decoder.forward(&mut entries, &mut rig.pool, &Default::default(), emit).unwrap();
    }
    for logits in seen {
        assert_eq!(logits.len(), tokens.len() * vocab);
        assert_eq!(logits, expected);
    }
}

#[test]
fn the_head_is_read_once_for_the_last_rows_of_several_sequences() {
    use kv::KvCache;
    use model::{Entry, Logits};
    let (path, tokens, _) = reference();
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    rig.decoder.log_to(base::Timeline::to(Box::new(log.reopen().unwrap())));
    let backend = rig.decoder.backend().clone();
    let mut caches = [(); 3].map(|()| {
        KvCache::new(rig.decoder.spec(), backend.as_ref(), kv::Precision::F32, tokens.len()).unwrap()
    });
    let entry = |kv| Entry { kv, tokens: &tokens, prompt: 0..tokens.len(), logits: Logits::Last };
    let mut entries = caches.each_mut().map(entry);
    let mut asked = Vec::new();
    let emit = &mut |entry: usize, place: usize, _: &[f32]| {
        asked.push((entry, place));
        Ok(())
    };
    rig.decoder.forward(&mut entries, &mut rig.pool, &Default::default(), emit).unwrap();
    rig.decoder.log_to(base::Timeline::default()); // so that the log is written out
    assert_eq!(asked, [0, 1, 2].map(|entry| (entry, tokens.len() - 1)));
    assert_eq!(std::fs::read_to_string(log.path()).unwrap().matches(r#""head""#).count(), 1);
}

#[test]
fn a_cancelled_pass_keeps_nothing() {
    use std::sync::atomic::AtomicBool;
    let (path, tokens, expected) = reference();
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let backend = rig.decoder.backend().clone();
    let mut kv =
        kv::KvCache::new(rig.decoder.spec(), backend.as_ref(), kv::Precision::F32, tokens.len()).unwrap();
    let entry =
        model::Entry { kv: &mut kv, tokens: &tokens, prompt: 0..tokens.len(), logits: model::Logits::All };
    let cancelled = AtomicBool::new(true);
    let error =
        rig.decoder.forward(&mut [entry], &mut rig.pool, &cancelled, &mut |_, _, _| Ok(())).unwrap_err();
    assert_eq!(error.kind(), base::Kind::Cancelled);
    assert!(kv.is_empty());
    assert_eq!(rig.prefill(&tokens, 512).unwrap(), expected);
}

#[test]
fn a_pass_that_is_cancelled_within_its_last_layer_ends_there() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let (path, tokens, expected) = reference();
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    rig.prefill(&tokens, 512).unwrap(); // from here on every expert is resident, so nothing ever blocks
    let cancelled = Arc::new(AtomicBool::new(false));
    let (flag, last) = (cancelled.clone(), rig.decoder.spec().layers.len() as u32 - 1);
    rig.pool.watch(Some(Box::new(move |layer, _| flag.store(layer.0 == last, Ordering::Relaxed))));
    let backend = rig.decoder.backend().clone();
    let mut kv =
        kv::KvCache::new(rig.decoder.spec(), backend.as_ref(), kv::Precision::F32, tokens.len()).unwrap();
    let entry =
        model::Entry { kv: &mut kv, tokens: &tokens, prompt: 0..tokens.len(), logits: model::Logits::All };
    let error =
        rig.decoder.forward(&mut [entry], &mut rig.pool, &cancelled, &mut |_, _, _| Ok(())).unwrap_err();
    assert_eq!(error.kind(), base::Kind::Cancelled);
    assert!(kv.is_empty());
    rig.pool.watch(None);
    assert_eq!(rig.prefill(&tokens, 512).unwrap(), expected);
}

#[test]
fn a_pass_longer_than_a_portion_gives_the_bits_of_short_ones() {
    // One model of each family: whatever its mixers keep goes from portion to portion.
    let mut families = std::collections::BTreeMap::new();
    for (path, _) in checkpoints() {
        families.entry(path.ancestors().nth(2).unwrap().to_owned()).or_insert(path);
    }
    assert!(families.len() >= 6, "{families:?}");
    for path in families.into_values() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let vocab = rig.decoder.spec().vocab as u32;
        let tokens: Vec<u32> = (0..600u32).map(|i| (i * i * 7 + i) % vocab).collect();
        let whole = rig.prefill(&tokens, 600).unwrap();
        assert!(whole == rig.prefill(&tokens, 100).unwrap(), "{}", path.display());
    }
}

#[test]
fn a_prompt_of_2048_tokens_reads_each_expert_that_it_uses_once() {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    let path = fixture(MODEL).join("model.gguf");
    let pool = Some(Rig::smallest_pool(&path) * 3);
    let mut rig = Rig::open(&path, &RigOptions { pool, policy: "worth", ..RigOptions::default() }).unwrap();
    let touched: Arc<Mutex<BTreeSet<(u32, u32)>>> = Arc::default();
    let seen = touched.clone();
    rig.pool.watch(Some(Box::new(move |layer, experts| {
        seen.lock().unwrap().extend(experts.iter().map(|(expert, _)| (layer.0, expert.0)));
    })));
    let vocab = rig.decoder.spec().vocab as u32;
    let tokens: Vec<u32> = (0..2048u32).map(|i| (i * i * 7 + i) % vocab).collect();
    rig.prefill(&tokens, 2048).unwrap();
    let (stats, touched) = (rig.pool.stats(), touched.lock().unwrap().len() as u64);
    assert!(stats.reads == touched && stats.misses == touched, "{stats:?}");
}
