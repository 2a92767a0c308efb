//! A sequence's next token, chosen before it is known whether the pass succeeds.

use std::collections::BTreeSet;

use base::{Error, Result, TokenId};

use crate::constraint::Constraint;
use crate::logprobs::Logprobs;
use crate::sampler::Sampler;

/// Chooses a sequence's next token, without yet changing the sequence: the pass may still fail.
pub(crate) struct Choice<'a> {
    pub sampler: &'a Sampler,
    /// Prompt and answer.
    pub history: &'a [TokenId],
    /// Where in it the answer begins.
    pub answer: usize,
    /// Tokens that end the answer.
    pub stop: &'a BTreeSet<TokenId>,
    pub constraint: Option<&'a mut (dyn Constraint + 'static)>,
    /// How many of the likeliest tokens are reported beside the chosen one.
    pub logprobs: Option<usize>,
}

/// What was chosen.
pub(crate) struct Chosen {
    /// `None` when the constraint is fulfilled and nothing may follow.
    pub token: Option<TokenId>,
    /// As it is after choosing.
    pub sampler: Sampler,
    pub logprobs: Option<Logprobs>,
}

impl Choice<'_> {
    /// The token that follows, by `[vocab]` logits. An error is the constraint's.
    pub fn pick(&mut self, logits: &[f32]) -> Result<Chosen> {
        let mut sampler = self.sampler.clone();
        let mut adjusted = logits.to_vec();
        sampler.adjust(&mut adjusted, self.history, self.answer);
        let possible = self.constrain(&mut adjusted)?;
        let token = possible.then(|| sampler.draw_from(&adjusted));
        let logprobs = token.zip(self.logprobs).map(|(token, count)| Logprobs::new(logits, token, count));
        Ok(Chosen { token, sampler, logprobs })
    }

    /// Leaves only what the constraint allows; whether that is anything.
    fn constrain(&mut self, logits: &mut [f32]) -> Result<bool> {
        let Some(constraint) = self.constraint.as_deref_mut() else { return Ok(true) };
        let stops: Vec<(usize, f32)> = self
            .stop
            .iter()
            .filter_map(|token| Some((*token as usize, *logits.get(*token as usize)?)))
            .collect();
        constraint.mask(logits)?;
        let may_stop = constraint.may_stop();
        for (token, logit) in stops {
            logits[token] = if may_stop { logit } else { f32::NEG_INFINITY };
        }
        let possible = logits.iter().any(|logit| *logit > f32::NEG_INFINITY);
        if possible || may_stop { Ok(possible) } else { Err(err_dead_end()) }
    }
}

fn err_dead_end() -> Error {
    Error::input("no token of this model can go on in the shape that was asked of the answer")
}
