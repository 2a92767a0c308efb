//! Parameters written as text, turned into a JSON object.

use serde_json::Value;

use super::schema::Expected;

/// Writes one value as JSON while its text arrives.
#[derive(Debug)]
pub(super) struct ValueWriter {
    expected: Expected,
    on_lines: bool,
    /// Text that is not written yet: all of it where only the end tells what it is, or a line break that may be the
    /// last.
    waiting: String,
    started: bool,
}

impl ValueWriter {
    /// For a value of that kind; `on_lines` says that the line breaks around it are no part of it.
    pub fn new(expected: Expected, on_lines: bool) -> Self {
        Self { expected, on_lines, waiting: String::new(), started: false }
    }

    /// Takes more of the text.
    pub fn push(&mut self, text: &str, out: &mut String) {
        self.waiting.push_str(text);
        if self.expected != Expected::Text || self.waiting.is_empty() {
            return;
        }
        if !self.started {
            out.push('"');
            self.started = true;
            if self.on_lines && self.waiting.starts_with('\n') {
                self.waiting.remove(0);
            }
        }
        let kept = usize::from(self.on_lines && self.waiting.ends_with('\n'));
        let ready = self.waiting.len() - kept;
        out.push_str(&escaped(&self.waiting[..ready]));
        self.waiting.drain(..ready);
    }

    /// The value is over.
    pub fn end(self, out: &mut String) {
        match (self.expected, self.started) {
            (Expected::Text, true) => out.push('"'),
            (Expected::Text, false) => out.push_str("\"\""),
            _ => out.push_str(&self.whole()),
        }
    }

    /// The text as the JSON it most likely is.
    fn whole(&self) -> String {
        let mut text = self.waiting.as_str();
        if self.on_lines {
            text = text.strip_prefix('\n').unwrap_or(text);
            text = text.strip_suffix('\n').unwrap_or(text);
        }
        let trimmed = text.trim();
        let as_text = || format!("\"{}\"", escaped(text));
        match (self.expected, trimmed) {
            (Expected::TextOrNull, "null" | "None") => "null".to_owned(),
            (Expected::TextOrNull | Expected::Text, _) => as_text(),
            (Expected::Json, "None") => "null".to_owned(),
            (Expected::Json, "True") => "true".to_owned(),
            (Expected::Json, "False") => "false".to_owned(),
            _ if serde_json::from_str::<Value>(trimmed).is_ok() => trimmed.to_owned(),
            _ => as_text(),
        }
    }
}

/// `text` as it stands between the quotes of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_json_wherever_they_are_cut() {
        let cases = [
            (Expected::Text, true, "\na\n\"b\"\n", r#""a\n\"b\"""#),
            (Expected::Text, true, "\n\n\n", r#""\n""#),
            (Expected::Text, true, "\n", r#""""#),
            (Expected::Text, true, "", r#""""#),
            (Expected::Text, false, "\n5\n", r#""\n5\n""#),
            (Expected::Json, true, "\n[1, 2]\n", "[1, 2]"),
            (Expected::Json, false, "True", "true"),
            (Expected::Json, false, "five", r#""five""#),
            (Expected::TextOrNull, true, "\nnull\n", "null"),
            (Expected::TextOrNull, true, "\n5\n", r#""5""#),
            (Expected::Unknown, true, "\n5\n", "5"),
            (Expected::Unknown, true, "\nfive \n", r#""five ""#),
        ];
        for (expected, on_lines, text, json) in cases {
            for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
                let (mut writer, mut out) = (ValueWriter::new(expected, on_lines), String::new());
                writer.push(&text[..cut], &mut out);
                writer.push(&text[cut..], &mut out);
                writer.end(&mut out);
                assert_eq!(out, json, "{expected:?} {text:?} cut at {cut}");
            }
        }
    }
}
