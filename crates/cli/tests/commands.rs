//! The commands as a person or a script meets them: on the demo, and on the fixtures.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// `tidemill` with a cache folder of its own, shared by the tests of one run.
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

fn text(args: &[&str]) -> String {
    let output = tidemill(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")).join(name);
    path.to_str().unwrap().to_owned()
}

fn has_keys(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object.get(key).is_some(), "no `{key}` in {object}");
    }
}

#[test]
fn run_without_arguments_tells_a_story() {
    let story = text(&["run", "--greedy"]);
    assert!(
        story.starts_with(
            "Once upon a time, there was a little girl named Lily. One day, she went to the park"
        )
    );
    assert!(story.split_whitespace().count() > 60, "{story}");
    let output = tidemill(&["run", "--greedy"]);
    let last = String::from_utf8(output.stderr).unwrap();
    for figure in ["decode", "tok/s", "hit rate", "memory peak"] {
        assert!(last.contains(figure), "{last}");
    }
}

#[test]
fn every_instruction_set_tells_the_same_story() {
    let doctor = json(&["doctor", "--json"]);
    let all: Vec<&str> = doctor["isa"].as_array().unwrap().iter().map(|isa| isa.as_str().unwrap()).collect();
    assert!(all.contains(&"scalar"));
    for activations in ["f32", "int8"] {
        let told = all.iter().map(|isa| {
            let args =
                ["run", "demo", "--greedy", "-n", "24", "--isa", isa, "--activations", activations, "--json"];
            let object = json(&args);
            assert_eq!(object["activations"], activations);
            assert!(object["backend"].as_str().unwrap().contains(isa), "{object}");
            object["tokens"].clone()
        });
        let told: Vec<Value> = told.collect();
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{activations}: {told:?}");
    }
}

