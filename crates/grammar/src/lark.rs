//! Pieces of grammars in Lark's notation.

use serde_json::{Value, json};
use text::Tokenizer;

/// Any text at all; no control tokens are in it.
pub(crate) const ANYTHING: &str = r"/(.|\n)*/";
/// The white space that models put around marks.
pub(crate) const SPACE: &str = r"/[ \n]{0,2}/";

/// `text` as it is, between quotes.
pub(crate) fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

/// A mark: the model's control tokens where it has them, text where it has none.
pub(crate) fn mark(tokenizer: &Tokenizer, mark: &str) -> String {
    let ids = tokenizer.encode_trusted(mark).unwrap_or_default();
    let mut parts: Vec<String> = Vec::new();
    let mut text = Vec::new();
    let close = |text: &mut Vec<u32>, parts: &mut Vec<String>| {
        if !text.is_empty() {
            parts.push(literal(&tokenizer.decode(text)));
            text.clear();
        }
    };
    for id in ids {
        if tokenizer.is_control(id) {
            close(&mut text, &mut parts);
            parts.push(format!("<[{id}]>"));
        } else {
            text.push(id);
        }
    }
    close(&mut text, &mut parts);
    parts.join(" ")
}

/// A JSON value by its schema, spelled as Python and most training data do: with a space after commas and colons.
pub(crate) fn json(schema: &Value) -> String {
    format!("%json {}", spelled(schema))
}

/// `schema` with the way its values are spelled.
pub(crate) fn spelled(schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(members) => Value::Object(members.clone()),
        Value::Bool(false) => json!({"not": {}}),
        _ => json!({}),
    };
    schema["x-guidance"] =
        json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
    schema
}
