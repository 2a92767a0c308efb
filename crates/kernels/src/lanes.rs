//! The canonical order of every f32 sum, which makes the bits independent of the instruction set.
//!
//! Element i is added, fused, to lane i mod 32; then the lanes are folded in halves, 32 to 16 to 8 to 4 to 2 to 1.
//! 32 lanes are two AVX-512 or four AVX2 registers: enough independent additions to hide most of their latency.

/// Lanes of a sum.
pub(crate) const LANES: usize = 32;

/// The dot product of `row` with each of `T` rows of the same length, each in the canonical order.
#[inline(always)]
pub(crate) fn dots<const T: usize>(row: &[f32], others: [&[f32]; T]) -> [f32; T] {
    let others = others.map(|other| &other[..row.len()]);
    let mut lanes = [[0.0; LANES]; T];

    let (whole, tail) = row.as_chunks::<LANES>();
    for (i, a) in whole.iter().enumerate() {
        for (lanes, other) in lanes.iter_mut().zip(&others) {
            let b = &other[i * LANES..][..LANES];
            for l in 0..LANES {
                lanes[l] = a[l].mul_add(b[l], lanes[l]);
            }
        }
    }
    for (lanes, other) in lanes.iter_mut().zip(&others) {
        let b = &other[row.len() - tail.len()..];
        for (lane, (a, b)) in lanes.iter_mut().zip(tail.iter().zip(b)) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    lanes.map(fold)
}

/// The sum of `values` in the canonical order.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for values in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane += value;
        }
    }
    fold(lanes)
}

/// Adds the upper half of the lanes to the lower, until one is left.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}
