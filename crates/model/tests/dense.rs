//! Models without experts, larger than memory: their feed-forward networks are streamed, and nothing else changes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use experts::needs;
use model::ManifestCatalogue;
use testkit::{DiskKind, Oracle, Rig, RigOptions, fixture};

#[test]
fn streamed_networks_give_the_bits_of_resident_ones_and_are_read_as_far_as_they_have_no_slot() {
    for name in ["llama/plain/model.gguf", "llama/tied/hf", "qwen3/plain/model.gguf", "qwen3/yarn/hf"] {
        let path = fixture(name);
        let tokens = Oracle::read(&path.parent().unwrap().join("oracle.safetensors")).tokens;
        let tokens = &tokens[..tokens.len().min(20)];
        let mut resident = Rig::open(&path, &RigOptions::default()).unwrap();
        assert_eq!(resident.manifest.expert_bytes(), 0);
        let (expected, decoded) = (resident.prefill(tokens, 512).unwrap(), resident.decode(tokens).unwrap());

        let manifest = Arc::new(resident.manifest.with_dense_streamed());
        let layers = manifest.spec.layers.len() as u64;
        let trunk = resident.manifest.trunk_bytes();
        assert_eq!(manifest.trunk_bytes() + manifest.expert_bytes(), trunk, "every byte is somewhere");
        let slot = needs(&ManifestCatalogue(manifest)).unwrap().smallest_bytes;
        for slots in 1..=layers {
            let disk = DiskKind::Shuffled(slots, Vec::new());
            let options =
                RigOptions { stream_dense: true, pool: Some(slots * slot), disk, ..RigOptions::default() };
            let mut rig = Rig::open(&path, &options).unwrap();
            assert_eq!(rig.prefill(tokens, 512).unwrap(), expected, "{name}, {slots} slots");
            assert_eq!(rig.prefill(tokens, 7).unwrap(), expected, "{name}, {slots} slots");
            let before = rig.pool.stats().misses;
            assert_eq!(rig.decode(tokens).unwrap(), decoded, "{name}, {slots} slots");
            let read = rig.pool.stats().misses - before;
            let per_token = if slots == layers { 0 } else { layers - (slots - 1) };
            assert_eq!(read, per_token * tokens.len() as u64, "{name}, {slots} of {layers} slots");
        }
    }
}
