//! One growing list of tokens, with a sampler and an attention state of its own.

use std::collections::BTreeSet;
use std::ops::Range;

use base::{Error, Result, TokenId};
use kv::KvCache;
use model::{Entry, Logits};

use crate::choice::{Choice, Chosen};
use crate::constraint::Constraint;
use crate::logprobs::Logprobs;
use crate::sampler::Sampler;
use crate::sampling::Sampling;

/// Names a sequence of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

/// What to generate.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The prompt.
    pub tokens: Vec<TokenId>,
    /// Tokens to generate at most.
    pub max_tokens: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// Tokens that end the answer; they are reported, and are no part of the text.
    pub stop: BTreeSet<TokenId>,
    /// Reports how likely each token was, beside this many of the likeliest.
    pub logprobs: Option<usize>,
    /// What the answer must look like.
    pub constraint: Option<Box<dyn Constraint>>,
    /// A finished sequence to take over: what its tokens share with the prompt is not computed again.
    pub resume: Option<SequenceId>,
    /// A sequence, under way or finished, to copy from: the same, but it stays as it is. Nothing beside `resume`.
    pub copy: Option<SequenceId>,
}

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model said a stop token, or nothing may follow what its constraint asked for.
    Stop,
    /// It reached its number of tokens.
    Length,
    /// The caller cancelled it.
    Cancelled,
    /// Its constraint gave up; [`Engine::failure`](crate::Engine::failure) says why.
    Failed,
}

/// What a step brought to a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One more token.
    Token {
        /// Of this sequence.
        sequence: SequenceId,
        /// Not a stop token.
        token: TokenId,
        /// How likely it was, if the request asks for that.
        logprobs: Option<Logprobs>,
    },
    /// No more tokens will come.
    Finished {
        /// Of this sequence.
        sequence: SequenceId,
        /// Why.
        finish: Finish,
    },
}

pub(crate) struct Sequence {
    /// Prompt and answer.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) kv: KvCache,
    /// Where the prompt stands, without what was kept of a former sequence; the form of attention goes by it.
    prompt: Range<usize>,
    max_tokens: usize,
    sampler: Sampler,
    stop: BTreeSet<TokenId>,
    logprobs: Option<usize>,
    constraint: Option<Box<dyn Constraint>>,
    pub(crate) finish: Option<Finish>,
    /// Why it [failed](Finish::Failed).
    pub(crate) failure: Option<Error>,
}

impl Sequence {
    /// `kv` holds a prefix of the prompt, perhaps none of it; never all, for the last token is to be predicted from.
    pub(crate) fn new(request: Request, kv: KvCache) -> Self {
        Self {
            prompt: kv.len()..request.tokens.len(),
            tokens: request.tokens,
            kv,
            max_tokens: request.max_tokens,
            sampler: Sampler::new(request.sampling),
            stop: request.stop,
            logprobs: request.logprobs,
            constraint: request.constraint,
            finish: None,
            failure: None,
        }
    }

    /// Tokens that are not computed yet: the rest of the prompt, or the one just sampled.
    pub(crate) fn pending(&self) -> &[TokenId] {
        &self.tokens[self.kv.len()..]
    }

    pub(crate) fn decoding(&self) -> bool {
        self.kv.len() >= self.prompt.end
    }

    /// Where the prompt stands that the pending tokens belong to; a generated token is one of its own.
    fn pass(&self) -> Range<usize> {
        let start = self.kv.len();
        if self.decoding() { start..start + 1 } else { self.prompt.clone() }
    }

    /// The next `count` pending tokens, for one pass; and what chooses the token after them.
    pub(crate) fn entry(&mut self, count: usize) -> (Entry<'_>, Choice<'_>) {
        let (prompt, start) = (self.pass(), self.kv.len());
        let tokens = &self.tokens[start..start + count];
        let logits = if start + count == self.tokens.len() { Logits::Last } else { Logits::None };
        let choice = Choice {
            sampler: &self.sampler,
            history: &self.tokens,
            answer: self.prompt.end,
            stop: &self.stop,
            constraint: self.constraint.as_deref_mut(),
            logprobs: self.logprobs,
        };
        (Entry { kv: &mut self.kv, tokens, prompt, logits }, choice)
    }

    /// Prompt tokens computed, and all of them.
    pub(crate) fn prefill_progress(&self) -> (usize, usize) {
        (self.kv.len().min(self.prompt.end), self.prompt.end)
    }

    /// No more is generated. What the answer was held to is let go: the sequence may be kept for long.
    pub(crate) fn end(&mut self, finish: Finish) {
        self.finish = Some(finish);
        self.constraint = None;
    }

    /// Takes what was chosen. `None` when the answer ends without another token.
    pub(crate) fn advance(&mut self, chosen: Result<Chosen>) -> Option<(TokenId, Option<Logprobs>)> {
        let (token, logprobs) = match self.take(chosen) {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                self.end(Finish::Stop);
                return None;
            }
            Err(error) => {
                self.end(Finish::Failed);
                self.failure = Some(error);
                return None;
            }
        };
        self.tokens.push(token);
        if self.tokens.len() - self.prompt.end >= self.max_tokens {
            self.end(Finish::Length);
        }
        Some((token, logprobs))
    }

    fn take(&mut self, chosen: Result<Chosen>) -> Result<Option<(TokenId, Option<Logprobs>)>> {
        let Chosen { token, sampler, logprobs } = chosen?;
        self.sampler = sampler;
        let Some(token) = token.filter(|token| !self.stop.contains(token)) else { return Ok(None) };
        if let Some(constraint) = &mut self.constraint {
            constraint.advance(token)?;
        }
        Ok(Some((token, logprobs)))
    }
}

impl Request {
    pub(crate) fn check(&self) -> Result<()> {
        if self.tokens.is_empty() {
            return Err(Error::input(
                "the prompt is empty; the model needs at least one token to go on from",
            ));
        }
        if self.max_tokens == 0 {
            return Err(Error::input("0 tokens to generate"));
        }
        self.sampling.check()
    }

    /// Tokens the sequence may come to hold.
    pub(crate) fn capacity(&self) -> usize {
        self.tokens.len().saturating_add(self.max_tokens)
    }
}
