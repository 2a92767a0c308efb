//! From logits to one token.
//!
//! The order is the one of the published generation code: repetition penalty, temperature, top-k, top-p, min-p, draw.
//! A sequence draws from a generator of its own, so its text depends on its seed and on nothing around it.

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
    /// The same seed gives the same text.
    pub seed: u64,
}

/// How far back the repetition penalty looks.
pub const REPEAT_WINDOW: usize = 64;

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, seed: 0 }
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
        ];
        match cases.iter().find(|(good, _, _)| !good) {
            Some((_, name, range)) => Err(Error::input(format!("{name} must be {range}"))),
            None => Ok(()),
        }
    }
}

/// Chooses the tokens of one sequence.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    /// A generator started from the seed.
    pub fn new(sampling: Sampling) -> Self {
        let state = sampling.seed;
        Self { sampling, state }
    }

    /// The next token, given `[vocab]` logits and what the sequence holds so far.
    pub fn pick(&mut self, logits: &[f32], history: &[TokenId]) -> TokenId {
        let mut logits = logits.to_vec();
        self.penalise(&mut logits, history);
        if self.sampling.temperature == 0.0 {
            return likeliest(&logits);
        }
        let candidates = self.candidates(&logits);
        let total: f64 = candidates.iter().map(|(_, p)| p).sum();
        let mut left = self.draw() * total;
        for (token, p) in &candidates {
            left -= p;
            if left < 0.0 {
                return *token;
            }
        }
        candidates.last().map_or_else(|| likeliest(&logits), |(token, _)| *token)
    }

    fn penalise(&self, logits: &mut [f32], history: &[TokenId]) {
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

    /// The tokens that may be drawn and their probabilities (not summing to 1), likeliest first.
    fn candidates(&self, logits: &[f32]) -> Vec<(TokenId, f64)> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let mut order: Vec<(TokenId, f32)> = (0..).zip(logits.iter().copied()).collect();
        let likelier = |a: &(TokenId, f32), b: &(TokenId, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if top_k > 0 && top_k < order.len() {
            order.select_nth_unstable_by(top_k - 1, likelier);
            order.truncate(top_k);
        }
        order.sort_unstable_by(likelier);
        order.retain(|(_, logit)| !logit.is_nan());
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
mod tests {
    use super::*;

    fn drawn(sampling: Sampling, logits: &[f32], history: &[TokenId]) -> Vec<usize> {
        let mut sampler = Sampler::new(sampling);
        let mut counts = vec![0; logits.len()];
        for _ in 0..4000 {
            counts[sampler.pick(logits, history) as usize] += 1;
        }
        counts
    }

    fn warm() -> Sampling {
        Sampling { temperature: 1.0, seed: 7, ..Sampling::default() }
    }

    #[test]
    fn temperature_zero_is_greedy_and_ties_go_to_the_lower_token() {
        assert_eq!(drawn(Sampling::default(), &[1.0, 3.0, 3.0], &[]), [0, 4000, 0]);
        assert_eq!(drawn(Sampling::default(), &[f32::NAN, 1.0, 2.0], &[]), [0, 0, 4000]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        for (count, p) in drawn(warm(), &logits, &[]).into_iter().zip([0.5, 0.3, 0.2]) {
            assert!((count as f64 / 4000.0 - p).abs() < 0.03, "{count} draws at {p}");
        }
    }

    #[test]
    fn each_filter_removes_the_tail() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
        let cases = [
            (Sampling { top_k: 2, ..warm() }, 2),
            (Sampling { top_p: 0.79, ..warm() }, 2),
            (Sampling { top_p: 0.81, ..warm() }, 3),
            (Sampling { min_p: 0.25, ..warm() }, 3),
            (Sampling { min_p: 1.0, ..warm() }, 1),
            (warm(), 4),
        ];
        for (sampling, kept) in cases {
            let counts = drawn(sampling.clone(), &logits, &[]);
            assert_eq!(counts.iter().filter(|count| **count > 0).count(), kept, "{sampling:?}");
        }
    }

    #[test]
    fn the_penalty_lowers_what_was_just_said() {
        let sampling = Sampling { repeat_penalty: 2.0, ..Sampling::default() };
        assert_eq!(Sampler::new(sampling.clone()).pick(&[1.0, 0.9], &[0]), 1);
        assert_eq!(Sampler::new(sampling.clone()).pick(&[-1.0, -1.5], &[0]), 1);
        let long_ago: Vec<TokenId> = std::iter::once(0).chain(vec![5; REPEAT_WINDOW]).collect();
        assert_eq!(Sampler::new(sampling).pick(&[1.0, 0.9], &long_ago), 0);
    }

    #[test]
    fn nonsense_is_refused_and_survived() {
        for bad in [
            Sampling { temperature: -1.0, ..warm() },
            Sampling { temperature: f32::NAN, ..warm() },
            Sampling { top_p: 0.0, ..warm() },
            Sampling { min_p: 1.5, ..warm() },
            Sampling { repeat_penalty: 0.0, ..warm() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert_eq!(drawn(warm(), &[f32::NAN, f32::NAN], &[])[0], 4000);
        assert_eq!(drawn(warm(), &[f32::INFINITY, 0.0], &[]).iter().sum::<usize>(), 4000);
    }
}
