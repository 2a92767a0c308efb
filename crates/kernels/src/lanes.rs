//! The canonical order of every f32 sum, which makes the bits independent of the instruction set.
//!
//! Element i is added, fused, to lane i mod 32; then the lanes are folded in halves, 32 to 16 to 8 to 4 to 2 to 1.
//! 32 lanes are two AVX-512 or four AVX2 registers: enough independent additions to hide most of their latency.

/// Lanes of a sum.
pub(crate) const LANES: usize = 32;

/// The 32 lanes of a sum in progress, as an instruction set holds them.
///
/// The compiler vectorises one such sum by itself, but not reliably several at a time: 3 GFLOP/s instead of 50. So
/// this one step is written out for each instruction set; the array is the plain twin.
pub(crate) trait Lanes: Copy {
    /// All lanes 0.
    fn zero() -> Self;

    /// Each lane plus a·b, fused.
    fn add_products(self, a: &[f32; LANES], b: &[f32; LANES]) -> Self;

    /// The lanes in order.
    fn to_array(self) -> [f32; LANES];
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    fn add_products(mut self, a: &[f32; LANES], b: &[f32; LANES]) -> Self {
        for l in 0..LANES {
            self[l] = a[l].mul_add(b[l], self[l]);
        }
        self
    }

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        self
    }
}

/// The dot product of `row` with each of `T` rows of the same length, each in the canonical order.
#[inline(always)]
pub(crate) fn dots<L: Lanes, const T: usize>(row: &[f32], others: [&[f32]; T]) -> [f32; T] {
    let mut lanes = [L::zero(); T];
    for i in 0..row.len() / LANES {
        for t in 0..T {
            lanes[t] = lanes[t].add_products(chunk(row, i), chunk(others[t], i));
        }
    }
    let whole = row.len() / LANES * LANES;
    let mut sums = [0.0; T];
    for t in 0..T {
        let mut lanes = lanes[t].to_array();
        for (lane, (a, b)) in lanes.iter_mut().zip(row[whole..].iter().zip(&others[t][whole..])) {
            *lane = a.mul_add(*b, *lane);
        }
        sums[t] = fold(lanes, |a, b| a + b);
    }
    sums
}

/// The `i`-th 32 values of `values`.
#[inline(always)]
fn chunk(values: &[f32], i: usize) -> &[f32; LANES] {
    &values.as_chunks().0[i]
}

/// The sum of `values` in the canonical order.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    reduce(values, 0.0, |a, b| a + b)
}

/// The largest of `values`, NaNs left out; −∞ when there is none.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    reduce(values, f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// `values` reduced in the canonical order, each lane starting from `first`.
#[inline(always)]
fn reduce(values: &[f32], first: f32, join: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let mut lanes = [first; LANES];
    let (whole, tail) = values.as_chunks::<LANES>();
    for values in whole {
        for l in 0..LANES {
            lanes[l] = join(lanes[l], values[l]);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *lane = join(*lane, *value);
    }
    fold(lanes, join)
}

/// Joins the upper half of the lanes to the lower, until one is left.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = join(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}
