//! What is kept of a sequence goes to bytes and back without changing one, for every model and precision.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use base::Kind;
use kv::{KvCache, Precision, saved_bytes};
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
            assert_eq!(bytes.len() as u64, saved_bytes(rig.decoder.spec(), precision, FIRST));
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
    assert_eq!(of(39, 0x80), Some(Kind::Budget), "more tokens than could be");
    let error = restored(&rig, Precision::F32, FIRST - 1, &good).err().expect("no room");
    assert_eq!(error.kind(), Kind::Budget);
    let other = Rig::open(&fixture("olmoe/plain/model.gguf"), &RigOptions::default()).unwrap();
    let error = restored(&other, Precision::F32, FIRST, &good).err().expect("another model");
    assert_eq!(error.kind(), Kind::Input);
}
