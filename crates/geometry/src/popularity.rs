//! How a random router is made to prefer some experts.
//!
//! The rows of a router see a stream of unit size, so logits are normally distributed with a deviation that is the
//! row's length, and an expert is chosen when its logit is above a threshold. A longer row is therefore chosen more
//! often, in every kind of router, with a bias or without.

/// No expert is chosen by more tokens than this: further up, rows become so long that sigmoids saturate and tie.
const MOST: f64 = 0.3;

/// Lengths of the rows of a router of `experts` experts of which a token uses `top_k`, so that the expert of rank r is
/// used in proportion to `1 / (r + 1)^skew`. All are 1 when `skew` is 0.
pub(crate) fn row_lengths(experts: usize, top_k: usize, skew: f64) -> Vec<f32> {
    let uniform = (top_k as f64 / experts as f64).min(MOST);
    let shares = shares(experts, top_k, skew);
    shares.into_iter().map(|share| (quantile(uniform) / quantile(share)) as f32).collect()
}

/// The share of tokens that use each expert; they sum to `top_k`, as far as [`MOST`] lets them.
fn shares(experts: usize, top_k: usize, skew: f64) -> Vec<f64> {
    let share = |rank: usize, most_used: f64| (most_used / (1.0 + rank as f64).powf(skew)).min(MOST);
    let (mut low, mut high) = (0.0, MOST * (experts as f64).powf(skew));
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        let sum: f64 = (0..experts).map(|rank| share(rank, middle)).sum();
        if sum < top_k as f64 { low = middle } else { high = middle }
    }
    (0..experts).map(|rank| share(rank, high)).collect()
}

/// How many deviations above the mean a normal number is with probability `share`, at most a half (Abramowitz and
/// Stegun 26.2.23, within 5e-4).
fn quantile(share: f64) -> f64 {
    let t = (-2.0 * share.ln()).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    let below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn without_skew_all_rows_are_alike() {
        assert!(row_lengths(384, 8, 0.0).iter().all(|length| (length - 1.0).abs() < 1e-3));
    }

    #[test]
    fn longer_rows_are_chosen_as_often_as_asked() {
        let (experts, top_k, skew, tokens) = (128, 8, 1.0, 4000);
        let lengths = row_lengths(experts, top_k, skew);
        let mut random = Random::new(1);
        let mut counts = vec![0usize; experts];
        for _ in 0..tokens {
            let mut logits: Vec<(f32, usize)> = (0..experts)
                .map(|e| ((0..12).map(|_| random.unit()).sum::<f32>() - 6.0, e))
                .map(|(normal, e)| (normal * lengths[e], e))
                .collect();
            logits.sort_by(|a, b| b.0.total_cmp(&a.0));
            logits[..top_k].iter().for_each(|(_, e)| counts[*e] += 1);
        }
        for (rank, wanted) in shares(experts, top_k, skew).into_iter().enumerate().take(32) {
            let found = counts[rank] as f64 / tokens as f64;
            assert!((found / wanted - 1.0).abs() < 0.4, "rank {rank}: {found} of {wanted}");
        }
    }
}
