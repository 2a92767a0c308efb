//! How prompts are read while other sequences generate.
//!
//! A pass with prompts reads almost every expert of every layer, be its prompts 100 tokens or 500, and all who generate
//! wait for it. So prompts come in few large portions, and after each those who generate have as much time to themselves.
//! Portions become smaller when they take long and half of one takes hardly more than half as long, as it does where
//! arithmetic is what takes the time. This changes when tokens come, and no bit of them.

use std::time::Duration;

/// Prompt tokens that a pass takes at least.
const LEAST: usize = 8;
/// Those who generate may wait so long, if it can be helped.
const PATIENCE: Duration = Duration::from_secs(2);
/// To halve a portion must save so much of its time: what it does not save, the prompt takes longer.
const WORTH: f64 = 0.6;
/// Portions after one that was not worth halving until another is.
const REST: usize = 8;

/// Follows what passes take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    most: usize,
    rows: usize,
    /// A portion that took too long: the half of one is on trial.
    halved: Option<Duration>,
    /// Portions until that may be tried again.
    rest: usize,
    /// What those who generate still have to themselves.
    owed: Duration,
}

impl Pace {
    /// With portions of up to `most` tokens.
    pub fn new(most: usize) -> Self {
        Self { most, rows: most, halved: None, rest: 0, owed: Duration::ZERO }
    }

    /// Prompt tokens that the next pass takes beside those of sequences that generate.
    pub fn rows(&self) -> usize {
        if self.owed.is_zero() { self.rows } else { 0 }
    }

    /// Takes note of a pass.
    pub fn learn(&mut self, prefill_tokens: usize, decode_tokens: usize, took: Duration) {
        match (prefill_tokens, decode_tokens) {
            // Whoever waited is gone.
            (_, 0) => self.owed = Duration::ZERO,
            (0, _) => self.owed = self.owed.saturating_sub(took),
            (prefill, _) => {
                self.owed = took;
                self.adapt(prefill, took);
            }
        }
    }

    fn adapt(&mut self, prefill: usize, took: Duration) {
        if took <= PATIENCE {
            if prefill >= self.rows && took < PATIENCE / 4 {
                self.rows = (2 * self.rows).min(self.most);
            }
            self.halved = None;
        } else if self.halved.is_some_and(|longer| took > longer.mul_f64(WORTH)) {
            (self.rows, self.halved, self.rest) = (self.most, None, REST);
        } else if self.rest > 0 {
            self.rest -= 1;
        } else if prefill > LEAST {
            // The end of a prompt may be less than a portion.
            (self.rows, self.halved) = ((prefill.min(self.rows) / 2).max(LEAST), Some(took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The portion that most passes take when a pass of `rows` prompt tokens takes so many seconds.
    fn settled(seconds: impl Fn(usize) -> f64) -> usize {
        let (mut pace, mut portions) = (Pace::new(512), Vec::new());
        for _ in 0..24 {
            let rows = pace.rows();
            pace.learn(rows, 1, Duration::from_secs_f64(seconds(rows)));
            assert_eq!(pace.rows(), 0);
            pace.learn(0, 1, Duration::from_secs_f64(seconds(rows)));
            portions.push(rows);
        }
        *portions
            .iter()
            .max_by_key(|rows| portions[4..].iter().filter(|other| other == rows).count())
            .unwrap()
    }

    #[test]
    fn portions_stay_large_where_halves_take_as_long() {
        // Every expert is read, for whatever number of tokens.
        assert_eq!(settled(|_| 100.0), 512);
        // So it is down to some hundred tokens, with arithmetic besides.
        assert_eq!(settled(|rows| 60.0 * (1.0 - 0.98_f64.powi(rows as i32)) + 0.01 * rows as f64), 512);
    }

    #[test]
    fn portions_become_small_where_every_token_takes_its_time() {
        assert_eq!(settled(|rows| 0.05 * rows as f64), 32);
        assert_eq!(settled(|rows| 10.0 * rows as f64), LEAST);
        assert_eq!(settled(|rows| 0.001 * rows as f64), 512);
    }

    #[test]
    fn those_who_generate_have_as_much_time_as_a_portion_took() {
        let mut pace = Pace::new(512);
        pace.learn(512, 1, Duration::from_secs(2));
        for _ in 0..4 {
            assert_eq!(pace.rows(), 0);
            pace.learn(0, 1, Duration::from_millis(500));
        }
        assert_eq!(pace.rows(), 512);
        pace.learn(512, 1, Duration::from_secs(2));
        pace.learn(100, 0, Duration::from_secs(1));
        assert_eq!(pace.rows(), 512);
    }
}
