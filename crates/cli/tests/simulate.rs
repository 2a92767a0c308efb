//! Traces: recorded from a run, replayed to the access, and the evidence for the default policy.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn tidemill(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(args)
        .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = tidemill(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/traces")).join(name);
    path.to_str().unwrap().to_owned()
}

/// Hit rates in per cent, smallest pool first.
fn rates(simulated: &Value, policy: &str) -> Vec<f64> {
    let rows = simulated["rows"].as_array().unwrap().iter().filter(|row| row["policy"] == policy);
    rows.map(|row| row["hit_rate"].as_f64().unwrap() * 100.0).collect()
}

/// Hit rates of others on the same traces, in whole per cent, at 6.25, 12.5, 25 and 50 % of the experts: a global
/// LRU, LFU with a half-life of 32 tokens in each layer, and the clairvoyant.
const REFERENCE: [(&str, [[i32; 4]; 3]); 3] = [
    ("kimi_linear.jsonl", [[41, 56, 73, 90], [47, 59, 74, 90], [64, 76, 87, 96]]),
    ("qwen.trace.jsonl", [[37, 57, 82, 98], [46, 65, 84, 97], [63, 79, 93, 98]]),
    ("gptoss.trace.jsonl", [[60, 73, 86, 93], [55, 72, 85, 92], [76, 88, 93, 93]]),
];

#[test]
fn the_default_is_the_best_or_close_to_it_on_every_trace() {
    for (file, [lru, lfu, _]) in REFERENCE {
        let simulated = json(&["simulate", &fixture(file), "--json"]);
        let default = rates(&simulated, simulated["default_policy"].as_str().unwrap());
        assert_eq!(default.len(), 5);
        for policy in ["worth", "blend", "lfu", "lru"] {
            for (size, (ours, other)) in default.iter().zip(rates(&simulated, policy)).enumerate() {
                assert!(ours + 1.0 >= other, "{file}, size {size}: {ours:.1} beside {other:.1} of {policy}");
            }
        }
        for (size, ours) in default[1..].iter().enumerate() {
            let reference = lru[size].max(lfu[size]);
            assert!(ours.round() as i32 >= reference, "{file}, size {size}: {ours:.1} beside {reference}");
        }
        let clairvoyant = rates(&simulated, "clairvoyant");
        assert!(default.iter().zip(&clairvoyant).all(|(ours, best)| ours <= best), "{file}");
    }
}

#[test]
fn known_policies_score_as_others_measured_them() {
    for (file, [lru, _, clairvoyant]) in REFERENCE {
        for (policy, reference) in [("lru", lru), ("clairvoyant", clairvoyant)] {
            let args = ["simulate", &fixture(file), "--policy", "lru", "--json"];
            let found = rates(&json(&args), policy);
            for (found, reference) in found[1..].iter().zip(reference) {
                assert!(
                    (found - f64::from(reference)).abs() < 1.6,
                    "{file}, {policy}: {found:.1}, {reference}"
                );
            }
        }
    }
}

#[test]
fn a_replay_counts_what_the_engine_counted_to_the_access() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("demo.trace.jsonl");
    let trace = trace.to_str().unwrap();
    let prompt = "A fox and a crow met a bear, and the bear said to them that winter was near.";
    // Unoptimised code is larger, and so are the budgets that leave little to the pool.
    let sizes =
        if cfg!(debug_assertions) { ["30MiB", "36MiB", "64MiB"] } else { ["16MiB", "22MiB", "64MiB"] };
    for policy in ["worth", "blend", "lfu", "lru"] {
        for memory in sizes {
            let args = ["trace", "demo", prompt, "--raw", "--greedy", "-n", "12", "--out", trace];
            let ran = json(&[&args[..], &["--expert-policy", policy, "--memory", memory, "--json"]].concat());
            let simulated = json(&["simulate", trace, "--json"]);
            let recorded = &simulated["recorded"];
            assert_eq!(recorded["policy"], policy);
            assert_eq!(recorded["engine"], recorded["replayed"], "{policy} in {memory}");
            assert_eq!(recorded["replayed"]["misses"], ran["expert_misses"]);
            assert_eq!(recorded["replayed"]["hits"], ran["expert_hits"]);
            assert!(recorded["replayed"]["hits"].as_u64().unwrap() > 0);
        }
    }
}

#[test]
fn a_simulation_can_be_read_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("plot.svg");
    let output = tidemill(&["simulate", &fixture("gptoss.trace.jsonl"), "--plot", plot.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    for word in ["worth (default)", "blend", "lfu", "lru", "clairvoyant", "6.25 %", "gpt-oss-120b"] {
        assert!(table.contains(word), "{word} in {table}");
    }
    let plot = std::fs::read_to_string(plot).unwrap();
    assert!(plot.starts_with("<svg") && plot.matches("<polyline").count() == 5, "{plot}");
}

#[test]
fn answers_at_once_share_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("two.jsonl");
    // The second answer asks for what the first does, and the pool has room for none of it.
    let tokens = ["[[0, 1]]", "[[2, 3]]", "[[4, 5]]", "[[6, 7]]"].repeat(2);
    let lines: Vec<String> =
        tokens.iter().map(|layers| format!("{{\"tok\": 0, \"layers\": {layers}}}")).collect();
    std::fs::write(&trace, lines.join("\n")).unwrap();
    let trace = trace.to_str().unwrap();
    let simulated = json(&["simulate", trace, "--streams", "2", "--json"]);
    assert_eq!((&simulated["streams"], &simulated["tokens_each"]), (&2.into(), &4.into()));
    let least = &simulated["experts_read_per_token"][0];
    assert_eq!((&least["one_at_a_time"], &least["at_once"]), (&2.0.into(), &1.0.into()), "{least}");

    let table = tidemill(&["simulate", trace, "--streams", "2"]).stdout;
    assert!(String::from_utf8(table).unwrap().contains("2 at once"));
    let refused = tidemill(&["simulate", trace, "--streams", "5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("too few for 5 answers"));
}

#[test]
fn what_is_no_trace_is_refused() {
    for (path, expected) in [("no/such/trace", "no/such/trace"), (&fixture("README.md"), "README.md")] {
        let output = tidemill(&["simulate", path]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
