//! `bench` with a small parameter: that it measures what it says, not how fast anything is.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
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

fn tiny(folder: &Path) -> String {
    let out = folder.join("tiny.gguf").to_str().unwrap().to_owned();
    json(&["synth", "deepseek-tiny", &out, "--json"]);
    out
}

#[test]
fn each_arm_finds_the_pool_it_is_named_after() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let plot = folder.path().join("bench.svg");
    let args = ["bench", &model, "-p", "16", "-n", "6", "--runs", "3", "--memory", "512MiB", "--json"];
    let found = json(&[&args[..], &["--plot", plot.to_str().unwrap()]].concat());
    for arm in ["cold", "rotating", "repeated"] {
        for phase in ["prefill", "decode"] {
            let figures = &found[arm][phase];
            for key in ["tok_s", "ceiling_tok_s", "share"] {
                assert!(figures[key].as_f64().unwrap() > 0.0, "{arm} {phase} {key}: {found}");
            }
            assert_eq!(figures["each_tok_s"].as_array().unwrap().len(), 3);
            let by = figures["limited_by"].as_str().unwrap();
            assert!(["arithmetic", "memory"].contains(&by), "a drive is not measured on a small model: {by}");
        }
    }
    // 3 layers of 32 experts, of which 16 tokens in one pass use nearly all; and all fit.
    let hits = |arm: &str, phase: &str| found[arm][phase]["hit_rate"].as_f64().unwrap();
    assert_eq!(hits("cold", "prefill"), 0.0);
    assert!(hits("cold", "decode") > 0.7, "{found}");
    assert!(hits("rotating", "prefill") > 0.7, "{found}");
    assert_eq!(hits("repeated", "prefill"), 1.0);
    assert!(found["cold"]["prefill"]["expert_bytes_per_token"].as_f64().unwrap() > 0.0);
    assert_eq!(found["repeated"]["prefill"]["expert_bytes_per_token"], 0.0);
    assert_eq!(found["prefill"], found["rotating"]["prefill"]);
    assert_eq!(found["decode"], found["rotating"]["decode"]);

    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<rect").count(), 1 + 6);
}

#[test]
fn people_get_a_table_and_prompts_may_come_from_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let text = folder.path().join("text");
    std::fs::write(&text, "All work and no play makes Jack a dull boy. ".repeat(3)).unwrap();
    let args = ["bench", &model, "-p", "16", "-n", "2", "--runs", "2", "--text", text.to_str().unwrap()];
    let output = tidemill(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    for row in
        ["cold prefill", "cold decode", "rotating prefill", "repeated decode", "ceiling", "share", "GMAC/s"]
    {
        assert!(table.contains(row), "{row}: {table}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let short = folder.path().join("short");
    std::fs::write(&short, "too short").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["no/such/model"], "no/such/model"),
        (&[&model, "-n", "0"], "--tokens is 0"),
        (&[&model, "-p", "0"], "--prompt-tokens is 0"),
        (&[&model, "--runs", "0"], "--runs"),
        (&[&model, "-p", "4096"], "4096 tokens of context"),
        (&[&model, "-p", "18446744073709551615", "-n", "18446744073709551615"], "4096 tokens of context"),
        (&[&model, "--plot", "no/such/folder/bench.svg"], "no/such/folder/bench.svg"),
        (&[&model, "--plot", folder.path().to_str().unwrap()], "no file can be made here"),
        (&[&model, "--text", "no/such/text"], "no/such/text"),
        (&[&model, "--text", short.to_str().unwrap()], "6 prompts of 512 are needed"),
        (&[&model, "--memory", "1MiB"], "budget"),
        (&[], "<MODEL>"),
    ];
    for (args, expected) in cases {
        let output = tidemill(&[&["bench"], *args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected) && !said.contains("panicked"), "{args:?}: {said}");
    }
}
