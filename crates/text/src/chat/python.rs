//! Values as Python's `str` writes them, which is what a template writes that prints a number, a list or a mapping.
//!
//! Text inside a list stands in quotes, and there what cannot be seen is spelled out. Stand-ins (see [`super::guard`]) pass
//! through as what they are.

use std::fmt::Write;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use serde_json::Value;

use super::guard::StandIns;
use super::json::number;

/// Characters that Python does not print: controls, formats, separators, and what is not assigned.
static UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{C}\p{Z}&&[^ ]]$").ok());

/// `value` as `str` writes it.
pub(super) fn text(value: &Value, stand_ins: &StandIns) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => {
            let mut written = String::new();
            quoted(value, stand_ins, &mut written);
            written
        }
    }
}

/// `value` as `repr` writes it.
fn quoted(value: &Value, stand_ins: &StandIns, written: &mut String) {
    match value {
        Value::Null => written.push_str("None"),
        Value::Bool(truth) => written.push_str(if *truth { "True" } else { "False" }),
        Value::Number(value) => written.push_str(&number(value)),
        Value::String(text) => string(text, stand_ins, written),
        Value::Array(items) => {
            written.push('[');
            for (place, item) in items.iter().enumerate() {
                written.push_str(if place > 0 { ", " } else { "" });
                quoted(item, stand_ins, written);
            }
            written.push(']');
        }
        Value::Object(entries) => {
            written.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                written.push_str(if place > 0 { ", " } else { "" });
                string(key, stand_ins, written);
                written.push_str(": ");
                quoted(value, stand_ins, written);
            }
            written.push('}');
        }
    }
}

/// In single quotes, but for text that has such and no double ones.
fn string(text: &str, stand_ins: &StandIns, written: &mut String) {
    let real = stand_ins.restore(text);
    let quote = if real.contains('\'') && !real.contains('"') { '"' } else { '\'' };
    written.push(quote);
    for (letter, real) in text.chars().zip(real.chars()) {
        match real {
            '\\' => written.extend([letter, letter]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ if real == quote => written.extend(['\\', letter]),
            ' '..='~' => written.push(letter),
            _ if is_unseen(real) => escape(real, written),
            _ => written.push(letter),
        }
    }
    written.push(quote);
}

fn is_unseen(letter: char) -> bool {
    UNSEEN.as_ref().is_some_and(|unseen| unseen.is_match(letter.encode_utf8(&mut [0; 4]).as_bytes()))
}

fn escape(letter: char, written: &mut String) {
    let code = u32::from(letter);
    let _ = match code {
        0..0x100 => write!(written, "\\x{code:02x}"),
        0x100..0x1_0000 => write!(written, "\\u{code:04x}"),
        _ => write!(written, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Right-hand sides printed by CPython 3.11.
    #[test]
    fn values_are_written_as_python_writes_them() {
        let cases = [
            (json!(1e-7), "1e-07"),
            (json!(2.0), "2.0"),
            (json!(null), "None"),
            (json!("it's"), "it's"),
            (json!(["a", "it's", "\"it's\"", "漢 ü"]), r#"['a', "it's", '"it\'s"', '漢 ü']"#),
            (json!({"a": [true, {}], "b": []}), "{'a': [True, {}], 'b': []}"),
            (
                json!(["\u{1}\n\\\u{a0}\u{200d}\u{2028}\u{e0001}e\u{301}"]),
                "['\\x01\\n\\\\\\xa0\\u200d\\u2028\\U000e0001e\u{301}']",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value, &StandIns::default()), expected);
        }
    }
}
