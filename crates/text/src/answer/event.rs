//! What an answer brings, piece by piece.

/// A piece of an answer. Pieces of one kind that follow each other belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerEvent {
    /// What the model thinks before it answers.
    Reasoning(String),
    /// What it says.
    Content(String),
    /// It calls a tool.
    CallBegun {
        /// The number of the call within the answer, from 0.
        index: usize,
        /// The tool's name.
        name: String,
        /// The name of this call, where the model gives one.
        id: Option<String>,
    },
    /// More of the arguments of the call that was begun last. All pieces together are one JSON object.
    Arguments {
        /// The number of the call.
        index: usize,
        /// JSON text, cut anywhere between two characters.
        piece: String,
    },
    /// The call that was begun last is over.
    CallEnded {
        /// The number of the call.
        index: usize,
        /// Whether its arguments are a whole JSON object; not when the answer ended or went astray within them.
        whole: bool,
    },
}

/// Events in order, pieces of one kind joined.
#[derive(Debug, Default)]
pub(super) struct Events {
    list: Vec<AnswerEvent>,
    /// Calls begun so far.
    calls: usize,
}

impl Events {
    pub fn reasoning(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(AnswerEvent::Reasoning(before)) => before.push_str(text),
            _ => self.list.push(AnswerEvent::Reasoning(text.to_owned())),
        }
    }

    pub fn content(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(AnswerEvent::Content(before)) => before.push_str(text),
            _ => self.list.push(AnswerEvent::Content(text.to_owned())),
        }
    }

    pub fn begin_call(&mut self, name: String, id: Option<String>) {
        self.list.push(AnswerEvent::CallBegun { index: self.calls, name, id });
        self.calls += 1;
    }

    pub fn arguments(&mut self, text: &str) {
        let index = self.calls.saturating_sub(1);
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(AnswerEvent::Arguments { piece, .. }) => piece.push_str(text),
            _ => self.list.push(AnswerEvent::Arguments { index, piece: text.to_owned() }),
        }
    }

    pub fn end_call(&mut self, whole: bool) {
        self.list.push(AnswerEvent::CallEnded { index: self.calls.saturating_sub(1), whole });
    }

    /// What came since the last time.
    pub fn take(&mut self) -> Vec<AnswerEvent> {
        std::mem::take(&mut self.list)
    }
}
