//! How likely the model found a token, beside those it found likelier.
//!
//! Probabilities are those of the model itself, before bias, penalties, constraint, temperature and filters: what was
//! asked of the sampler does not change what the model thinks. So the token that was drawn need not be among the likeliest.

use base::TokenId;

/// Natural logarithms of probabilities for one place of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// Of the token that was drawn.
    pub chosen: f32,
    /// The likeliest tokens, the likeliest first, as many as were asked for; the lower id first of equal ones.
    pub top: Vec<(TokenId, f32)>,
}

impl Logprobs {
    /// For the token `chosen` out of `[vocab]` logits, with the `count` likeliest.
    pub fn new(logits: &[f32], chosen: TokenId, count: usize) -> Self {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - best).exp()).filter(|p| !p.is_nan()).sum();
        let logprob = |logit: f32| (f64::from(logit - best) - sum.ln()) as f32;

        let likelier = |a: &(TokenId, f32), b: &(TokenId, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let mut top: Vec<(TokenId, f32)> =
            (0..).zip(logits.iter().copied()).filter(|(_, logit)| !logit.is_nan()).collect();
        if count < top.len() {
            top.select_nth_unstable_by(count, likelier);
            top.truncate(count);
        }
        top.sort_unstable_by(likelier);
        top.iter_mut().for_each(|(_, value)| *value = logprob(*value));
        let chosen = logits.get(chosen as usize).copied().map_or(f32::NEG_INFINITY, logprob);
        Self { chosen, top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_of_probabilities_and_the_likeliest_come_first() {
        let logits = [0.2f32.ln() + 3.0, 0.5f32.ln() + 3.0, 0.1f32.ln() + 3.0, 0.2f32.ln() + 3.0];
        let found = Logprobs::new(&logits, 2, 3);
        assert_eq!(found.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 0, 3]);
        for (found, expected) in [(found.chosen, 0.1f32), (found.top[0].1, 0.5), (found.top[2].1, 0.2)] {
            assert!((found - expected.ln()).abs() < 1e-6, "{found} is not ln {expected}");
        }
    }

    #[test]
    fn as_many_as_there_are_and_none_when_none_are_asked_for() {
        assert_eq!(Logprobs::new(&[1.0, 2.0], 0, 20).top.len(), 2);
        assert_eq!(Logprobs::new(&[1.0, 2.0], 0, 0).top, []);
        let odd = Logprobs::new(&[f32::NAN, 0.0, f32::NEG_INFINITY], 1, 3);
        assert_eq!((odd.chosen, odd.top), (0.0, vec![(1, 0.0), (2, f32::NEG_INFINITY)]));
    }
}
