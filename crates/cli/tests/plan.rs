//! `plan` by the names of geometries: before anything is downloaded.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn tidemill(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemill")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = tidemill(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// GB of experts that a token uses at 4.5 bits (MXFP4 4.25), GB of all of them, and bytes of attention state of a token
/// in 16 bits, as they follow from the published sizes.
const KNOWN: &[(&str, f64, f64, u64)] = &[
    ("kimi-k2", 11.89, 570.8, 70_272),
    ("kimi-k2.5", 11.89, 570.8, 70_272),
    ("deepseek-v3", 11.49, 367.8, 70_272),
    ("qwen3.5-397b-a17b", 4.25, 217.4, 30_720),
    ("qwen3-30b-a3b", 1.02, 16.3, 98_304),
    ("gpt-oss-120b", 1.91, 61.0, 36_864),
    ("deepseek-v3.2", 11.49, 367.8, 85_888),
    ("glm-5.2", 12.74, 407.7, 95_232),
    ("glm-4.6", 9.45, 189.0, 376_832),
    ("minimax-m2", 3.95, 126.4, 253_952),
];

#[test]
fn every_geometry_is_planned_with_by_name() {
    for (name, per_token, total, kv) in KNOWN {
        // Memory for all of it, so that no drive has to be measured.
        let plan = json(&["plan", name, "--memory", "2TiB", "--context", "1000", "--json"]);
        let gigabytes = |key: &str| plan[key].as_f64().unwrap() / 1e9;
        assert!((gigabytes("expert_bytes_per_token") / per_token - 1.0).abs() < 0.01, "{name}: {plan}");
        assert!((gigabytes("expert_bytes_total") / total - 1.0).abs() < 0.01, "{name}: {plan}");
        // What grows: of recurrent layers a state is kept besides, and of those with a window the rows in it.
        let longer = json(&["plan", name, "--memory", "2TiB", "--context", "2000", "--json"]);
        let kept = |plan: &Value| plan["kv_bytes"].as_u64().unwrap();
        let each = (kept(&longer) - kept(&plan)) / 1000;
        assert_eq!(each, *kv, "{name}: in 16 bits, unless something else is asked for");
        assert_eq!(plan["limited_by"], "memory");
        assert_eq!(plan["ceiling_tok_s"]["drive"], Value::Null);
        assert!(plan["ceiling_tok_s"]["memory"].as_f64().unwrap() > 0.0);
        assert!(plan["title"].as_str().unwrap().starts_with(name));
    }
}

#[test]
fn a_geometry_is_planned_with_as_the_file_it_becomes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tiny.gguf");
    let out = out.to_str().unwrap();
    json(&["synth", "deepseek-tiny", out, "--layers", "3", "--experts", "Q8_0", "--json"]);
    let of =
        |model: &str, more: &[&str]| json(&[&["plan", model, "--memory", "1GiB", "--json"], more].concat());
    let (file, sizes) = (of(out, &[]), of("deepseek-tiny", &["--layers", "3", "--experts", "q8_0"]));
    assert_eq!(sizes["runs"], true);
    for key in
        ["trunk_bytes", "kv_bytes", "scratch_bytes", "expert_bytes_total", "expert_bytes_per_token", "chunk"]
    {
        assert_eq!(file[key], sizes[key], "{key}");
    }
}

#[test]
fn what_cannot_be_planned_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["kimi-k9"], "kimi-k9: no such file or folder, and no geometry is called"),
        (&["kimi-k2", "--layers", "0"], "expected 2 to 61"),
        (&["kimi-k2", "--experts", "Q9"], "`Q9`"),
        (&["kimi-k2", "--context", "131073"], "131072"),
        (&["gpt-oss-120b", "--context", "0"], "0 tokens"),
        (&["gpt-oss-120b", "--memory", "1GiB"], "--memory"),
        (&["demo", "--layers", "2"], "geometry"),
        (&[folder, "--layers", "2"], "geometry"),
        (&["kimi-k2", "--memory", "64GiB", "--drive", "no/such/folder"], "no/such/folder"),
    ];
    for (args, expected) in cases {
        let output = tidemill(&[&["plan"], *args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected) && !said.contains("panicked"), "{args:?}: {said}");
    }
}
