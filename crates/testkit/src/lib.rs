//! Fixtures, oracles and rigs for the tests of everything from the model upwards.
//!
//! A failure here is a failed test, so helpers panic with what they were doing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod oracle;
mod rig;

use std::path::{Path, PathBuf};

pub use oracle::Oracle;
pub use rig::{DiskKind, Rig, RigOptions};

/// Logits of an f32 engine against an f32 reference: the largest difference over the largest logit. Two orders of
/// summation differ by some 2e-6 on the tiny models; a wrong epsilon by 2e-5, a wrong equation by 1e-2.
pub const LOGITS_TOLERANCE: f64 = 1e-5;

/// Cached decode (one token at a time) against prefill, same measure: the two forms of latent attention round
/// differently.
pub const DECODE_TOLERANCE: f64 = 1e-5;

/// A file or folder of the committed fixtures.
pub fn fixture(name: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")).join(name);
    assert!(path.exists(), "no fixture {}", path.display());
    path
}

/// Folders of fixtures, by family.
pub const FAMILIES: &[&str] = &[
    "deepseek_v3",
    "deepseek_v32",
    "deepseek_v4",
    "glm_moe_dsa",
    "qwen3_moe",
    "qwen3",
    "qwen3_5_moe",
    "qwen3_5",
    "qwen3_next",
    "mixtral",
    "llama",
    "olmoe",
    "gpt_oss",
    "glm4_moe",
    "glm4_moe_lite",
    "minimax_m2",
    "kimi_linear",
    "kimi_k3",
];

/// Every checkpoint of the fixtures, with what it must answer.
pub fn checkpoints() -> Vec<(PathBuf, Oracle)> {
    let mut all = Vec::new();
    for folder in FAMILIES.iter().flat_map(|family| sorted(&fixture(family))) {
        let oracle = folder.join("oracle.safetensors");
        if !oracle.exists() {
            continue;
        }
        for path in sorted(&folder) {
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf") {
                all.push((path, Oracle::read(&oracle)));
            }
        }
    }
    assert!(all.len() >= 50, "fixtures are missing: {} checkpoints", all.len());
    all
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The largest difference between two sets of logits, over the largest logit of the second.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "as many logits as expected");
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(f64::from(value.abs())));
    let apart = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let worst = apart.fold(0.0, |most: f64, d| if d.is_nan() { f64::INFINITY } else { most.max(d) });
    worst / largest
}
