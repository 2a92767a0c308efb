//! What is kept of a sequence goes to bytes and back without changing one, for every model and precision.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use base::Kind;
use kv::{KvCache, Precision};
use testkit::{Oracle, Rig, RigOptions, checkpoints, fixture};

/// Tokens computed before what is kept of them is saved.
const FIRST: usize = 37;

fn saved(rig: &Rig, kv: &KvCache, tokens: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    kv.save(rig.decoder.spec(), rig.decoder.backend().as_ref(), tokens, &mut bytes).unwrap();
    bytes
}

fn restored(rig: &Rig, precision: Precision, capacity: usize, mut bytes: &[u8]) -> base::Result<KvCache> {
    let (spec, backend) = (rig.decoder.spec(), rig.decoder.backend().as_ref());
    KvCache::restore(spec, backend, precision, capacity, &mut bytes)
}

#[test]
fn a_restored_sequence_goes_on_to_the_bit() {
    for (path, oracle) in checkpoints() {
        for precision in Precision::ALL.iter().copied() {
            let mut rig = Rig::open(&path, &RigOptions { precision, ..RigOptions::default() }).unwrap();
            let (count, tokens) = (oracle.tokens.len(), &oracle.tokens);
            let mut kv = rig.cache(count).unwrap();
            rig.feed(&mut kv, &tokens[..FIRST], 0..count).unwrap();
            let bytes = saved(&rig, &kv, FIRST);
            assert_eq!(bytes.len() as u64, kv.saved_bytes(rig.decoder.spec(), FIRST));
            let mut twin = restored(&rig, precision, count, &bytes).unwrap();
            assert_eq!(saved(&rig, &twin, FIRST), bytes, "{}", path.display());
            let expected = rig.feed(&mut kv, &tokens[FIRST..], 0..count).unwrap();
            let found = rig.feed(&mut twin, &tokens[FIRST..], 0..count).unwrap();
            assert_eq!(found, expected, "{} in {}", path.display(), precision.name());
        }
    }
}

#[test]
fn bytes_that_are_not_of_this_model_are_refused() {
    let path = fixture("qwen3_moe/plain/model.gguf");
    let tokens = Oracle::read(&fixture("qwen3_moe/plain/oracle.safetensors")).tokens;
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let mut kv = rig.cache(FIRST).unwrap();
    rig.feed(&mut kv, &tokens[..FIRST], 0..FIRST).unwrap();
    let good = saved(&rig, &kv, FIRST);

    for end in (0..good.len()).step_by(97).chain(0..64) {
        let error = restored(&rig, Precision::F32, FIRST, &good[..end]).err().expect("bytes are missing");
        assert_eq!(error.kind(), Kind::Corrupt, "{end}: {error}");
    }
    let of = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        restored(&rig, Precision::F32, FIRST, &bytes).err().map(|error| error.kind())
    };
    assert_eq!(of(0, 1), Some(Kind::Unsupported), "another magic");
    assert_eq!(of(8, 2), Some(Kind::Unsupported), "another version");
    assert_eq!(of(12, 1), Some(Kind::Input), "another precision");
    assert_eq!(of(16, 1), Some(Kind::Input), "other layers");
    assert_eq!(of(20, 1), Some(Kind::Input), "other rows");
    assert_eq!(of(75, 0x80), Some(Kind::Budget), "more tokens than could be");
    let error = restored(&rig, Precision::F32, FIRST - 1, &good).err().expect("no room");
    assert_eq!(error.kind(), Kind::Budget);
    let other = Rig::open(&fixture("olmoe/plain/model.gguf"), &RigOptions::default()).unwrap();
    let error = restored(&other, Precision::F32, FIRST, &good).err().expect("another model");
    assert_eq!(error.kind(), Kind::Input);
}

/// Models among the fixtures that keep states, or rings of rows.
fn recurrent() -> Vec<(std::path::PathBuf, Oracle)> {
    let keeps_state = |path: &std::path::Path| {
        let rig = Rig::open(path, &RigOptions::default()).unwrap();
        kv::state_bytes(rig.decoder.spec(), Precision::F32) > 0
    };
    let found: Vec<_> = checkpoints().into_iter().filter(|(path, _)| keeps_state(path)).collect();
    assert!(found.len() >= 8, "{} recurrent models", found.len());
    found
}

