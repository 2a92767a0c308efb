//! A call as one JSON object, `{"name": "f", "arguments": {..}}`, of which the arguments are handed out as they come.

use serde_json::Value;

use super::event::Events;
use super::json::{JsonScan, Step};

/// Keys of an envelope; an object that has another is none.
const KEYS: [&str; 6] = ["name", "arguments", "parameters", "id", "type", "index"];

/// An envelope that is being read.
#[derive(Debug)]
pub(super) struct Envelope {
    scan: JsonScan,
    /// The key that is being read, or was read last, as it is written.
    key: String,
    /// The value that is being read, unless it is handed out.
    value: String,
    name: Option<String>,
    id: Option<String>,
    /// Arguments that came before the name.
    early: Option<String>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    /// The call was begun; its arguments are being handed out.
    Streaming,
    /// The call was begun, and its arguments are whole.
    Done,
}

impl Envelope {
    pub fn new() -> Self {
        Self {
            scan: JsonScan::new(),
            key: String::new(),
            value: String::new(),
            name: None,
            id: None,
            early: None,
            stage: Stage::Before,
        }
    }

    /// Whether the call was begun.
    pub fn begun(&self) -> bool {
        self.stage != Stage::Before
    }

    /// Whether its arguments are whole.
    pub fn done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Takes the next letter. At the end the call has been begun, or this was no envelope.
    pub fn push(&mut self, letter: char, events: &mut Events) -> Step {
        let (in_value, in_number) = (self.scan.in_value(), self.scan.in_number());
        let mut written = String::new();
        let step = self.scan.push(letter, &mut written);
        if step == Step::Broken {
            return step;
        }
        if self.scan.in_key() {
            self.key.push_str(&written);
        }
        let goes_on = self.scan.in_value();
        if goes_on && !in_value && !KEYS.contains(&self.key.trim_start_matches('"')) {
            return Step::Broken;
        }
        let belongs = if in_number { self.scan.in_number() } else { in_value || goes_on };
        if belongs {
            self.take(&written, events);
        }
        if in_value && !goes_on && !self.member(events) {
            return Step::Broken;
        }
        if step == Step::Whole && !self.close(events) { Step::Broken } else { step }
    }

    /// A letter of a value.
    fn take(&mut self, written: &str, events: &mut Events) {
        let first = self.value.is_empty() && self.stage != Stage::Streaming;
        let opens = first && written == "{" && self.is_arguments() && self.stage == Stage::Before;
        if let Some(name) = self.name.clone().filter(|_| opens) {
            events.begin_call(name, self.id.take());
            self.stage = Stage::Streaming;
        }
        match self.stage {
            Stage::Streaming => events.arguments(written),
            _ => self.value.push_str(written),
        }
    }

    fn is_arguments(&self) -> bool {
        ["\"arguments", "\"parameters"].contains(&self.key.as_str())
    }

    /// A member is whole; `false` when an envelope cannot have it.
    fn member(&mut self, events: &mut Events) -> bool {
        let key = std::mem::take(&mut self.key);
        let value = std::mem::take(&mut self.value);
        if self.stage == Stage::Streaming {
            self.stage = Stage::Done;
            events.end_call(true);
            return true;
        }
        let key = key.trim_start_matches('"');
        let text = || serde_json::from_str::<String>(&value).ok();
        match key {
            "name" => self.name = text().filter(|name| is_name(name)),
            "id" => self.id = text(),
            "arguments" | "parameters" => self.early = object(&value),
            _ => {}
        }
        match key {
            "name" => self.name.is_some(),
            "arguments" | "parameters" => self.early.is_some(),
            _ => true,
        }
    }

    /// The object is whole; `false` when it was no envelope.
    fn close(&mut self, events: &mut Events) -> bool {
        if self.stage == Stage::Done {
            return true;
        }
        let Some(name) = self.name.take() else { return false };
        events.begin_call(name, self.id.take());
        events.arguments(self.early.as_deref().unwrap_or("{}"));
        events.end_call(true);
        self.stage = Stage::Done;
        true
    }
}

/// Arguments that are an object, or an object in a string.
fn object(value: &str) -> Option<String> {
    match serde_json::from_str(value).ok()? {
        Value::Object(_) => Some(value.to_owned()),
        Value::Null => Some("{}".to_owned()),
        Value::String(text) => serde_json::from_str::<Value>(&text).ok()?.is_object().then_some(text),
        _ => None,
    }
}

/// Whether a tool may be called that.
pub(super) fn is_name(name: &str) -> bool {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "\"'{}<>|".contains(letter);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(odd)
}

/// The longest name of a tool or parameter.
pub(super) const MAX_NAME_BYTES: usize = 256;
