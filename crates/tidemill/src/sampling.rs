//! How tokens are chosen, as callers say it.

use std::collections::BTreeMap;

use base::{Error, Result, TokenId};

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token always.
    pub temperature: f32,
    /// Only the likeliest `top_k` tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this fraction as likely as the likeliest; 0 for all.
    pub min_p: f32,
    /// Tokens of the last [`REPEAT_WINDOW`] have their logits divided (or, below 0, multiplied) by this; 1 for none.
    pub repeat_penalty: f32,
    /// Subtracted once from the logit of every token of the answer so far; 0 for none.
    pub presence_penalty: f32,
    /// Subtracted for each time a token occurs in the answer so far; 0 for none.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: BTreeMap<TokenId, f32>,
    /// The same seed gives the same text.
    pub seed: u64,
}

/// How far back the repetition penalty looks.
pub const REPEAT_WINDOW: usize = 64;

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: 0,
        }
    }
}

impl Sampling {
    /// Refuses settings that mean nothing.
    pub fn check(&self) -> Result<()> {
        let cases = [
            (self.temperature >= 0.0 && self.temperature.is_finite(), "temperature", "0 or more"),
            (self.top_p > 0.0 && self.top_p <= 1.0, "top-p", "above 0 and up to 1"),
            ((0.0..=1.0).contains(&self.min_p), "min-p", "from 0 to 1"),
            (self.repeat_penalty > 0.0 && self.repeat_penalty.is_finite(), "repeat-penalty", "above 0"),
            (self.presence_penalty.is_finite(), "presence-penalty", "a number"),
            (self.frequency_penalty.is_finite(), "frequency-penalty", "a number"),
            (self.logit_bias.values().all(|bias| bias.is_finite()), "every logit-bias", "a number"),
        ];
        match cases.iter().find(|(good, _, _)| !good) {
            Some((_, name, range)) => Err(Error::input(format!("{name} must be {range}"))),
            None => Ok(()),
        }
    }
}
