//! Least frequently used, with uses that fade.
//!
//! A use at step t is worth 2^(t / half-life): instead of letting all scores shrink at every step, later uses count
//! for more, and scores of different age compare without being touched. They are kept as logarithms, since the
//! worth of a use outgrows any float after some ten thousand steps.

use std::collections::HashMap;

use base::ExpertKey;

use super::EvictionPolicy;
use super::ranking::Ranking;

/// Token steps after which a use counts half.
const HALF_LIFE: f64 = 32.0;

/// Ranks are scores in this many steps to the doubling, as integers, so that they order totally.
const RANK_STEPS: f64 = (1 << 20) as f64;

/// Gives up the expert used least often of late.
#[derive(Debug, Default)]
pub struct Lfu {
    /// Ranked by score, then by the use that came last.
    residents: Ranking<(i64, u64)>,
    /// log2 of the score of every expert ever resident: one that returns is not a stranger. As many as the model has.
    scores: HashMap<ExpertKey, f64>,
    steps: u64,
    uses: u64,
}

impl Lfu {
    /// The tokens of one prompt come all at once. Their number counts by its square root, so that a long prompt
    /// ranks its experts without drowning out the tokens that follow it.
    fn used(&mut self, key: ExpertKey, tokens: u32) {
        self.uses += 1;
        let worth = self.steps as f64 / HALF_LIFE + f64::from(tokens).sqrt().log2(); // -inf for no token
        let score = self.scores.entry(key).or_insert(f64::NEG_INFINITY);
        *score = log2_sum(*score, worth);
        let rank = (*score * RANK_STEPS) as i64; // saturates
        self.residents.set(key, (rank, self.uses));
    }
}

/// log2(2^a + 2^b)
fn log2_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp2().ln_1p() / std::f64::consts::LN_2 }
}

impl EvictionPolicy for Lfu {
    fn inserted(&mut self, key: ExpertKey, tokens: u32) {
        self.used(key, tokens);
    }

    fn touched(&mut self, key: ExpertKey, tokens: u32) {
        self.used(key, tokens);
    }

    fn removed(&mut self, key: ExpertKey) {
        self.residents.remove(key);
    }

    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.residents.first(evictable)
    }

    fn tick(&mut self) {
        self.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_add_and_fade_by_half_in_32_steps() {
        for (a, b, sum) in
            [(0.0, 0.0, 1.0), (f64::NEG_INFINITY, 3.0, 3.0), (10.0, 10.0, 11.0), (5000.0, 0.0, 5000.0)]
        {
            assert_eq!(log2_sum(a, b), sum);
            assert_eq!(log2_sum(b, a), sum);
        }
        assert_eq!(log2_sum(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);

        // two uses 33 steps ago are worth less than one now, 31 steps ago more
        for (steps, older_goes) in [(33, true), (31, false)] {
            let (older, newer) = (ExpertKey::new(0, 0), ExpertKey::new(0, 1));
            let mut lfu = Lfu::default();
            lfu.inserted(older, 1);
            lfu.touched(older, 1);
            (0..steps).for_each(|_| lfu.tick());
            lfu.inserted(newer, 1);
            assert_eq!(lfu.victim(&|_| true), Some(if older_goes { older } else { newer }), "{steps}");
        }
    }

    #[test]
    fn an_expert_that_returns_keeps_its_score() {
        let (regular, stranger) = (ExpertKey::new(0, 0), ExpertKey::new(0, 1));
        let mut lfu = Lfu::default();
        for _ in 0..3 {
            lfu.inserted(regular, 1);
            lfu.removed(regular);
        }
        lfu.inserted(regular, 1);
        lfu.inserted(stranger, 1);
        lfu.touched(stranger, 1);
        assert_eq!(lfu.victim(&|_| true), Some(stranger));
    }
}
