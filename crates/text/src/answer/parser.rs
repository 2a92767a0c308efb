//! Reads an answer as it comes, by the marks of its syntax.
//!
//! However the text is cut into pieces, the events are the same once pieces of one kind are joined. Nothing is lost:
//! what looks like a call and turns out to be none is content. Only marks, and white space around reasoning and calls, are
//! left out.

use serde_json::Value;

use super::call::{Call, Outcome};
use super::event::{AnswerEvent, Events};
use super::harmony::{MAX_HEADER_BYTES, Message};
use super::lexer::{Lexeme, Lexer};
use super::syntax::{AnswerSyntax, Around, CHANNEL, CHANNEL_MARKS, Calls, Frame, MESSAGE};
use crate::tokenizer::Tokenizer;

/// Takes one answer apart.
#[derive(Debug)]
pub struct AnswerParser {
    syntax: AnswerSyntax,
    /// What the model may call, for the types of parameters.
    tools: Vec<Value>,
    /// Marks that are control tokens of the model, and only count as such.
    exact: Vec<&'static str>,
    lexer: Lexer,
    events: Events,
    state: State,
    text: Flow,
}

#[derive(Debug)]
enum State {
    Content,
    Reasoning,
    /// Between the calls of a section: what was read of it, and whether a call was.
    Section {
        raw: String,
        any: bool,
    },
    Call(Box<Call>),
    /// The header of a message of harmony.
    Header(String),
    Message(Message),
}

/// White space of content or reasoning that is held back until it is known what follows it.
#[derive(Debug, Default)]
struct Flow {
    held: String,
    /// Nothing was said yet in this answer.
    first: bool,
    /// Nothing was said yet since a mark; white space before it is left out.
    trims: bool,
}

impl AnswerParser {
    /// For an answer in `syntax`, after a prompt that ends [within reasoning](AnswerSyntax::opens_reasoning) or not.
    /// `tools` are those of the prompt, of the kind `{"type": "function", "function": {..}}`; without any, nothing is a
    /// call.
    pub fn new(mut syntax: AnswerSyntax, within_reasoning: bool, tools: Vec<Value>) -> Self {
        if tools.is_empty() && syntax.calls != Calls::Channels {
            syntax.calls = Calls::None;
        }
        let state = match syntax.calls {
            Calls::Channels => State::Header(String::new()),
            _ if within_reasoning && syntax.reasoning.is_some() => State::Reasoning,
            _ => State::Content,
        };
        let text = Flow { first: true, trims: matches!(state, State::Reasoning), ..Flow::default() };
        let (lexer, events) = (Lexer::default(), Events::default());
        Self { syntax, tools, exact: Vec::new(), lexer, events, state, text }
    }

    /// Marks that are control tokens of `tokenizer` count only as such: give those to [`AnswerParser::control`].
    #[must_use]
    pub fn with_controls_of(mut self, tokenizer: &Tokenizer) -> Self {
        self.exact = self.syntax.marks();
        self.exact.retain(|mark| tokenizer.id_of(mark).is_some());
        self
    }

    /// Takes text that the model said.
    pub fn text(&mut self, text: &str) -> Vec<AnswerEvent> {
        self.lexer.push(text);
        self.read(false);
        self.events.take()
    }

    /// Takes a control token that the model said, by its spelling. One that means nothing in this syntax is left out.
    pub fn control(&mut self, spelling: &str) -> Vec<AnswerEvent> {
        let marks = self.syntax.marks();
        match marks.iter().find(|mark| **mark == spelling) {
            Some(mark) => {
                self.read(true);
                self.mark(mark);
            }
            None if marks.iter().any(|mark| mark.contains(spelling)) => self.lexer.push(spelling),
            None => {}
        }
        self.read(false);
        self.events.take()
    }

    /// No more will come.
    pub fn finish(&mut self) -> Vec<AnswerEvent> {
        self.read(true);
        match std::mem::replace(&mut self.state, State::Content) {
            State::Content => self.flush(false),
            State::Reasoning => {}
            State::Section { raw, any } => self.abandon(raw, any),
            State::Call(mut call) | State::Message(Message::Call(mut call)) => {
                let outcome = call.cut_off(&mut self.events);
                self.settle(outcome);
            }
            State::Header(raw) => self.content(&raw),
            State::Message(Message::Content) => self.flush(false),
            State::Message(Message::Reasoning) => {}
        }
        self.read(true);
        self.flush(false);
        self.events.take()
    }

