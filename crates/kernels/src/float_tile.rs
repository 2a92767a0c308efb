//! Products in f32 of rows with many tokens, in the canonical order of `lanes.rs`.
//!
//! The 32 lanes of each sum stay in memory while a part of the columns is worked on, so that rows and tokens of that
//! part stay in the first-level cache. Sixteen lanes at a time, of several rows and several tokens, are in registers.

use crate::lanes::{LANES, fold};
use crate::sixteen::{SIXTEEN, Sixteen};

/// Columns of a part. Rows and tokens are this far apart, however many columns of a part there are.
pub(crate) const PART: usize = 512;

/// Tokens that stay in the first-level cache, 24 KiB of them, while all rows pass.
const NEAR: usize = 12;

/// The lanes of one sum.
pub(crate) type Sum = [f32; LANES];

/// Part of the columns of some rows, or of some tokens.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    /// [rows, [`PART`]].
    pub values: &'a [f32],
    /// How many columns of each are meant.
    pub columns: usize,
}

impl Part<'_> {
    fn rows(&self) -> usize {
        self.values.len() / PART
    }
}

/// Adds to `sums`, [rows, tokens], the products of this part of the columns. Those that are not 32 together must be the
/// last ones of their rows.
///
/// # Panics
/// When the lengths do not agree.
#[inline(always)]
pub(crate) fn add_products<V: Sixteen, const TALL: usize, const WIDE: usize>(
    rows: Part<'_>,
    tokens: Part<'_>,
    sums: &mut [Sum],
) {
    let (count, wide) = (rows.rows(), tokens.rows());
    assert!(rows.columns == tokens.columns && rows.columns <= PART, "the same columns of a part");
    assert_eq!(sums.len(), count * wide, "sums are [rows, tokens]");
    let whole = rows.columns / LANES * LANES;
    for near in (0..wide).step_by(NEAR) {
        let end = wide.min(near + NEAR);
        let mut row = 0;
        while row < count {
            let tall = if count - row >= TALL { TALL } else { 1 };
            let mut token = near;
            while token < end {
                let at = Place {
                    rows: rows.values[row * PART..].as_ptr(),
                    tokens: tokens.values[token * PART..].as_ptr(),
                    sums: sums[row * wide + token..].as_mut_ptr(),
                    stride: wide,
                    columns: whole,
                };
                let left = end - token;
                let width = if left >= WIDE { WIDE } else { left.min(2) };
                // SAFETY: `tall` rows and `width` tokens of `PART` columns each begin here, and their sums.
                unsafe {
                    match (tall == TALL, width) {
                        (true, 1) => tile::<V, TALL, 1>(at),
                        (true, 2) => tile::<V, TALL, 2>(at),
                        (true, _) => tile::<V, TALL, WIDE>(at),
                        (false, 1) => tile::<V, 1, 1>(at),
                        (false, 2) => tile::<V, 1, 2>(at),
                        (false, _) => tile::<V, 1, WIDE>(at),
                    }
                }
                token += width;
            }
            row += tall;
        }
    }
    if whole < rows.columns {
        add_rest(rows, tokens, whole, sums);
    }
}

/// Where a tile begins.
#[derive(Clone, Copy)]
struct Place {
    rows: *const f32,
    tokens: *const f32,
    sums: *mut Sum,
    /// Sums from one row to the next.
    stride: usize,
    columns: usize,
}

/// `R` rows times `T` tokens.
///
/// # Safety
/// So many begin at this place, of [`PART`] columns, and their sums.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Rows and tokens are counted, whatever is indexed with them.
unsafe fn tile<V: Sixteen, const R: usize, const T: usize>(at: Place) {
    for half in [0, SIXTEEN] {
        // SAFETY: the caller's promise; `half` and the fifteen behind it are lanes of a sum, and columns of a part.
        unsafe {
            let sum = |r: usize, t: usize| at.sums.add(r * at.stride + t).cast::<f32>().add(half);
            let mut sums = [[V::splat(0.0); T]; R];
            for r in 0..R {
                for t in 0..T {
                    sums[r][t] = V::load(sum(r, t));
                }
            }
            for column in (half..at.columns).step_by(LANES) {
                let mut tokens = [V::splat(0.0); T];
                for t in 0..T {
                    tokens[t] = V::load(at.tokens.add(t * PART + column));
                }
                for r in 0..R {
                    let row = V::load(at.rows.add(r * PART + column));
                    for t in 0..T {
                        sums[r][t] = sums[r][t].add_product(row, tokens[t]);
                    }
                }
            }
            for r in 0..R {
                for t in 0..T {
                    sums[r][t].store(sum(r, t));
                }
            }
        }
    }
}

/// The columns from `first` on, fewer than there are lanes.
#[inline(always)]
fn add_rest(rows: Part<'_>, tokens: Part<'_>, first: usize, sums: &mut [Sum]) {
    let rest = first..rows.columns;
    let wide = tokens.rows();
    for (row, sums) in rows.values.chunks_exact(PART).zip(sums.chunks_exact_mut(wide)) {
        for (token, sum) in tokens.values.chunks_exact(PART).zip(sums) {
            for (lane, (a, b)) in sum.iter_mut().zip(row[rest.clone()].iter().zip(&token[rest.clone()])) {
                *lane = a.mul_add(*b, *lane);
            }
        }
    }
}

/// Each sum of 32 lanes as one number.
#[inline(always)]
pub(crate) fn folded(sums: &[Sum], out: &mut [f32]) {
    for (sum, out) in sums.iter().zip(out) {
        *out = fold(*sum, |a, b| a + b);
    }
}
