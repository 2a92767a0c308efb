//! Fixtures, and checkpoints that are nothing but a tokenizer.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use formats::gguf::Metadata;
use formats::{Checkpoint, Format};
use serde::Deserialize;
use serde_json::{Value, json};
use text::{Message, Tokenizer, ToolCall};

/// The tokenizers among the fixtures; `oracle/make_text_fixtures.py` made them and says with what.
pub const FAMILIES: [&str; 8] =
    ["gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-v3", "deepseek-llm", "gpt-4o", "kimi-k2"];

/// Ids of one string by the reference implementation.
#[derive(Deserialize)]
pub struct Ids {
    /// As text of a user: the reference was not told of control tokens.
    pub plain: Vec<u32>,
    /// As text of a template: the reference recognised them.
    pub trusted: Vec<u32>,
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub fn read_json<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// Each string of the corpus with its ids by the reference.
pub fn corpus(family: &str) -> Vec<(String, Ids)> {
    let strings: Vec<String> = read_json("corpus.json");
    let ids: Vec<Ids> = read_json(&format!("{family}/ids.json"));
    assert_eq!(strings.len(), ids.len());
    strings.into_iter().zip(ids).collect()
}

/// A checkpoint whose folder is `root` and whose `config.json` is `config`.
pub fn folder(root: PathBuf, config: Value, generation_config: Option<Value>) -> Checkpoint {
    Checkpoint {
        format: Format::Safetensors,
        root,
        files: Vec::new(),
        tensors: Vec::new(),
        config,
        generation_config,
        metadata: Metadata::default(),
    }
}

/// A GGUF checkpoint of this metadata.
pub fn gguf(metadata: Metadata) -> Checkpoint {
    Checkpoint {
        format: Format::Gguf,
        root: "model.gguf".into(),
        metadata,
        ..folder(PathBuf::new(), json!({}), None)
    }
}

/// The tokenizer in folder `family` of the fixtures.
pub fn tokenizer(family: &str) -> Tokenizer {
    Tokenizer::from_checkpoint(&folder(fixture(family), json!({}), None)).unwrap()
}

/// A message as clients of chat interfaces spell it.
pub fn message(value: &Value) -> Message {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = |call: &Value| ToolCall {
        id: text(call, "id"),
        name: text(&call["function"], "name").unwrap(),
        arguments: call["function"]["arguments"].clone(),
    };
    Message {
        role: text(value, "role").unwrap(),
        content: text(value, "content").unwrap(),
        reasoning: text(value, "reasoning_content"),
        tool_calls: value
            .get("tool_calls")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(call)
            .collect(),
        tool_call_id: text(value, "tool_call_id"),
        name: text(value, "name"),
    }
}
