//! `synth` as a person or a script meets it, and the other commands on what it wrote.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
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

fn said(output: Output) -> String {
    String::from_utf8(output.stderr).unwrap()
}

/// A tiny model in `folder`, with more arguments.
fn tiny(folder: &Path, more: &[&str]) -> String {
    written("deepseek-tiny", folder, more)
}

fn written(geometry: &str, folder: &Path, more: &[&str]) -> String {
    let out = folder.join("tiny.gguf").to_str().unwrap().to_owned();
    let written = json(&[&["synth", geometry, &out, "--json"], more].concat());
    assert_eq!(written["bytes"], std::fs::metadata(&out).unwrap().len());
    out
}

#[test]
fn every_command_runs_on_what_was_written() {
    every_command_runs_on("deepseek-tiny", "deepseek_v3");
    every_command_runs_on("qwen3-tiny", "qwen3_moe");
    every_command_runs_on("llama-tiny", "llama");
}

fn every_command_runs_on(geometry: &str, family: &str) {
    let folder = tempfile::tempdir().unwrap();
    let model = written(geometry, folder.path(), &[]);
    let inspected = json(&["inspect", &model, "--json"]);
    assert_eq!(inspected["family"], family);
    assert_eq!(inspected["skipped"], Value::Array(Vec::new()));

    let text = "naïve café 日本 🙂\n";
    let tokenized = json(&["tokenize", &model, text, "--json"]);
    let ids: Vec<String> = tokenized["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), text.len());
    assert_eq!(json(&["tokenize", &model, &ids.join(","), "--decode", "--json"])["text"], text);

    let answer = json(&["run", &model, "Hello there", "-n", "24", "--greedy", "--json"]);
    assert!(answer["decode_tokens"].as_u64().unwrap() > 0, "{answer}");
    let distinct: std::collections::HashSet<String> =
        answer["tokens"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(distinct.len() > 4, "{answer}");

    let heldout = folder.path().join("text");
    std::fs::write(&heldout, "some bytes ".repeat(8)).unwrap();
    let scored = json(&["eval", &model, "--text", heldout.to_str().unwrap(), "--window", "32", "--json"]);
    // Random weights know nothing: about as likely as any of 1024 tokens, give or take what logits of size 1 cost.
    let nll = scored["mean_nll"].as_f64().unwrap();
    assert!((6.0..9.0).contains(&nll), "{nll}");
    let experts = json(&["plan", &model, "--json"])["expert_bytes_total"].as_u64().unwrap();
    assert_eq!(experts == 0, geometry == "llama-tiny");
}

#[test]
fn all_formats_of_the_engine_run_as_experts_and_as_trunk() {
    for quant in [
        "F32", "F16", "BF16", "Q8_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "q5_k", "Q6_K",
        "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "iq4_xs", "TQ1_0",
        "TQ2_0", "Q1_0", "Q2_0", "MXFP4", "NVFP4",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny(folder.path(), &["--layers", "2", "--experts", quant, "--trunk", quant]);
        let text = folder.path().join("text");
        std::fs::write(&text, "thirty-two bytes, and some more!").unwrap();
        let args = [
            "eval",
            &model,
            "--text",
            text.to_str().unwrap(),
            "--window",
            "16",
            "--activations",
            "int8",
            "--json",
        ];
        let nll = json(&args)["mean_nll"].as_f64().unwrap();
        assert!((5.0..10.0).contains(&nll), "{quant}: {nll}");
    }
}

#[test]
fn skewed_routing_is_found_in_the_pool() {
    let hits = |more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny(folder.path(), more);
        let args = [
            "run",
            &model,
            "Once upon a time",
            "-n",
            "60",
            "--seed",
            "1",
            "--raw",
            "--stats",
            "off",
            "--json",
        ];
        // Memory for about a quarter of the experts.
        let plan = json(&["plan", &model, "--context", "128", "--json"]);
        let bytes = |key: &str| plan[key].as_u64().unwrap();
        let memory = (bytes("minimum_memory") + bytes("expert_bytes_total") / 4 + (2 << 20)).to_string();
        let answer = json(&[&args[..], &["--memory", &memory, "--context", "128"]].concat());
        let (hits, misses) =
            (answer["expert_hits"].as_f64().unwrap(), answer["expert_misses"].as_f64().unwrap());
        hits / (hits + misses)
    };
    let (uniform, skewed) = (hits(&[]), hits(&["--skew", "1.5"]));
    assert!(skewed > uniform + 0.1, "{skewed} against {uniform}");
}

#[test]
fn the_seed_and_nothing_else_decides_the_file() {
    let of = |seed: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::read(tiny(folder.path(), &["--seed", seed, "--layers", "2"])).unwrap()
    };
    assert!(of("3") == of("3") && of("3") != of("4"));
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let out = out.to_str().unwrap();
    let missing = folder.path().join("no/such/folder/out.gguf");
    let cases: &[(&[&str], &str)] = &[
        (&["kimi-k9", out], "no geometry is called `kimi-k9`; expected one of kimi-k2, "),
        (&["kimi-k2", out, "--layers", "0"], "expected 2 to 61"),
        (&["kimi-k2", out, "--layers", "62"], "expected 2 to 61"),
        (&["kimi-k2", out, "--layers", "-1"], "--layers"),
        (&["kimi-k2", out, "--layers", "99999999999999999999"], "--layers"),
        (&["kimi-k2", out, "--experts", "F32", "--trunk", "F32"], "are free there"),
        (&["gpt-oss-120b", out, "--experts", "Q4_K"], "rows of 2880"),
        (&["deepseek-tiny", out, "--experts", "Q9_K"], "`Q9_K`"),
        (&["deepseek-tiny", out, "--skew", "nan"], "skew"),
        (&["deepseek-tiny", out, "--skew", "-1"], "skew"),
        (&["deepseek-tiny", missing.to_str().unwrap()], "no file can be made here"),
        (&["deepseek-tiny", folder.path().to_str().unwrap()], "exists already"),
        (&["deepseek-tiny"], "<OUT>"),
    ];
    for (args, expected) in cases {
        let output = tidemill(&[&["synth"], *args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let said = said(output);
        assert!(said.contains(expected) && !said.contains("panicked"), "{args:?}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("precious.gguf");
    std::fs::write(&out, "precious").unwrap();
    let output = tidemill(&["synth", "deepseek-tiny", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(output).contains("exists already"));
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_file_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["synth", "deepseek-30b-a3b", out.to_str().unwrap(), "--layers", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !out.exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(!out.exists());
}