#[test]
fn a_recurrent_sequence_goes_back_to_its_mark_or_to_nothing() {
    for (path, oracle) in recurrent() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let (count, tokens) = (oracle.tokens.len(), &oracle.tokens);
        let vocab = oracle.vocab();
        let expected = rig.prefill(tokens, 512).unwrap();
        for chunk in [50, 29, 7] {
            let mut kv = rig.cache(count).unwrap();
            kv.mark_at(29);
            for part in tokens[..50].chunks(chunk) {
                rig.feed(&mut kv, part, 0..count).unwrap();
            }
            assert_eq!((kv.keepable(60), kv.keepable(50), kv.keepable(49), kv.keepable(28)), (50, 50, 29, 0));
            let marked = saved(&rig, &kv, 29);
            let (spec, backend) = (rig.decoder.spec(), rig.decoder.backend().as_ref());
            for (asked, kept) in [(50, 50), (40, 29), (20, 0)] {
                let mut fork = kv.fork(spec, backend, asked, count).unwrap();
                assert_eq!(fork.len(), kept);
                if chunk == 50 {
                    let found = Rig::open(&path, &RigOptions::default()).unwrap().feed(
                        &mut fork,
                        &tokens[kept..],
                        0..count,
                    );
                    assert_eq!(found.unwrap(), expected[kept * vocab..], "{}, forked", path.display());
                }
            }
            let whole = saved(&rig, &kv, 50);
            assert_eq!(whole.len() as u64, kv.saved_bytes(rig.decoder.spec(), 50));
            let mut twin = restored(&rig, Precision::F32, count, &whole).unwrap();
            assert_eq!(twin.beginnings(), kv::Beginnings::Marked(29));
            assert_eq!(saved(&rig, &twin, 50), whole);
            twin.truncate(40);
            assert_eq!(saved(&rig, &twin, 29), marked, "the mark is saved with the whole");
            kv.truncate(40);
            assert_eq!(kv.len(), 29);
            assert_eq!(saved(&rig, &kv, 29), marked);
            let found = rig.feed(&mut kv, &tokens[29..], 0..count).unwrap();
            assert_eq!(found, expected[29 * vocab..], "{}, chunks of {chunk}", path.display());
            kv.truncate(30);
            assert!(kv.is_empty());
            assert_eq!(rig.feed(&mut kv, tokens, 0..count).unwrap(), expected, "{}", path.display());
        }
    }
}

#[test]
fn a_failed_pass_leaves_a_recurrent_sequence_as_it_was() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    for (path, oracle) in recurrent() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let Some(last) = rig.decoder.spec().layers.iter().rposition(|layer| layer.moe().is_some()) else {
            continue; // only experts are heard of
        };
        let tokens = &oracle.tokens;
        let mut kv = rig.cache(tokens.len()).unwrap();
        rig.feed(&mut kv, &tokens[..FIRST], 0..tokens.len()).unwrap();
        let before = saved(&rig, &kv, FIRST);
        kv.mark_at(FIRST + 5);
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = cancelled.clone();
        let in_last = move |layer: base::LayerId| flag.store(layer.0 as usize == last, Ordering::Relaxed);
        rig.pool.watch(Some(Box::new(move |layer, _| in_last(layer))));
        let rest = &tokens[FIRST..];
        let entry =
            model::Entry { kv: &mut kv, tokens: rest, prompt: 0..tokens.len(), logits: model::Logits::None };
        let error = rig.decoder.forward(&mut [entry], &mut rig.pool, &cancelled, &mut |_, _, _| Ok(()));
        assert_eq!(error.unwrap_err().kind(), Kind::Cancelled);
        rig.pool.watch(None);
        assert_eq!(saved(&rig, &kv, FIRST), before, "{}", path.display());
        let found = rig.feed(&mut kv, rest, 0..tokens.len()).unwrap();
        let expected = rig.prefill(tokens, 512).unwrap();
        assert_eq!(found, expected[FIRST * oracle.vocab()..], "{}", path.display());
        assert_eq!(kv.keepable(FIRST + 8), FIRST + 5);
    }
}

#[test]
fn a_prompt_of_several_portions_passes_recurrent_layers_as_in_several_passes() {
    let (path, oracle) = recurrent().into_iter().next().unwrap();
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let tokens = oracle.tokens.repeat(8);
    let expected = rig.prefill(&tokens, 100).unwrap();
    for mark in [300, 512, 700] {
        let mut kv = rig.cache(tokens.len()).unwrap();
        kv.mark_at(mark);
        assert_eq!(rig.feed(&mut kv, &tokens, 0..tokens.len()).unwrap(), expected, "marked at {mark}");
        kv.truncate(tokens.len() - 1);
        assert_eq!(kv.len(), mark);
        let found = rig.feed(&mut kv, &tokens[mark..], 0..tokens.len()).unwrap();
        assert_eq!(found, expected[mark * oracle.vocab()..], "marked at {mark}");
    }
}

#[test]
fn rings_hold_what_the_windows_of_a_long_prompt_see() {
    let path = fixture("gpt_oss/plain/model.gguf");
    let tokens = Oracle::read(&fixture("gpt_oss/plain/oracle.safetensors")).tokens.repeat(4);
    let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
    let expected = rig.prefill(&tokens, 1).unwrap();
    for chunk in [600, 129, 128, 50] {
        assert!(rig.prefill(&tokens, chunk).unwrap() == expected, "chunks of {chunk}");
    }
    // Of its three layers the one in the middle keeps every token.
    let spec = rig.decoder.spec();
    let row = Precision::F16.row_bytes(spec.layers[1].mixer.row()) as u64;
    assert_eq!(kv::bytes_per_token(spec, Precision::F16), row);
    assert_eq!(kv::state_bytes(spec, Precision::F16), 2 * 3 * (19 + 128) * row);
}
