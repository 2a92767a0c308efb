//! A conversation in a file: a list of messages as every API writes them, so that other tools read it, too.

use std::path::Path;

use base::{Error, Result};
use serde_json::{Value, json};
use text::Message;

/// Writes `messages` to the file at `path`.
pub fn save(path: &Path, messages: &[Message]) -> Result<()> {
    let list: Vec<Value> = messages.iter().map(written).collect();
    let text = format!("{:#}\n", Value::from(list));
    std::fs::write(path, text).map_err(|error| Error::input(format!("{}: {error}", path.display())))
}

/// The messages in the file at `path`.
pub fn load(path: &Path) -> Result<Vec<Message>> {
    let wrong = |reason: String| Error::input(reason).within(path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let list: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("is no list of messages: {error}")))?;
    list.iter()
        .map(|value| read(value).ok_or_else(|| wrong(format!("this is no message: {value:.100}"))))
        .collect()
}

fn written(message: &Message) -> Value {
    let mut value = json!({ "role": message.role, "content": message.content });
    if let Some(reasoning) = &message.reasoning {
        value["reasoning_content"] = reasoning.as_str().into();
    }
    value
}

fn read(value: &Value) -> Option<Message> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let mut message = Message::new(text("role")?, text("content")?);
    message.reasoning = text("reasoning_content").map(str::to_owned);
    Some(message)
}
