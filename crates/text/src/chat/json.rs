//! JSON as Python's `json.dumps` writes it, which is what templates were written against.
//!
//! Stand-ins (see [`super::guard`]) pass through as what they are; a quote or a backslash among them is escaped like
//! any other.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::guard::StandIns;

/// The options of `json.dumps` that templates use.
pub(super) struct Style {
    pub ensure_ascii: bool,
    /// What a level of nesting is indented by; `None` for all on one line.
    pub indent: Option<String>,
    /// Between items, and between a key and its value.
    pub separators: (String, String),
    pub sort_keys: bool,
}

impl Style {
    /// `value` in this style.
    pub fn dump(&self, value: &Value, stand_ins: &StandIns) -> String {
        let mut json = String::new();
        self.value(value, 0, stand_ins, &mut json);
        json
    }

    fn value(&self, value: &Value, depth: usize, stand_ins: &StandIns, json: &mut String) {
        match value {
            Value::Null => json.push_str("null"),
            Value::Bool(truth) => json.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => json.push_str(&self::number(number)),
            Value::String(text) => self.string(text, stand_ins, json),
            Value::Array(items) => self.list(items.iter(), ['[', ']'], depth, json, |item, json| {
                self.value(item, depth + 1, stand_ins, json);
            }),
            Value::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if self.sort_keys {
                    entries.sort_by_key(|(key, _)| stand_ins.restore(key));
                }
                self.list(entries.into_iter(), ['{', '}'], depth, json, |(key, value), json| {
                    self.string(key, stand_ins, json);
                    json.push_str(&self.separators.1);
                    self.value(value, depth + 1, stand_ins, json);
                });
            }
        }
    }

    fn list<T>(
        &self,
        items: impl ExactSizeIterator<Item = T>,
        [open, close]: [char; 2],
        depth: usize,
        json: &mut String,
        mut write: impl FnMut(T, &mut String),
    ) {
        let empty = items.len() == 0;
        json.push(open);
        for (place, item) in items.enumerate() {
            if place > 0 {
                json.push_str(&self.separators.0);
            }
            self.new_line(depth + 1, json);
            write(item, json);
        }
        if !empty {
            self.new_line(depth, json);
        }
        json.push(close);
    }

    fn new_line(&self, depth: usize, json: &mut String) {
        if let Some(indent) = &self.indent {
            json.push('\n');
            json.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn string(&self, text: &str, stand_ins: &StandIns, json: &mut String) {
        json.push('"');
        for letter in text.chars() {
            let real = stand_ins.real(letter).unwrap_or(letter);
            match real {
                '"' => json.extend(['\\', letter]),
                '\\' => json.extend([letter, letter]),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                '\0'..='\u{1f}' => escape(real, json),
                ' '..='~' => json.push(letter),
                _ if self.ensure_ascii => escape(real, json),
                _ => json.push(letter),
            }
        }
        json.push('"');
    }
}

fn escape(letter: char, json: &mut String) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let _ = write!(json, "\\u{unit:04x}");
    }
}

/// A number as Python prints it: the shortest digits that give it back, with an exponent outside 1e-4 to 1e16.
pub(super) fn number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dump(value: &Value, ensure_ascii: bool, indent: Option<&str>) -> String {
        let separators = (if indent.is_some() { "," } else { ", " }.into(), ": ".into());
        let style = Style { ensure_ascii, indent: indent.map(str::to_owned), separators, sort_keys: false };
        style.dump(value, &StandIns::default())
    }

    /// Right-hand sides printed by CPython 3.11.
    #[test]
    fn json_is_written_as_python_writes_it() {
        let cases = [
            (
                json!({"a": [1, 2.5, null, true], "b": {}, "c": []}),
                r#"{"a": [1, 2.5, null, true], "b": {}, "c": []}"#,
            ),
            (json!("<é\"\\\n\u{1}\u{7f}/>"), "\"<é\\\"\\\\\\n\\u0001\u{7f}/>\""),
            (
                json!([1e15, 1e16, 1.5e300, 0.0001, 0.00001, 1.0, -0.0]),
                "[1000000000000000.0, 1e+16, 1.5e+300, 0.0001, 1e-05, 1.0, -0.0]",
            ),
            (json!([u64::MAX, i64::MIN]), "[18446744073709551615, -9223372036854775808]"),
        ];
        for (value, expected) in cases {
            assert_eq!(dump(&value, false, None), expected);
        }
        assert_eq!(dump(&json!("é\u{1f600}\u{7f}"), true, None), r#""\u00e9\ud83d\ude00\u007f""#);
        assert_eq!(
            dump(&json!({"a": [1, {}], "b": 2}), false, Some("  ")),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": 2\n}"
        );
    }
}
