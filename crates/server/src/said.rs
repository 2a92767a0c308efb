//! What an answer says, piece by piece, as every interface tells it.

use tidemill::Finish;

use crate::refusal::Refusal;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Its prompt is being read; so many tokens of it were known.
    Begun {
        /// Tokens of the prompt that are known from before.
        cached: usize,
    },
    /// Thoughts.
    Reasoning(String),
    /// The answer itself.
    Content(String),
    /// A call of a tool begins.
    Call {
        /// Which of the answer's calls, from 0.
        index: usize,
        /// What the result will refer to.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of the arguments of a call, JSON.
    Arguments {
        /// Which of the answer's calls.
        index: usize,
        /// The piece.
        text: String,
    },
    /// How likely the tokens of the next piece were.
    Logprobs(Vec<TokenLogprob>),
    /// That was all.
    Ended(Ending),
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ending {
    /// Why.
    pub reason: Reason,
    /// The stop text it ran into.
    pub stop: Option<String>,
    /// Tokens generated.
    pub tokens: usize,
    /// Those that were thoughts.
    pub reasoning_tokens: usize,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The model was done, or a stop text came.
    #[default]
    Stop,
    /// There were as many tokens as there may be.
    Length,
    /// It wants tools called.
    Calls,
}

impl Reason {
    /// Of an answer that called tools or not.
    pub fn of(finish: Finish, calls: usize) -> Self {
        match finish {
            Finish::Length => Self::Length,
            _ if calls > 0 => Self::Calls,
            _ => Self::Stop,
        }
    }
}

/// How likely a token was.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: Spelled,
    /// The natural logarithm of its probability.
    pub logprob: f32,
    /// The same of the likeliest.
    pub top: Vec<(Spelled, f32)>,
}

/// A token as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled {
    /// Its bytes, which need not be whole characters.
    pub bytes: Vec<u8>,
}

impl Spelled {
    /// As far as it is text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A whole answer, put together from its pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Tokens of the prompt that were known.
    pub cached: usize,
    /// Thoughts.
    pub reasoning: String,
    /// What it says.
    pub content: String,
    /// What it wants called.
    pub calls: Vec<Call>,
    /// How likely its tokens were, if that was asked.
    pub logprobs: Vec<TokenLogprob>,
    /// How it ended; `None` as long as it has not.
    pub ending: Option<Ending>,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// What the result will refer to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, JSON.
    pub arguments: String,
}

impl Whole {
    /// Takes the next piece.
    pub fn add(&mut self, said: Said) {
        match said {
            Said::Begun { cached } => self.cached = cached,
            Said::Reasoning(text) => self.reasoning += &text,
            Said::Content(text) => self.content += &text,
            Said::Call { id, name, .. } => self.calls.push(Call { id, name, arguments: String::new() }),
            Said::Arguments { index, text } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments += &text;
                }
            }
            Said::Logprobs(logprobs) => self.logprobs.extend(logprobs),
            Said::Ended(ending) => self.ending = Some(ending),
        }
    }

    /// How it ended.
    pub fn end(&self) -> Ending {
        self.ending.clone().unwrap_or_default()
    }
}

/// A piece of one of a request's answers, or why there will be none.
pub type Heard = (usize, Result<Said, Refusal>);
