//! From ids to events: characters made whole, marks understood, stop strings found.

use std::sync::Arc;

use base::TokenId;
use serde_json::Value;

use super::event::AnswerEvent;
use super::parser::AnswerParser;
use super::stops::StopStrings;
use super::syntax::AnswerSyntax;
use crate::detokenize::Characters;
use crate::tokenizer::Tokenizer;

/// How an answer is read.
#[derive(Clone, Debug)]
pub struct AnswerOptions {
    /// How the model writes.
    pub syntax: AnswerSyntax,
    /// Whether the prompt ended within reasoning: [`AnswerSyntax::opens_reasoning`].
    pub within_reasoning: bool,
    /// The tools of the prompt, of the kind `{"type": "function", "function": {..}}`; without any, nothing is a call.
    pub tools: Vec<Value>,
    /// Strings that end the answer. They are looked for in content, not in reasoning or arguments, and are not shown.
    pub stop: Vec<String>,
}

impl Default for AnswerOptions {
    /// All is content.
    fn default() -> Self {
        Self { syntax: AnswerSyntax::PLAIN, within_reasoning: false, tools: Vec::new(), stop: Vec::new() }
    }
}

/// Turns the tokens of one answer into events.
pub struct AnswerReader {
    tokenizer: Arc<Tokenizer>,
    characters: Characters,
    parser: AnswerParser,
    stops: StopStrings,
}

impl AnswerReader {
    /// A reader at the beginning of an answer.
    pub fn new(tokenizer: Arc<Tokenizer>, options: AnswerOptions) -> Self {
        let AnswerOptions { syntax, within_reasoning, tools, stop } = options;
        let parser = AnswerParser::new(syntax, within_reasoning, tools).with_controls_of(&tokenizer);
        Self { tokenizer, characters: Characters::default(), parser, stops: StopStrings::new(stop) }
    }

    /// What `token` brings; often nothing yet.
    pub fn push(&mut self, token: TokenId) -> Vec<AnswerEvent> {
        let bytes = self.tokenizer.piece(token).unwrap_or_default();
        let events = if self.tokenizer.is_control(token) {
            let mut events = self.parser.text(&self.characters.finish());
            events.extend(self.parser.control(&String::from_utf8_lossy(bytes)));
            events
        } else {
            self.parser.text(&self.characters.push(bytes))
        };
        self.up_to_stop(events)
    }

    /// No more tokens come.
    pub fn finish(&mut self) -> Vec<AnswerEvent> {
        let mut events = self.parser.text(&self.characters.finish());
        events.extend(self.parser.finish());
        let mut events = self.up_to_stop(events);
        let held = self.stops.finish();
        if !held.is_empty() {
            events.push(AnswerEvent::Content(held));
        }
        events
    }

    /// The stop string that ended the answer. Nothing comes after it: cancel the sequence.
    pub fn stopped(&self) -> Option<&str> {
        self.stops.found()
    }

    fn up_to_stop(&mut self, events: Vec<AnswerEvent>) -> Vec<AnswerEvent> {
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            if self.stopped().is_some() {
                break;
            }
            match event {
                AnswerEvent::Content(text) => shown.push(AnswerEvent::Content(self.stops.push(&text))),
                // No stop string reaches across reasoning or a call.
                other => shown.extend([AnswerEvent::Content(self.stops.finish()), other]),
            }
        }
        shown.retain(|event| !matches!(event, AnswerEvent::Content(text) if text.is_empty()));
        shown
    }
}
