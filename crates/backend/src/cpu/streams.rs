//! Manifold-constrained hyper-connections (arXiv:2512.24880): shares of residual streams, and what they do.

use kernels::Kernels;
use spec::Streams;

/// From what is projected of a token to its shares, as [`crate::Backend::share_streams`] has them; `scale` is of each kind
/// of them.
pub(super) fn share(kernels: &Kernels, x: &mut [f32], (scale, bias): (&[f32], &[f32]), streams: &Streams) {
    let Streams { count, eps, .. } = *streams;
    for (i, (x, bias)) in x.iter_mut().zip(bias).enumerate() {
        *x = *x * scale[(i / count).min(2)] + bias;
    }
    let (seen, rest) = x.split_at_mut(count);
    kernels.sigmoid(seen);
    seen.iter_mut().for_each(|share| *share += eps);
    if rest.is_empty() {
        return;
    }
    let (given, mixed) = rest.split_at_mut(count);
    kernels.sigmoid(given);
    given.iter_mut().for_each(|share| *share *= 2.0);
    for row in mixed.chunks_exact_mut(count) {
        kernels.softmax(row);
        row.iter_mut().for_each(|share| *share += eps);
    }
    for round in 0..streams.rounds {
        if round > 0 {
            balance(mixed, count, eps, |line, i| line * count + i);
        }
        balance(mixed, count, eps, |line, i| i * count + line);
    }
}

/// Divides each line of a square by its sum, so that rows, or columns, add up to 1.
fn balance(square: &mut [f32], count: usize, eps: f32, at: impl Fn(usize, usize) -> usize) {
    for line in 0..count {
        let sum: f32 = (0..count).map(|i| square[at(line, i)]).sum::<f32>() + eps;
        (0..count).for_each(|i| square[at(line, i)] /= sum);
    }
}

/// `stream[to] = given[to] * answer + sum of mixed[from, to] * stream[from]`.
pub(super) fn spread(kernels: &Kernels, x: &mut [f32], answer: &[f32], shares: &[f32], streams: &Streams) {
    let (count, hidden) = (streams.count, answer.len());
    let (given, mixed) = (&shares[count..2 * count], &shares[2 * count..]);
    let before = x.to_vec();
    x.fill(0.0);
    for (to, (stream, given)) in x.chunks_exact_mut(hidden).zip(given).enumerate() {
        kernels.axpy(*given, answer, stream);
        for (from, before) in before.chunks_exact(hidden).enumerate() {
            kernels.axpy(mixed[from * count + to], before, stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_mixed_so_that_none_gains_or_fades() {
        let streams = Streams { count: 3, rounds: 20, eps: 1e-6 };
        let mut x: Vec<f32> = (0..streams.shares()).map(|i| (i as f32 * 1.7).sin() * 2.0).collect();
        let bias = vec![0.1; x.len()];
        share(Kernels::detect(), &mut x, (&[1.0, 0.5, 2.0], &bias), &streams);
        assert!(x[..3].iter().all(|share| *share > 0.0 && *share < 1.1));
        assert!(x[3..6].iter().all(|share| *share > 0.0 && *share < 2.0));
        for line in 0..3 {
            let row: f32 = x[6 + 3 * line..][..3].iter().sum();
            let column: f32 = x[6 + line..].iter().step_by(3).sum();
            assert!((row - 1.0).abs() < 1e-3 && (column - 1.0).abs() < 1e-3, "{row} {column}");
        }
        let mut two = [1.0, 10.0, 2.0, 20.0];
        let swap = [0.0, 0.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0];
        spread(Kernels::detect(), &mut two, &[100.0, 200.0], &swap, &Streams { count: 2, ..streams });
        assert_eq!(two, [102.0, 220.0, 51.0, 110.0]);
    }
}
