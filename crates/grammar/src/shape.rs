//! A grammar at some place of an answer: what the engine asks.

use base::{Error, Result, TokenId};
use llguidance::Matcher;
use tidemill::Constraint;

use crate::limits::LEXER_FUEL;

/// A compiled grammar and how far it was followed.
pub(crate) struct Shape {
    matcher: Matcher,
    /// How many tokens the model has; the engine's own token for the end comes after them.
    tokens: usize,
    /// What masks have cost the lexer, in its own units; it keeps what it has met.
    fuel: u64,
}

impl Shape {
    pub fn new(matcher: Matcher, tokens: usize) -> Self {
        Self { matcher, tokens, fuel: 0 }
    }
}

impl Constraint for Shape {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            logits.fill(f32::NEG_INFINITY);
            return Ok(());
        }
        let allowed = self.matcher.compute_mask().map_err(|error| err_limits(&error.to_string()))?;
        self.fuel += self.matcher.last_step_stats().map_or(0, |stats| stats.lexer_cost);
        if self.fuel > LEXER_FUEL {
            return Err(err_limits("it takes too much memory"));
        }
        let words = allowed.as_slice();
        for (logits, word) in logits.chunks_mut(32).zip(words.iter().copied().chain(std::iter::repeat(0))) {
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        if let Some(past) = logits.get_mut(self.tokens..) {
            past.fill(f32::NEG_INFINITY);
        }
        Ok(())
    }

    fn advance(&mut self, token: TokenId) -> Result<()> {
        self.matcher.consume_token(token).map_err(|error| err_limits(&error.to_string()))
    }

    fn may_stop(&mut self) -> bool {
        self.matcher.is_accepting().unwrap_or(false)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self { matcher: self.matcher.deep_clone(), tokens: self.tokens, fuel: self.fuel })
    }
}

fn err_limits(reason: &str) -> Error {
    let reason = reason.lines().next().unwrap_or_default();
    Error::input(format!("the shape that was asked of the answer cannot be followed any further: {reason}"))
}
