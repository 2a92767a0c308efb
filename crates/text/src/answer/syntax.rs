//! How a family of models writes an answer: declarations, and finding the one a model's template uses.

use crate::chat::Rendered;

/// One way to write reasoning and calls of tools.
///
/// A *mark* is a text that steers the parser. Where the model has a control token of that spelling, only the token
/// counts; the same letters in ordinary tokens stay text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerSyntax {
    /// What it is called, for those who choose it by hand.
    pub name: &'static str,
    /// How reasoning is kept apart, if it is.
    pub reasoning: Option<Reasoning>,
    /// Marks around content, if there are any: they mean nothing and are left out.
    pub around: Option<Around>,
    /// How tools are called.
    pub calls: Calls,
}

/// The marks around content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// Before it. Some templates write it themselves, at the end of the prompt.
    pub open: &'static str,
    /// After it.
    pub close: &'static str,
    /// After content and calls.
    pub end: &'static str,
}

/// The marks around reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasoning {
    /// Before it. Some templates write it themselves, at the end of the prompt.
    pub open: &'static str,
    /// After it.
    pub close: &'static str,
}

/// How tools are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Not at all.
    None,
    /// Between marks.
    Framed(Frame),
    /// As JSON objects with name and arguments: after `mark`, or as the whole answer. Brackets, commas and semicolons
    /// between them mean nothing.
    Objects {
        /// What may precede them.
        mark: &'static str,
        /// Whether an answer that begins with a brace is a call as well.
        bare: bool,
    },
    /// In messages of their own, as channels are (harmony).
    Channels,
}

/// The marks around a call, and what lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before and after all calls of an answer.
    pub section: Option<(&'static str, &'static str)>,
    /// Before each call.
    pub open: &'static str,
    /// After each call; empty where arguments end by themselves.
    pub close: &'static str,
    /// What is written between `open` and the name, and the mark after that.
    pub kind: Option<(&'static str, &'static str)>,
    /// After the name; empty where the first parameter follows at once.
    pub name_end: &'static str,
    /// How the name is written with the number of the call, if it is.
    pub number: Option<Number>,
    /// What follows the name.
    pub arguments: Arguments,
    /// What the family writes between arguments that are JSON and `close`.
    pub arguments_end: &'static str,
}

/// A name with the number of its call: `functions.NAME:3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Before the name.
    pub before: &'static str,
    /// Between the name and the number.
    pub between: &'static str,
    /// Whether all of it is what results are given back by.
    pub is_id: bool,
}

/// How arguments are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// A JSON object.
    Json,
    /// A JSON object around name and arguments: `{"name": "f", "arguments": {}}`. `name_end` is not looked at.
    Envelope,
    /// One after the other, between marks.
    Parameters(&'static Parameters),
}

/// The marks around a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Before its name.
    pub open: &'static str,
    /// After its name, and what that says of the value.
    pub name_ends: &'static [(&'static str, Written)],
    /// Before the value, if more than white space comes before it.
    pub value_open: &'static str,
    /// After the value.
    pub close: &'static str,
    /// Whether a value has lines of its own: one line break before and one after it are no part of it.
    pub on_lines: bool,
    /// Whether `"` and `&` in a name are written as entities.
    pub entities: bool,
    /// Around arguments that are written as one JSON object instead, if they may be.
    pub whole: Option<(&'static str, &'static str)>,
}

impl Parameters {
    /// No marks.
    pub const BARE: Self = Self {
        open: "",
        name_ends: &[],
        value_open: "",
        close: "",
        on_lines: false,
        entities: false,
        whole: None,
    };
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As the tool's schema says: strings as they are, all else as JSON.
    BySchema,
    /// As it is.
    Text,
    /// As JSON.
    Json,
}

/// The marks of [`Calls::Channels`]. The last three end a message.
pub(super) const CHANNEL_MARKS: [&str; 7] =
    ["<|start|>", CHANNEL, "<|constrain|>", MESSAGE, "<|end|>", "<|call|>", "<|return|>"];
/// Before the channel in a header.
pub(super) const CHANNEL: &str = "<|channel|>";
/// After a header.
pub(super) const MESSAGE: &str = "<|message|>";

impl Frame {
    /// No marks, and an object around name and arguments.
    pub const OBJECT: Self = Self {
        section: None,
        open: "",
        close: "",
        kind: None,
        name_end: "",
        number: None,
        arguments: Arguments::Envelope,
        arguments_end: "",
    };
}

impl Around {
    /// All three.
    pub(super) fn marks(&self) -> [&'static str; 3] {
        [self.open, self.close, self.end]
    }
}

impl Number {
    /// The name in what is written for it, and what results are given back by if that is told; `None` when it is not
    /// written so.
    pub(super) fn split<'a>(&self, written: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let (name, number) = written.rsplit_once(self.between)?;
        let counts = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        counts.then(|| (name.strip_prefix(self.before).unwrap_or(name), self.is_id.then_some(written)))
    }
}

impl AnswerSyntax {
    /// An answer that is all content.
    pub const PLAIN: Self = Self { name: "plain", reasoning: None, around: None, calls: Calls::None };

    /// Whether a prompt ends within reasoning, because the template has opened it for the model.
    pub fn opens_reasoning(&self, prompt: &Rendered) -> bool {
        let Some(reasoning) = self.reasoning else { return false };
        // A mark may be several control tokens with text between.
        let mut end = String::new();
        for part in prompt.parts.iter().rev() {
            end.insert_str(0, part.text());
            if end.trim_end().len() >= reasoning.open.len() {
                break;
            }
        }
        end.trim_end().ends_with(reasoning.open)
    }

    /// All marks of this syntax.
    pub(super) fn marks(&self) -> Vec<&'static str> {
        let mut marks: Vec<&'static str> = self.reasoning.iter().flat_map(|r| [r.open, r.close]).collect();
        marks.extend(self.around.iter().flat_map(Around::marks));
        match &self.calls {
            Calls::None => {}
            Calls::Objects { mark, .. } => marks.push(mark),
            Calls::Channels => marks.extend(CHANNEL_MARKS),
            Calls::Framed(frame) => {
                marks.extend(frame.section.iter().flat_map(|(open, close)| [*open, *close]));
                marks.extend([frame.open, frame.close, frame.name_end]);
                marks.extend(frame.kind.map(|(_, end)| end));
                if let Arguments::Parameters(parameters) = &frame.arguments {
                    marks.extend([parameters.open, parameters.value_open, parameters.close]);
                    marks.extend(parameters.whole.iter().flat_map(|(open, close)| [open, close]));
                    marks.extend(parameters.name_ends.iter().map(|(mark, _)| *mark));
                }
            }
        }
        marks.retain(|mark| !mark.is_empty());
        marks
    }
}
