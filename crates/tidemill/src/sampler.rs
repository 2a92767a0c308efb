//! From logits to one token.
//!
//! The order is the one of the published generation code: repetition penalty, presence and frequency penalty, bias,
//! temperature, top-k, top-p, min-p, draw. A sequence draws from a generator of its own, so its text depends on its
//! seed and on nothing around it.

use std::sync::Arc;

use base::TokenId;

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
        if self.sampling.temperature == 0.0 {
            return likeliest(logits);
        }
        let candidates = self.candidates(logits);
        let total: f64 = candidates.iter().map(|(_, p)| p).sum();
        let mut left = self.draw() * total;
        for (token, p) in &candidates {
            left -= p;
            if left < 0.0 {
                return *token;
            }
        }
        candidates.last().map_or_else(|| likeliest(logits), |(token, _)| *token)
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

    /// The tokens that may be drawn and their probabilities (not summing to 1), likeliest first.
    fn candidates(&self, logits: &[f32]) -> Vec<(TokenId, f64)> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = *self.sampling;
        let mut order: Vec<(TokenId, f32)> = (0..).zip(logits.iter().copied()).collect();
        let likelier = |a: &(TokenId, f32), b: &(TokenId, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if top_k > 0 && top_k < order.len() {
            order.select_nth_unstable_by(top_k - 1, likelier);
            order.truncate(top_k);
        }
        order.sort_unstable_by(likelier);
        order.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        let Some((_, best)) = order.first().copied() else { return Vec::new() };

        let weight = |logit: f32| (f64::from(logit - best) / f64::from(temperature)).exp();
        let mut candidates: Vec<_> = order.into_iter().map(|(token, logit)| (token, weight(logit))).collect();
        let total: f64 = candidates.iter().map(|(_, p)| p).sum();
        let mut reached = 0.0;
        let within_top_p = candidates.iter().position(|(_, p)| {
            reached += p;
            reached >= f64::from(top_p) * total
        });
        candidates.truncate(within_top_p.map_or(candidates.len(), |last| last + 1));
        candidates.retain(|(_, p)| *p >= f64::from(min_p));
        candidates
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
