//! DeepSeek-V4 beyond its oracle: tables from outside, long prompts, small pools.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;

use base::{Kind, LayerId};
use experts::Lookahead;
use kv::Precision;
use testkit::{DiskKind, Oracle, Rig, RigOptions, fixture};

/// In both formats: 64-bit numbers and 32-bit ones.
const CHECKPOINTS: [&str; 2] = ["deepseek_v4/plain/hf", "deepseek_v4/plain/model.gguf"];

fn tokens() -> Vec<u32> {
    Oracle::read(&fixture("deepseek_v4/plain/oracle.safetensors")).tokens
}

/// A copy of the model whose first table begins with `number`.
fn with_expert(checkpoint: &str, number: i64, folder: &tempfile::TempDir) -> PathBuf {
    let original = fixture(checkpoint);
    let (_, manifest) = manifest::Manifest::open(&original).unwrap();
    let table = manifest.table(LayerId(0)).unwrap();
    let mut bytes = fs::read(&manifest.files[table.extent.file.0 as usize]).unwrap();
    let place = table.extent.offset as usize;
    bytes[place..][..table.number_bytes].copy_from_slice(&number.to_le_bytes()[..table.number_bytes]);
    if original.is_file() {
        let path = folder.path().join("model.gguf");
        fs::write(&path, bytes).unwrap();
        return path;
    }
    fs::copy(original.join("config.json"), folder.path().join("config.json")).unwrap();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder.path().to_owned()
}

#[test]
fn a_table_of_experts_is_read_when_loaded_and_refused_when_it_names_others() {
    for checkpoint in CHECKPOINTS {
        for (number, good) in [(6, true), (7, false), (-1, false), (i64::from(i32::MAX), false)] {
            let folder = tempfile::tempdir().unwrap();
            let path = with_expert(checkpoint, number, &folder);
            match Rig::open(&path, &RigOptions::default()) {
                Ok(_) => assert!(good, "{checkpoint}: expert {number} of 7"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(!good && error.kind() == Kind::Corrupt, "{said}");
                    assert!(
                        said.contains("tid2eid") && said.contains(&format!("expert {number} of 7")),
                        "{said}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_long_prompt_is_the_same_however_it_is_cut() {
    let tokens = tokens().repeat(2);
    for precision in [Precision::F32, Precision::F16] {
        let options = RigOptions { precision, ..RigOptions::default() };
        let mut rig = Rig::open(&fixture(CHECKPOINTS[0]), &options).unwrap();
        let whole = rig.prefill(&tokens, 900).unwrap();
        for chunk in [513, 129, 128, 3, 1] {
            assert!(
                rig.prefill(&tokens, chunk).unwrap() == whole,
                "chunks of {chunk} in {}",
                precision.name()
            );
        }
    }
}

#[test]
fn experts_that_hang_on_the_token_come_from_any_pool_alike() {
    let (path, tokens) = (fixture(CHECKPOINTS[1]), &tokens()[..60]);
    let expected = Rig::open(&path, &RigOptions::default()).unwrap().prefill(tokens, 512).unwrap();
    let smallest = Rig::smallest_pool(&path);
    for (pool, lookahead) in [(1, Lookahead::Off), (5, Lookahead::On)] {
        for seed in 0..2 {
            let (pool, disk) = (Some(pool * smallest), DiskKind::Shuffled(seed, Vec::new()));
            let mut rig =
                Rig::open(&path, &RigOptions { pool, disk, lookahead, ..RigOptions::default() }).unwrap();
            for chunk in [512, 1] {
                let found = rig.prefill(tokens, chunk).unwrap();
                assert!(found == expected, "pool {pool:?}, {lookahead:?}, chunks of {chunk}");
            }
            let stats = rig.pool.stats();
            assert!(stats.allocated_bytes <= pool.unwrap() + 4 * smallest, "{stats:?}");
        }
    }
}
