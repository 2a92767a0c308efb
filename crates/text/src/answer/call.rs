//! One call of a tool between marks, from its first mark to its last.

use serde_json::Value;

use super::envelope::{Envelope, MAX_NAME_BYTES, is_name};
use super::event::Events;
use super::json::{JsonScan, Step};
use super::parameters::{ValueWriter, escaped};
use super::schema::{Expected, expected, function_schema};
use super::syntax::{Arguments, Frame, Parameters, Written};

/// A call that is being read.
#[derive(Debug)]
pub(super) struct Call {
    frame: Frame,
    stage: Stage,
    name: String,
    id: Option<String>,
    /// All that was read until the call was begun, to be given back if it turns out to be none.
    raw: String,
    begun: bool,
    ended: bool,
    /// Parameters so far.
    parameters: usize,
}

#[derive(Debug)]
enum Stage {
    Kind,
    Name,
    Json(JsonScan),
    Envelope(Envelope),
    /// Before a parameter or the end.
    Between,
    Key(String),
    ValueOpen(ValueWriter),
    Value(ValueWriter),
    /// The arguments are whole.
    Closing,
}

/// How it goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With this call.
    Within,
    /// After it.
    Over,
    /// It was no call, or is none any more; this much of it is content.
    Astray(String),
}

impl Call {
    /// After the mark `open`.
    pub fn new(frame: Frame, open: &str) -> Self {
        let stage = match (frame.kind, frame.arguments) {
            (Some(_), _) => Stage::Kind,
            (None, Arguments::Envelope) => Stage::Envelope(Envelope::new()),
            (None, _) => Stage::Name,
        };
        Self {
            frame,
            stage,
            name: String::new(),
            id: None,
            raw: open.to_owned(),
            begun: false,
            ended: false,
            parameters: 0,
        }
    }

    /// A call of `name` of which only the arguments follow, in JSON.
    pub fn of(name: &str, header: &str) -> Self {
        let frame = Frame { arguments: Arguments::Json, ..Frame::OBJECT };
        Self { name: name.to_owned(), stage: Stage::Json(JsonScan::new()), ..Self::new(frame, header) }
    }

