//! Guesses start reads and decide nothing: not a bit of an answer, and no count of the pool.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use base::ExpertId;
use experts::{Lookahead, PoolStats};
use model::Guesser;
use testkit::{DiskKind, Oracle, Rig, RigOptions, fixture};

/// A model with groups and shared experts, one with neither, and one in a folder.
const MODELS: &[[&str; 2]] =
    &[["deepseek_v3/grouped", "model.gguf"], ["qwen3_moe/plain", "model.gguf"], ["mixtral/window", "hf"]];

/// Every expert that the router applied early does not choose.
fn contrary(experts: usize, likeliest: &[ExpertId]) -> Vec<ExpertId> {
    (0..experts as u32).map(ExpertId).filter(|expert| !likeliest.contains(expert)).collect()
}

/// Logits of some tokens one after another and in threes, and what the pool did for them.
fn run(model: [&str; 2], lookahead: Lookahead, guesser: Option<Guesser>, seed: u64) -> (Vec<f32>, PoolStats) {
    let path = fixture(model[0]).join(model[1]);
    let tokens = Oracle::read(&fixture(model[0]).join("oracle.safetensors")).tokens;
    let tokens = &tokens[..tokens.len().min(24)];
    let pool = Some(Rig::smallest_pool(&path) * 3);
    let disk = DiskKind::Shuffled(seed, Vec::new());
    let options = RigOptions { pool, disk, lookahead, guesser, policy: "worth", ..RigOptions::default() };
    let mut rig = Rig::open(&path, &options).unwrap();
    let mut logits = rig.decode(tokens).unwrap();
    logits.extend(rig.prefill(tokens, 3).unwrap());
    (logits, rig.pool.stats())
}

#[test]
fn guesses_right_and_wrong_give_the_same_bits_and_the_same_counts() {
    for model in MODELS {
        for seed in 0..3 {
            let (expected, without) = run(*model, Lookahead::Off, None, seed);
            assert_eq!(without.guesses.issued, 0);
            let mut useful = Vec::new();
            for guesser in [None, Some(contrary as Guesser)] {
                let (logits, with) = run(*model, Lookahead::On, guesser, seed);
                assert_eq!(logits, expected, "{model:?}, seed {seed}, {guesser:?}");
                let counts = |stats: &PoolStats| (stats.hits, stats.misses, stats.evictions);
                assert_eq!(counts(&with), counts(&without), "{model:?}");
                let all = with.guesses;
                let open = all.issued - (all.useful + all.wasted + all.cancelled);
                assert!(all.issued > 20 && open <= 4, "{model:?}: {all:?}");
                useful.push(all.useful as f64 / all.issued as f64);
            }
            assert!(useful[0] > useful[1], "{model:?}: {useful:?}");
        }
    }
}