    /// Reads what there is; `ends` when nothing will follow it directly.
    fn read(&mut self, ends: bool) {
        loop {
            let looks = match &self.state {
                State::Call(call) | State::Message(Message::Call(call)) => call.looks_for_marks(),
                _ => true,
            };
            let marks: Vec<&'static str> = if looks {
                self.active().into_iter().filter(|mark| self.counts_in_text(mark)).collect()
            } else {
                vec![]
            };
            match self.lexer.next(&marks, ends) {
                Some(Lexeme::Text(text)) => self.said(&text),
                Some(Lexeme::Mark(at)) => self.mark(marks[at]),
                None => return,
            }
        }
    }

    fn counts_in_text(&self, mark: &str) -> bool {
        !self.exact.contains(&mark)
    }

    /// The marks that mean something here.
    fn active(&self) -> Vec<&'static str> {
        let opens = self.opens();
        match &self.state {
            State::Content => {
                let think = self.syntax.reasoning.map(|reasoning| reasoning.open);
                let think = think.filter(|mark| self.text.first || self.exact.contains(mark));
                let around = self.syntax.around.iter().flat_map(Around::marks);
                think.into_iter().chain(opens).chain(around).collect()
            }
            State::Reasoning => {
                let close = self.syntax.reasoning.map(|reasoning| reasoning.close);
                // Some models begin to call while they think.
                let opens = opens.into_iter().filter(|mark| self.exact.contains(mark));
                close.into_iter().chain(opens).collect()
            }
            State::Section { .. } => self.section_marks(),
            State::Call(call) if call.is_closing() => {
                call.marks().into_iter().chain(self.section_marks()).collect()
            }
            State::Call(call) => call.marks(),
            State::Header(_) | State::Message(_) => CHANNEL_MARKS.to_vec(),
        }
    }

    /// The mark that begins calls.
    fn opens(&self) -> Option<&'static str> {
        match self.syntax.calls {
            Calls::None | Calls::Channels => None,
            Calls::Framed(frame) => Some(frame.section.map_or(frame.open, |(open, _)| open)),
            Calls::Objects { mark, .. } => Some(mark),
        }
    }

    fn section_marks(&self) -> Vec<&'static str> {
        match self.syntax.calls {
            Calls::Framed(Frame { section: Some((_, close)), open, .. }) => vec![open, close],
            Calls::Framed(frame) => vec![frame.open],
            Calls::Objects { mark, .. } => vec![mark],
            _ => Vec::new(),
        }
    }

    /// Text without marks in it.
    fn said(&mut self, text: &str) {
        match &mut self.state {
            State::Content => self.content_or_object(text),
            State::Message(Message::Content) => self.content(text),
            State::Reasoning | State::Message(Message::Reasoning) => self.reasoning(text),
            State::Header(header) => {
                header.push_str(text);
                if header.len() > MAX_HEADER_BYTES {
                    let header = std::mem::take(header);
                    self.state = State::Message(Message::Content);
                    self.content(&header);
                }
            }
            State::Section { raw, any } => {
                let objects = matches!(self.syntax.calls, Calls::Objects { .. });
                let between = |letter: char| letter.is_whitespace() || objects && "[],;".contains(letter);
                let rest = text.trim_start_matches(between);
                raw.push_str(&text[..text.len() - rest.len()]);
                if rest.is_empty() {
                    return;
                }
                let (raw, any) = (std::mem::take(raw), *any);
                if objects && rest.starts_with('{') {
                    self.state = State::Call(Box::new(Call::new(Frame::OBJECT, if any { "" } else { &raw })));
                } else {
                    self.abandon(raw, any);
                }
                self.lexer.put_back(rest);
            }
            State::Call(call) | State::Message(Message::Call(call)) => {
                let (outcome, rest) = call.text(text, &mut self.events);
                self.lexer.put_back(rest);
                self.settle(outcome);
            }
        }
    }

    /// Content, unless the answer begins with an object that is a call.
    fn content_or_object(&mut self, text: &str) {
        let bare = matches!(self.syntax.calls, Calls::Objects { bare: true, .. });
        let rest = text.trim_start();
        if bare && self.text.first && rest.starts_with('{') {
            let before = std::mem::take(&mut self.text.held) + &text[..text.len() - rest.len()];
            self.state = State::Call(Box::new(Call::new(Frame::OBJECT, &before)));
            return self.lexer.put_back(rest);
        }
        self.content(text);
    }

    /// A mark that means something in this syntax, though perhaps not here.
    fn mark(&mut self, mark: &'static str) {
        let active = self.active().contains(&mark);
        match &mut self.state {
            State::Content | State::Reasoning if active => self.change(mark),
            State::Content | State::Reasoning => {}
            State::Section { raw, any } => {
                let (raw, any) = (std::mem::take(raw), *any);
                self.after_section_mark(mark, raw, any);
            }
            State::Call(call) if active && call.marks().contains(&mark) => {
                let outcome = call.mark(mark, &self.tools, &mut self.events);
                self.settle(outcome);
            }
            State::Call(call) => {
                // Something else begins: a call that lacks its end, or a broken one.
                let outcome = call.cut_off(&mut self.events);
                self.settle(outcome);
                self.mark(mark);
            }
            State::Header(_) | State::Message(_) => self.harmony(mark),
        }
    }

    /// A mark within content or reasoning that begins something else.
    fn change(&mut self, mark: &'static str) {
        self.flush(true);
        let reasoning = self.syntax.reasoning;
        self.state = match self.syntax.calls {
            _ if reasoning.is_some_and(|reasoning| mark == reasoning.open) => State::Reasoning,
            _ if reasoning.is_some_and(|reasoning| mark == reasoning.close) => State::Content,
            _ if self.syntax.around.is_some_and(|around| around.marks().contains(&mark)) => State::Content,
            Calls::Framed(frame) if frame.section.is_none() => State::Call(Box::new(Call::new(frame, mark))),
            _ => State::Section { raw: mark.to_owned(), any: false },
        };
        self.text.first = false;
        self.text.trims = true;
    }

    fn after_section_mark(&mut self, mark: &'static str, raw: String, any: bool) {
        match self.syntax.calls {
            Calls::Framed(frame) if mark == frame.open => {
                let raw = if any { mark.to_owned() } else { raw + mark };
                self.state = State::Call(Box::new(Call::new(frame, &raw)));
            }
            // A list may have its mark before each object.
            Calls::Objects { mark: open, .. } if mark == open => {
                self.state = State::Section { raw: raw + mark, any };
            }
            _ => {
                let raw = if any { raw } else { raw + mark };
                self.abandon(raw, any);
            }
        }
    }

    /// After a call, or what was taken for one.
    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Within => return,
            Outcome::Over => {
                let section = match self.syntax.calls {
                    Calls::Framed(frame) => frame.section.is_some(),
                    Calls::Objects { .. } => true,
                    _ => false,
                };
                self.state = match self.syntax.calls {
                    Calls::Channels => State::Message(Message::Content),
                    _ if section => State::Section { raw: String::new(), any: true },
                    _ => State::Content,
                };
                self.text.trims = true;
            }
            Outcome::Astray(said) => {
                let channels = self.syntax.calls == Calls::Channels;
                self.state = if channels { State::Message(Message::Content) } else { State::Content };
                self.content(&said);
            }
        }
        self.text.first = false;
    }

    /// A section ends; when nothing in it was a call, it was content.
    fn abandon(&mut self, raw: String, any: bool) {
        self.state = State::Content;
        self.text.trims = any;
        if !any {
            self.content(&raw);
        }
    }

    fn harmony(&mut self, mark: &'static str) {
        match std::mem::replace(&mut self.state, State::Header(String::new())) {
            State::Header(header) if mark == MESSAGE => {
                self.flush(true);
                self.text.trims = true;
                self.state = State::Message(Message::of(&header));
            }
            State::Header(header) => self.state = State::Header(header + mark),
            State::Message(Message::Call(mut call)) => {
                let outcome = call.finish(&mut self.events);
                self.settle(outcome);
                self.state = State::Header(String::new());
            }
            _ => {}
        }
        if mark == CHANNEL
            && let State::Header(header) = &mut self.state
            && header.is_empty()
        {
            header.push_str(mark); // a header that begins with its channel
        }
    }

    fn content(&mut self, text: &str) {
        let ready = self.text.ready(text);
        self.events.content(&ready);
    }

    fn reasoning(&mut self, text: &str) {
        let ready = self.text.ready(text);
        self.events.reasoning(&ready);
    }

    /// White space that was held back: before a mark it is left out, at the end of content it is not.
    fn flush(&mut self, before_mark: bool) {
        let held = std::mem::take(&mut self.text.held);
        if !before_mark && !self.text.trims {
            self.events.content(&held);
        }
    }
}

impl Flow {
    /// What of `text` can be handed out: all but white space at its end, and at its beginning after a mark.
    fn ready(&mut self, text: &str) -> String {
        let text = if self.trims { text.trim_start() } else { text };
        let said = text.trim_end();
        if said.is_empty() {
            self.held.push_str(text);
            return String::new();
        }
        (self.first, self.trims) = (false, false);
        let ready = std::mem::take(&mut self.held) + said;
        self.held.push_str(&text[said.len()..]);
        ready
    }
}
