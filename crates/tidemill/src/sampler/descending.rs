//! The likeliest tokens first, found as they are asked for.
//!
//! A draw seldom looks at more than some tens of a vocabulary of 150,000, so no more are sorted: ever larger stretches of
//! what is left are selected and sorted, in the order that sorting all of them would give.

use std::cmp::Ordering;

use base::TokenId;

/// A token and its logit.
pub(super) type Candidate = (TokenId, f32);

/// Candidates sorted as far as they were asked for, the likeliest first; the lower id first of equal ones.
pub(super) struct Descending {
    all: Vec<Candidate>,
    sorted: usize,
}

/// How many are sorted at first.
const FIRST: usize = 64;

impl Descending {
    /// The tokens of `[vocab]` logits that are possible at all, or only the `top_k` likeliest; 0 for all.
    pub fn new(logits: &[f32], top_k: usize) -> Self {
        let possible = |(_, logit): &Candidate| *logit > f32::NEG_INFINITY;
        let mut all: Vec<Candidate> = (0..).zip(logits.iter().copied()).filter(possible).collect();
        if top_k > 0 && top_k < all.len() {
            all.select_nth_unstable_by(top_k - 1, likelier);
            all.truncate(top_k);
            all.sort_unstable_by_key(|(token, _)| *token);
        }
        Self { all, sorted: 0 }
    }

    /// All of them, in the order of their ids as long as none was asked for.
    pub fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// The one of this rank.
    pub fn at(&mut self, rank: usize) -> Option<Candidate> {
        while rank >= self.sorted && self.sorted < self.all.len() {
            let left = &mut self.all[self.sorted..];
            let more = left.len().min(FIRST.max(3 * self.sorted));
            if more < left.len() {
                left.select_nth_unstable_by(more - 1, likelier);
            }
            left[..more].sort_unstable_by(likelier);
            self.sorted += more;
        }
        self.all.get(rank).copied()
    }
}

fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_sorting_all_of_them() {
        // Many are equal, some are impossible.
        let number = |at: u32| at.wrapping_mul(2_654_435_761) >> 22;
        let logits: Vec<f32> = (0..5000)
            .map(|at| if at % 7 == 3 { f32::NEG_INFINITY } else { number(at) as f32 / 64.0 - 8.0 })
            .collect();
        let mut sorted: Vec<Candidate> =
            (0..).zip(logits.iter().copied()).filter(|(_, logit)| logit.is_finite()).collect();
        sorted.sort_by(likelier);
        for (top_k, kept) in [(0, sorted.len()), (1, 1), (100, 100), (9999, sorted.len())] {
            let mut order = Descending::new(&logits, top_k);
            assert!(order.all().is_sorted_by_key(|(token, _)| *token));
            let found: Vec<Candidate> = (0..).map_while(|rank| order.at(rank)).collect();
            assert_eq!(found, sorted[..kept], "top_k {top_k}");
        }
    }
}
