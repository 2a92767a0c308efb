//! From logits to one token.
//!
//! The order is the one of the published generation code: repetition penalty, presence and frequency penalty, bias,
//! temperature, top-k, top-p, min-p, draw. A sequence draws from a generator of its own, so its text depends on its
//! seed and on nothing around it.

mod descending;

use std::sync::Arc;

use base::TokenId;

use self::descending::Descending;
use crate::sampling::{REPEAT_WINDOW, Sampling};

/// Chooses the tokens of one sequence.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// Shared by the copies that steps make before they know that they succeed.
    sampling: Arc<Sampling>,
    state: u64,
}

impl Sampler {
    /// A generator started from the seed.
    pub fn new(sampling: Sampling) -> Self {
        let state = sampling.seed;
        Self { sampling: Arc::new(sampling), state }
    }

    /// The next token, given `[vocab]` logits and what the sequence holds so far, of which the answer begins at
    /// `answer`.
    pub fn pick(&mut self, logits: &[f32], history: &[TokenId], answer: usize) -> TokenId {
        let mut logits = logits.to_vec();
        self.adjust(&mut logits, history, answer);
        self.draw_from(&logits)
    }

    /// Penalties and biases, on `[vocab]` logits.
    pub(crate) fn adjust(&self, logits: &mut [f32], history: &[TokenId], answer: usize) {
        self.penalise_repeats(logits, history);
        self.penalise_answer(logits, &history[answer.min(history.len())..]);
        for (token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit += bias;
            }
        }
    }

    /// One of the tokens, by logits that are adjusted already. A logit of minus infinity is never drawn as long as there
    /// is another.
    pub(crate) fn draw_from(&mut self, logits: &[f32]) -> TokenId {
        let Sampling { temperature, top_k, top_p, min_p, .. } = *self.sampling;
        if temperature == 0.0 {
            return likeliest(logits);
        }
        let mut order = Descending::new(logits, top_k);
        let Some(best) = order.all().iter().map(|(_, logit)| *logit).max_by(f32::total_cmp) else {
            return likeliest(logits);
        };
        let weight = |logit: f32| (f64::from(logit - best) / f64::from(temperature)).exp();
        let mut total: f64 = order.all().iter().map(|(_, logit)| weight(*logit)).sum();
        let mut count = order.all().len();
        if top_p < 1.0 || min_p > 0.0 {
            (count, total) = kept(&mut order, weight, f64::from(top_p) * total, f64::from(min_p));
        }
        let (mut left, mut drawn) = (self.draw() * total, 0);
        for rank in 0..count {
            let Some((token, logit)) = order.at(rank) else { break };
            drawn = token;
            left -= weight(logit);
            if left < 0.0 {
                break;
            }
        }
        drawn
    }

    fn penalise_repeats(&self, logits: &mut [f32], history: &[TokenId]) {
        let penalty = self.sampling.repeat_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut recent = history[history.len().saturating_sub(REPEAT_WINDOW)..].to_vec();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    fn penalise_answer(&self, logits: &mut [f32], answer: &[TokenId]) {
        let Sampling { presence_penalty, frequency_penalty, .. } = *self.sampling;
        if presence_penalty == 0.0 && frequency_penalty == 0.0 {
            return;
        }
        let mut said = answer.to_vec();
        said.sort_unstable();
        for same in said.chunk_by(|a, b| a == b) {
            if let Some(logit) = logits.get_mut(same[0] as usize) {
                *logit -= presence_penalty + frequency_penalty * same.len() as f32;
            }
        }
    }

    /// A number from 0 to below 1 (SplitMix64: Steele, Lea and Flood, 2014).
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How many of the likeliest tokens stay when they end with the one whose weight brings the sum to `enough`, or before the
/// first that weighs less than `least`; and their weight. The likeliest always stays.
fn kept(order: &mut Descending, weight: impl Fn(f32) -> f64, enough: f64, least: f64) -> (usize, f64) {
    let (mut count, mut total) = (0, 0.0);
    while let Some((_, logit)) = order.at(count) {
        let more = weight(logit);
        if count > 0 && (more < least || total >= enough) {
            break;
        }
        total += more;
        count += 1;
    }
    (count, total)
}

/// The token with the largest logit; the lowest of equal ones.
pub fn likeliest(logits: &[f32]) -> TokenId {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] || (logits[best].is_nan() && !logit.is_nan()) {
            best = token;
        }
    }
    best as TokenId
}

#[cfg(test)]
mod tests;