    /// The marks that mean something here.
    pub fn marks(&self) -> Vec<&'static str> {
        let Frame { close, name_end, arguments, kind, .. } = self.frame;
        let mut marks = match (&self.stage, arguments) {
            (Stage::Kind, _) => vec![kind.map_or("", |(_, end)| end), close],
            (Stage::Name, Arguments::Parameters(parameters)) if name_end.is_empty() => {
                vec![parameters.open, close]
            }
            (Stage::Name, _) => vec![name_end, close],
            (Stage::Between, Arguments::Parameters(parameters)) => {
                let whole = parameters.whole.filter(|_| self.parameters == 0);
                [parameters.open, close].into_iter().chain(whole.map(|(open, _)| open)).collect()
            }
            (Stage::Closing, Arguments::Parameters(parameters)) => {
                [close].into_iter().chain(parameters.whole.map(|(_, end)| end)).collect()
            }
            (Stage::Key(_), Arguments::Parameters(parameters)) => {
                parameters.name_ends.iter().map(|(mark, _)| *mark).collect()
            }
            (Stage::ValueOpen(_), Arguments::Parameters(parameters)) => vec![parameters.value_open],
            (Stage::Value(_), Arguments::Parameters(parameters)) => vec![parameters.close],
            _ => vec![close],
        };
        marks.retain(|mark| !mark.is_empty());
        marks
    }

    /// Whether marks are looked for in text. Not in JSON, which ends by itself and may spell any mark in a string.
    pub fn looks_for_marks(&self) -> bool {
        !matches!(self.stage, Stage::Json(_) | Stage::Envelope(_))
    }

    /// Takes text without marks in it; what of it has to be read again comes back.
    pub fn text<'t>(&mut self, text: &'t str, events: &mut Events) -> (Outcome, &'t str) {
        let blank = text.trim().is_empty();
        let taken = match &mut self.stage {
            Stage::Json(_) | Stage::Envelope(_) => return self.json(text, events),
            Stage::Value(writer) => {
                let mut out = String::new();
                writer.push(text, &mut out);
                events.arguments(&out);
                true
            }
            Stage::Kind | Stage::Name => {
                self.name.push_str(text);
                self.name.len() <= MAX_NAME_BYTES
            }
            Stage::Key(key) => {
                key.push_str(text);
                key.len() <= MAX_NAME_BYTES
            }
            // A fence of Markdown may end around the arguments.
            Stage::Closing => text.chars().all(|letter| letter.is_whitespace() || letter == '`'),
            Stage::Between | Stage::ValueOpen(_) => blank,
        };
        if !taken {
            return (self.astray(events), text);
        }
        if !self.begun {
            self.raw.push_str(text);
        }
        (Outcome::Within, "")
    }

    /// Takes one of [`Call::marks`].
    pub fn mark(&mut self, mark: &str, tools: &[Value], events: &mut Events) -> Outcome {
        if !self.begun {
            self.raw.push_str(mark);
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Closing);
        let parameters = match self.frame.arguments {
            Arguments::Parameters(parameters) => Some(*parameters),
            _ => None,
        };
        match (stage, parameters) {
            (Stage::Kind, _) if mark != self.frame.close => {
                self.name.clear();
                self.stage = Stage::Name;
                Outcome::Within
            }
            (Stage::Name, parameters) => self.named(mark, parameters, events),
            (Stage::Json(_), _) if mark == self.frame.close => {
                self.end_json(events);
                Outcome::Over
            }
            (Stage::Between, Some(parameters)) => self.parameter_or_end(mark, parameters, events),
            (Stage::Key(key), Some(parameters)) => {
                let written = parameters.name_ends.iter().find(|(end, _)| *end == mark);
                let written = written.map_or(Written::BySchema, |(_, written)| *written);
                self.value(key.trim(), written, parameters, tools, events);
                Outcome::Within
            }
            (Stage::ValueOpen(writer), _) => {
                self.stage = Stage::Value(writer);
                Outcome::Within
            }
            (Stage::Value(writer), _) => {
                let mut out = String::new();
                writer.end(&mut out);
                events.arguments(&out);
                self.stage = Stage::Between;
                Outcome::Within
            }
            (Stage::Closing, Some(parameters))
                if mark != self.frame.close && ends_whole(parameters, mark) =>
            {
                Outcome::Within
            }
            (Stage::Closing, _) => Outcome::Over,
            (Stage::Kind | Stage::Envelope(_) | Stage::Json(_), _) | (_, None) => self.astray(events),
        }
    }

    /// The answer ends here, or something else begins.
    pub fn cut_off(&mut self, events: &mut Events) -> Outcome {
        if self.ended { Outcome::Over } else { self.astray(events) }
    }

    /// The message that holds the call is over, and no mark says so.
    pub fn finish(&mut self, events: &mut Events) -> Outcome {
        if matches!(self.stage, Stage::Json(_)) {
            self.end_json(events);
        }
        self.cut_off(events)
    }

    /// Arguments end that are JSON and did not end by themselves: there are none, or they are not whole.
    fn end_json(&mut self, events: &mut Events) {
        let none = !self.begun;
        self.begin(events);
        if none {
            events.arguments("{}");
        }
        self.end(none, events);
    }

    /// Whether the arguments are whole and only the last mark is missing.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    fn json<'t>(&mut self, text: &'t str, events: &mut Events) -> (Outcome, &'t str) {
        for (place, letter) in text.char_indices() {
            match self.letter(letter, events) {
                Step::Within => {}
                Step::Broken => return (self.astray(events), &text[place..]),
                Step::Whole => {
                    self.end(true, events);
                    let over = if self.frame.close.is_empty() { Outcome::Over } else { Outcome::Within };
                    return (over, &text[place + letter.len_utf8()..]);
                }
            }
        }
        (Outcome::Within, "")
    }

    fn letter(&mut self, letter: char, events: &mut Events) -> Step {
        let mut out = String::new();
        let step = match &mut self.stage {
            Stage::Json(scan) => scan.push(letter, &mut out),
            Stage::Envelope(envelope) => envelope.push(letter, events),
            _ => return Step::Broken,
        };
        match &self.stage {
            Stage::Envelope(envelope) => (self.begun, self.ended) = (envelope.begun(), envelope.done()),
            _ if step != Step::Broken && (self.begun || !out.trim().is_empty()) => {
                self.begin(events);
                events.arguments(&out);
            }
            _ => {}
        }
        if !self.begun && step != Step::Broken {
            self.raw.push(letter);
        }
        step
    }

    fn end(&mut self, whole: bool, events: &mut Events) {
        if !self.ended {
            events.end_call(whole);
            self.ended = true;
        }
        self.stage = Stage::Closing;
    }

    fn begin(&mut self, events: &mut Events) {
        if !self.begun {
            self.begun = true;
            self.raw.clear();
            events.begin_call(std::mem::take(&mut self.name), self.id.take());
        }
    }

    /// The name is whole.
    fn named(&mut self, mark: &str, parameters: Option<Parameters>, events: &mut Events) -> Outcome {
        let name = self.name.trim();
        let (plain, id) = self.frame.number.and_then(|number| number.split(name)).unwrap_or((name, None));
        if !is_name(plain) {
            return self.astray(events);
        }
        (self.name, self.id) = (plain.to_owned(), id.map(str::to_owned));
        match parameters {
            None if mark == self.frame.close => return self.astray(events),
            None => self.stage = Stage::Json(JsonScan::new()),
            Some(_) if mark == self.frame.name_end => self.stage = Stage::Between,
            Some(parameters) => return self.parameter_or_end(mark, parameters, events),
        }
        Outcome::Within
    }

    fn parameter_or_end(&mut self, mark: &str, parameters: Parameters, events: &mut Events) -> Outcome {
        if self.name.is_empty() && !self.begun {
            return self.astray(events);
        }
        self.begin_named(events);
        if mark == parameters.open {
            self.stage = Stage::Key(String::new());
            return Outcome::Within;
        }
        if parameters.whole.is_some_and(|(open, _)| mark == open) {
            self.stage = Stage::Json(JsonScan::new());
            return Outcome::Within;
        }
        events.arguments(if self.parameters == 0 { "{}" } else { "}" });
        self.end(true, events);
        Outcome::Over
    }

    /// Begins the call and keeps its name, by which parameters are looked up.
    fn begin_named(&mut self, events: &mut Events) {
        let name = self.name.clone();
        self.begin(events);
        self.name = name;
    }

    fn value(
        &mut self,
        key: &str,
        written: Written,
        parameters: Parameters,
        tools: &[Value],
        events: &mut Events,
    ) {
        let plain = parameters.entities.then(|| key.replace("&quot;", "\"").replace("&amp;", "&"));
        let key = plain.as_deref().unwrap_or(key);
        let before = if self.parameters == 0 { "{" } else { ", " };
        events.arguments(&format!("{before}\"{}\": ", escaped(key)));
        self.parameters += 1;
        let kind = match written {
            Written::Text => Expected::Text,
            Written::Json => Expected::Json,
            Written::BySchema => expected(function_schema(tools, &self.name), key),
        };
        let writer = ValueWriter::new(kind, parameters.on_lines);
        self.stage =
            if parameters.value_open.is_empty() { Stage::Value(writer) } else { Stage::ValueOpen(writer) };
    }

    /// This is no call, or none any more.
    fn astray(&mut self, events: &mut Events) -> Outcome {
        if self.begun && !self.ended {
            events.end_call(false);
        }
        Outcome::Astray(if self.begun { String::new() } else { std::mem::take(&mut self.raw) })
    }
}

/// Whether `mark` ends arguments that are one object.
fn ends_whole(parameters: Parameters, mark: &str) -> bool {
    parameters.whole.is_some_and(|(_, end)| mark == end)
}
