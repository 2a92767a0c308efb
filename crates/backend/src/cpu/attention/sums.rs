//! What a block of queries has summed up so far, and how sums of several ranges become one.

use kernels::Kernels;

use super::padded;

/// Width of the sums of one block.
#[derive(Clone, Copy)]
pub(super) struct Width {
    /// Lanes of the block, a multiple of 16.
    pub(super) lanes: usize,
    /// Width of a value, without padding.
    pub(super) value: usize,
}

impl Width {
    /// Floats of [`Sums`].
    pub(super) fn floats(self) -> usize {
        self.lanes * (2 + padded(self.value))
    }
}

/// The sums of one block over some of the context.
pub(super) struct Sums<'a> {
    /// The highest score of each lane; −∞ when it has seen nothing.
    pub(super) most: &'a mut [f32],
    /// The sum of e^(score − most) of each lane.
    pub(super) total: &'a mut [f32],
    /// The sum of e^(score − most) times values, `[lanes, padded(value)]`.
    pub(super) mixed: &'a mut [f32],
}

impl<'a> Sums<'a> {
    /// The sums that lie in these floats.
    pub(super) fn of(floats: &'a mut [f32], width: Width) -> Self {
        let (most, rest) = floats.split_at_mut(width.lanes);
        let (total, rest) = rest.split_at_mut(width.lanes);
        Self { most, total, mixed: &mut rest[..width.lanes * padded(width.value)] }
    }

    /// As if nothing had been seen.
    pub(super) fn clear(&mut self) {
        self.most.fill(f32::NEG_INFINITY);
        self.total.fill(0.0);
        self.mixed.fill(0.0);
    }

    /// Takes the sums of the range that follows in.
    pub(super) fn merge(&mut self, kernels: &Kernels, next: &Sums<'_>) {
        let lanes = self.most.len();
        let mut factors = vec![0.0; 2 * lanes];
        let (fade, weight) = factors.split_at_mut(lanes);
        join(kernels, (self.most, self.total), (next.most, next.total), (fade, weight));
        let width = self.mixed.len() / lanes;
        let rows = self.mixed.chunks_exact_mut(width).zip(next.mixed.chunks_exact(width));
        for ((mixed, next), (fade, weight)) in rows.zip(fade.iter().zip(weight.iter())) {
            kernels.blend(*fade, mixed, *weight, next);
        }
    }
}

/// Takes what the next range found into `most` and `total`; what the sums before it and its own must be multiplied by
/// goes to `fade` and `weight`.
pub(super) fn join(
    kernels: &Kernels,
    (most, total): (&mut [f32], &mut [f32]),
    (next_most, next_total): (&[f32], &[f32]),
    (fade, weight): (&mut [f32], &mut [f32]),
) {
    // The next range is one more key, whose score is its highest.
    let mut count = vec![0.0; most.len()];
    weight.copy_from_slice(next_most);
    kernels.soften(weight, most, &mut count, fade);
    for l in 0..total.len() {
        total[l] = total[l] * fade[l] + next_total[l] * weight[l];
    }
}
