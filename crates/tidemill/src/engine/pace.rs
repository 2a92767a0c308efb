//! How many prompt tokens a pass takes while other sequences generate.
//!
//! Every prompt token makes the others wait: for its arithmetic, and for experts that only it needs. So a pass with
//! prompts in it is to take no longer than two without, and its size follows what passes took. This changes when tokens
//! come, and no bit of them.

use std::time::Duration;

/// Prompt tokens that a pass takes at least: with fewer, a prompt would read every expert again for too little.
const LEAST: usize = 8;
/// Nobody minds waiting so long: ten tokens a second are more than anybody reads.
const UNNOTICED: Duration = Duration::from_millis(100);
/// A pass is followed by one of at most so many times its prompt tokens, for larger ones may take longer than they promise.
const GROWTH: f64 = 1.5;

/// Follows what passes take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rows: usize,
    /// A pass without prompts, lately.
    alone: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 4 * LEAST, alone: None }
    }
}

impl Pace {
    /// Prompt tokens that the next pass takes beside those of sequences that generate.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes note of a pass.
    pub fn learn(&mut self, prefill_tokens: usize, decode_tokens: usize, took: Duration) {
        match (prefill_tokens, decode_tokens) {
            (_, 0) => {}
            (0, _) => self.alone = Some(self.alone.map_or(took, |lately| (3 * lately + took) / 4)),
            (prefill, _) => {
                let bound = self.alone.map_or(UNNOTICED, |alone| UNNOTICED.max(2 * alone));
                let change = (bound.as_secs_f64() / took.as_secs_f64().max(1e-6)).clamp(0.25, GROWTH);
                // A pass that took less than it might have says nothing about taking more.
                if change < 1.0 || prefill >= self.rows {
                    self.rows = ((self.rows as f64 * change) as usize).clamp(LEAST, 1 << 16);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_with_prompts_take_about_twice_as_long_as_those_without() {
        // A second for the sequence that generates, and 0.1 for each prompt token.
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.learn(0, 1, Duration::from_secs(1));
            let prefill = pace.rows();
            pace.learn(prefill, 1, Duration::from_millis(1000 + 100 * prefill as u64));
        }
        assert!((8..=10).contains(&pace.rows()), "{} rows", pace.rows());
        pace.learn(8, 1, Duration::from_secs(100));
        assert_eq!(pace.rows(), LEAST);
    }

    #[test]
    fn quick_passes_grow_as_long_as_they_are_full() {
        let mut pace = Pace::default();
        let before = pace.rows();
        pace.learn(before / 2, 1, Duration::from_millis(1));
        assert_eq!(pace.rows(), before);
        for _ in 0..5 {
            pace.learn(pace.rows(), 1, Duration::from_millis(1));
        }
        assert_eq!(pace.rows(), 243);
    }
}