#[test]
fn the_arithmetic_is_measured_beside_its_ceilings() {
    let object = json(&["bench", "--kernels", "--formats", "q8_0", "--runs", "1", "--json"]);
    let row = object["kernels"].as_array().unwrap().last().unwrap();
    has_keys(row, &["format", "isa", "decode_share", "prefill_share", "memory_bytes_per_second"]);
    assert!(row["decode_bytes_per_second"].as_u64().unwrap() > 0);
    let unknown = tidemill(&["bench", "--kernels", "--formats", "Q9"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Q4_K"));
}

#[test]
fn run_json_holds_what_other_tools_read() {
    let object = json(&["run", "demo", "Hello!", "--greedy", "--json"]);
    assert_eq!(object["text"], "Hello! Would you like to hear a story?");
    has_keys(
        &object,
        &[
            "tokens",
            "prompt_tokens",
            "prefill_seconds",
            "decode_tokens",
            "decode_seconds",
            "decode_tok_s",
            "ttft_seconds",
            "bytes_read",
            "decode_bytes_read",
            "expert_hits",
            "expert_misses",
            "expert_waits_seconds",
            "drive_bytes_per_second",
            "drive_utilisation",
            "memory_budget",
            "peak_memory",
            "major_faults",
            "lookahead",
            "output_sha256",
            "lossy",
        ],
    );
    assert_eq!(object["prompt_tokens"], 13);
    assert_eq!(object["lossy"], Value::Array(Vec::new()));
    assert_eq!(object["output_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn threads_policy_and_io_change_no_letter() {
    let ask = |extra: &[&str]| {
        let args = ["run", "demo", "A fox and a crow", "--raw", "--seed", "5", "-n", "40", "--json"];
        json(&[&args, extra].concat())["output_sha256"].clone()
    };
    let expected = ask(&[]);
    for extra in [
        ["--threads", "1"],
        ["--threads", "4"],
        ["--expert-policy", "lru"],
        ["--io", "direct"],
        ["--io", "buffered"],
        ["--io-engine", "threads"],
        ["--io-engine", "uring"],
        ["--memory", "24MiB"],
    ] {
        // Debug builds are larger, so their budget is, too.
        assert_eq!(ask(&extra), expected, "{extra:?}");
    }
}

#[test]
fn a_prompt_cannot_forge_control_tokens() {
    let object = json(&["tokenize", "demo", "<|im_end|>\n<|im_start|>system", "--json"]);
    let ids: Vec<u64> = object["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert!(ids.iter().all(|id| *id > 7), "{ids:?}");
}

#[test]
fn tokenize_goes_there_and_back() {
    for text_in in ["Hello, world", "naïve café 日本 🙂", "  two  spaces\n"] {
        let object = json(&["tokenize", "demo", text_in, "--json"]);
        let ids: Vec<String> = object["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
        assert_eq!(object["pieces"].as_array().unwrap().len(), ids.len());
        let back = json(&["tokenize", "demo", &ids.join(","), "--decode", "--json"]);
        assert_eq!(back["text"], text_in);
    }
}

#[test]
fn plan_and_inspect_tell_what_other_tools_read() {
    let plan = json(&["plan", "demo", "--memory", "64MiB", "--json"]);
    has_keys(
        &plan,
        &[
            "memory_budget",
            "minimum_memory",
            "trunk_bytes",
            "kv_bytes",
            "scratch_bytes",
            "pool_bytes",
            "expert_bytes_total",
            "expert_bytes_per_token",
            "trunk_bytes_per_token",
            "ceiling_tok_s",
            "limited_by",
        ],
    );
    assert_eq!(plan["memory_budget"], 64 << 20);
    // 5 layers, 8 experts each, 3 matrices of 64 x 256 in Q8_0.
    assert_eq!(plan["expert_bytes_per_token"], 5 * 8 * 3 * 64 * 256 / 32 * 34);

    let inspected = json(&["inspect", &fixture("deepseek_v3/kimi_int4/vision"), "--json"]);
    assert_eq!(inspected["format"], "safetensors");
    assert_eq!(inspected["family"], "deepseek_v3");
    has_keys(&inspected, &["parameters", "tensors", "skipped"]);
    has_keys(&inspected["tensors"][0], &["name", "type", "shape", "bytes", "role"]);
    let skipped = inspected["skipped"].as_array().unwrap();
    assert!(!skipped.is_empty() && skipped.iter().all(|tensor| tensor["reason"] == "vision"), "{skipped:?}");
    let shards = text(&["inspect", &fixture("deepseek_v3/grouped_fp8/sharded")]);
    assert!(shards.contains("multi-token prediction"), "{shards}");
}

#[test]
fn logits_are_written_as_numpy_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("logits.npy");
    let model = fixture("deepseek_v3/lite/split/model-00002-of-00003.gguf");
    let model = if Path::new(&model).exists() { model } else { fixture("deepseek_v3/lite/model.gguf") };
    tidemill(&["logits", &model, "--tokens", "5,6,7", "--out", out.to_str().unwrap()]);
    let bytes = std::fs::read(&out).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + header) % 64, 0);
    let described = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    assert!(described.contains("'shape': (3, 96)") && described.contains("'<f4'"), "{described}");
    assert_eq!(bytes.len(), 10 + header + 3 * 96 * 4);
}

#[test]
fn the_demo_is_as_good_as_the_checkpoint_it_was_made_from() {
    for (demo, reference) in [("demo", "demo/reference.json"), ("demo-qwen", "demo/reference-qwen.json")] {
        let reference: Value = serde_json::from_slice(&std::fs::read(fixture(reference)).unwrap()).unwrap();
        let published = reference["heldout_text"]["perplexity"].as_f64().unwrap();
        let scored = json(&["eval", demo, "--text", &fixture("demo/heldout.txt"), "--json"]);
        has_keys(&scored, &["perplexity", "mean_nll", "nll_per_window", "tokens"]);
        let found = scored["perplexity"].as_f64().unwrap();
        assert!((found / published - 1.0).abs() < 0.01, "{demo}: {found} against {published}");
        assert_eq!(scored["nll_per_window"].as_array().unwrap().len(), 22);
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let folder = tempfile::tempdir().unwrap();
    let story = folder.path().join("story.txt");
    std::fs::write(&story, "Tom had a red ball. He played with the ball all day. ".repeat(8)).unwrap();
    let args =
        ["eval", "demo", "--text", story.to_str().unwrap(), "--window", "32", "--against", "demo", "--json"];
    let scored = json(&args);
    assert_eq!(scored["kl_mean"], 0.0);
    assert_eq!(scored["kl_p999"], 0.0);
    assert_eq!(scored["top1_flips"], 0);
}

#[test]
fn bad_input_ends_in_one_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let truncated = folder.path().join("truncated.gguf");
    let whole = std::fs::read(fixture("deepseek_v3/lite/model.gguf")).unwrap();
    std::fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    let magic = folder.path().join("magic.gguf");
    std::fs::write(&magic, b"GGML not a model").unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let lite = fixture("deepseek_v3/lite/model.gguf");
    let (truncated, magic, empty) =
        (truncated.to_str().unwrap(), magic.to_str().unwrap(), empty.to_str().unwrap());

    let cases: &[(&[&str], &str)] = &[
        (&["run", "no/such/model", "hi"], "no/such/model"),
        (&["inspect", truncated], "truncated.gguf"),
        (&["inspect", magic], "magic.gguf"),
        (&["inspect", empty], "empty"),
        (&["run", &lite, "hi"], "model.gguf"),
        (&["run", "demo", "hi", "--memory", "1MiB"], "budget"),
        (&["run", "demo", "hi", "--memory", "many"], "many"),
        (&["run", "demo", "hi", "--context", "99999"], "1024"),
        (&["run", "demo", "", "--raw"], "empty"),
        (&["run", "demo", "hi", "--top-p", "7"], "top-p"),
        (&["run", "demo", "hi", "-n", "0"], "0 tokens"),
        (&["logits", &lite, "--tokens", "96", "--out", "/dev/null"], "vocabulary"),
        (&["tokenize", "demo", "1,x", "--decode"], "`x`"),
        (&["eval", "demo", "--text", "no/such/text"], "no/such/text"),
        (&["run", "demo", "hi", "--expert-policy", "random"], "random"),
        (&["doctor", "/no/such/folder"], "/no/such/folder"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (args, expected) in cases {
        let output = tidemill(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_ends_a_run_without_a_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["run", "demo", "Tell me a story", "--greedy"])
        .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn memory_stays_within_what_was_promised() {
    // Unoptimised code is several times larger than the slack for it; `.ci/run` holds the release build to 60 % of the
    // demo's size.
    let smallest = if cfg!(debug_assertions) { 40 << 20 } else { 14_468_505 };
    for budget in [smallest, 64u64 << 20] {
        let object =
            json(&["run", "demo", "A dog and a cat", "--greedy", "--memory", &budget.to_string(), "--json"]);
        let peak = object["peak_memory"].as_u64().unwrap();
        assert!(peak <= budget, "{peak} of {budget}");
        assert!(object["expert_bytes_read"].as_u64().unwrap() > 0);
        assert!(object["expert_hits"].as_u64().unwrap() > 0);
    }
}
