//! What attention is made of: products of small matrices side by side, the online softmax of a tile, and cached rows
//! widened to f32.
//!
//! A tile of keys meets the queries of many heads at once, a lane a query: each load of a key serves all of them, and
//! each sum runs in its own lane, so neither the width of a register nor who shares a tile changes a bit.

use crate::exp::exp;
use crate::sixteen::{SIXTEEN, Sixteen};

/// The left side of a product: factor (i, k) is `values[i * row + k * step]`.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    /// Where they lie.
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub row: usize,
    /// Floats from one factor of a row to the next.
    pub step: usize,
}

/// The size of a product `[rows, depth]` by `[depth, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows of the left side and of the sums.
    pub rows: usize,
    /// Products of a sum.
    pub depth: usize,
    /// Columns of the right side and of the sums; a multiple of 16.
    pub cols: usize,
}

/// Rows of the right side that are worked on together: 128 of 64 floats are 32 KiB, of the first-level cache's 48.
const DEPTH: usize = 128;

/// Panics unless every place that [`accumulate`] touches lies inside its slice.
pub(crate) fn check(a: Factors<'_>, b: (&[f32], usize), c: (&[f32], usize), size: Size) {
    let Size { rows, depth, cols } = size;
    let last = |rows: usize, stride: usize, cols: usize| (rows - 1) * stride + cols;
    assert!(cols.is_multiple_of(SIXTEEN) && b.1 >= cols && c.1 >= cols, "whole panels: {size:?}");
    if rows > 0 && depth > 0 && cols > 0 {
        let fits = a.values.len() > (rows - 1) * a.row + (depth - 1) * a.step
            && b.0.len() >= last(depth, b.1, cols)
            && c.0.len() >= last(rows, c.1, cols);
        assert!(fits, "a product of {size:?} lies inside its operands");
    }
}

/// `c[i, j] += Σ a[i, k]·b[k, j]`, k ascending, each product fused; `b` and `c` come with floats from row to row.
///
/// # Safety
/// [`check`] passed.
#[inline(always)]
pub(crate) unsafe fn accumulate<V: Sixteen>(
    a: Factors<'_>,
    (b, b_stride): (&[f32], usize),
    (c, c_stride): (&mut [f32], usize),
    size: Size,
) {
    let Size { rows, depth, cols } = size;
    let (a_row, a_step) = (a.row, a.step);
    let (a, b, c) = (a.values.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let mut first = 0;
    while first < depth {
        let count = DEPTH.min(depth - first);
        let mut col = 0;
        while col < cols {
            // SAFETY: `first < depth` and `col < cols`, so these places lie inside what `check` found to be there, and
            // so do the `count` rows of `b` and the panel's columns that `panel` goes on to.
            unsafe {
                let operands = Operands {
                    a: a.add(first * a_step),
                    a_row,
                    a_step,
                    b: b.add(first * b_stride + col),
                    b_stride,
                    c: c.add(col),
                    c_stride,
                };
                let left = cols - col;
                if V::MANY && left >= 4 * SIXTEEN {
                    panel::<V, 6, 4>(operands, rows, count);
                    col += 4 * SIXTEEN;
                } else if V::MANY && left >= 2 * SIXTEEN {
                    panel::<V, 8, 2>(operands, rows, count);
                    col += 2 * SIXTEEN;
                } else if V::MANY {
                    panel::<V, 12, 1>(operands, rows, count);
                    col += SIXTEEN;
                } else {
                    panel::<V, 6, 1>(operands, rows, count);
                    col += SIXTEEN;
                }
            }
        }
        first += count;
    }
}

/// Where the operands of a panel begin.
#[derive(Clone, Copy)]
struct Operands {
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
}

/// All rows of `W` times sixteen columns, `R` rows at a time.
///
/// # Safety
/// As for [`accumulate`], of this panel.
#[inline(always)]
unsafe fn panel<V: Sixteen, const R: usize, const W: usize>(operands: Operands, rows: usize, depth: usize) {
    let at = |row: usize| {
        // SAFETY: `row < rows`.
        unsafe {
            Operands {
                a: operands.a.add(row * operands.a_row),
                c: operands.c.add(row * operands.c_stride),
                ..operands
            }
        }
    };
    let mut row = 0;
    // SAFETY: as many rows as each block takes are left.
    unsafe {
        while row + R <= rows {
            block::<V, R, W>(at(row), depth);
            row += R;
        }
        while row + 4 <= rows {
            block::<V, 4, W>(at(row), depth);
            row += 4;
        }
        while row < rows {
            block::<V, 1, W>(at(row), depth);
            row += 1;
        }
    }
}

/// `R` rows by `W` times sixteen columns of sums, in registers from the first product to the last.
///
/// # Safety
/// As for [`accumulate`], of this block.
#[inline(always)]
unsafe fn block<V: Sixteen, const R: usize, const W: usize>(operands: Operands, depth: usize) {
    let Operands { a, a_row, a_step, b, b_stride, c, c_stride } = operands;
    let mut sums = [[V::splat(0.0); W]; R];
    // SAFETY: the places are those the caller vouches for: rows below `R`, columns below `W * 16`, products below
    // `depth`.
    unsafe {
        for (r, sums) in sums.iter_mut().enumerate() {
            for (w, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(c.add(r * c_stride + w * SIXTEEN));
            }
        }
        for k in 0..depth {
            let mut right = [V::splat(0.0); W];
            for (w, right) in right.iter_mut().enumerate() {
                *right = V::load(b.add(k * b_stride + w * SIXTEEN));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = V::splat(*a.add(r * a_row + k * a_step));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = sum.add_product(left, right);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (w, sum) in sums.iter().enumerate() {
                sum.store(c.add(r * c_stride + w * SIXTEEN));
            }
        }
    }
}

/// One step of the softmax that goes tile by tile. `scores` is [keys, lanes] and becomes e^(score − most); `most` and
/// `total` go on from the tiles before; `fade` is what sums over those tiles must be multiplied by.
///
/// A lane that has seen nothing yet has `most` −∞ and `total` 0, and keeps both while its scores are −∞.
#[inline(always)]
pub(crate) fn soften(scores: &mut [f32], most: &mut [f32], total: &mut [f32], fade: &mut [f32]) {
    let lanes = most.len();
    for first in (0..lanes).step_by(SIXTEEN) {
        let of = |values: &mut [f32]| -> [f32; SIXTEEN] { std::array::from_fn(|l| values[first + l]) };
        let before = of(most);
        let mut highest = before;
        for row in scores.chunks_exact(lanes) {
            let row: &[f32; SIXTEEN] = &row[first..].as_chunks().0[0];
            for l in 0..SIXTEEN {
                highest[l] = if row[l] > highest[l] { row[l] } else { highest[l] };
            }
        }
        let base = highest.map(|most| if most == f32::NEG_INFINITY { 0.0 } else { most });
        let mut sums = [0.0; SIXTEEN];
        for row in scores.chunks_exact_mut(lanes) {
            let row: &mut [f32; SIXTEEN] = &mut row[first..].as_chunks_mut().0[0];
            for l in 0..SIXTEEN {
                row[l] = exp(row[l] - base[l]);
                sums[l] += row[l];
            }
        }
        for l in 0..SIXTEEN {
            let fading = exp(before[l] - base[l]);
            fade[first + l] = fading;
            total[first + l] = total[first + l].mul_add(fading, sums[l]);
            most[first + l] = highest[l];
        }
    }
}

/// Halves to floats.
#[inline(always)]
pub(crate) fn widen<V: Sixteen>(halves: &[u16], out: &mut [f32]) {
    let (whole, tail) = halves.as_chunks::<SIXTEEN>();
    let (wide, rest) = out.as_chunks_mut::<SIXTEEN>();
    for (halves, out) in whole.iter().zip(wide) {
        // SAFETY: `halves` and `out` are arrays of sixteen.
        unsafe { V::of_halves(halves.as_ptr()).store(out.as_mut_ptr()) };
    }
    for (half, out) in tail.iter().zip(rest) {
        *out = quant::float::f16_to_f32(*half);
    }
}

/// Codes to floats, all with one scale.
#[inline(always)]
pub(crate) fn scale_codes(codes: &[i8], scale: f32, out: &mut [f32]) {
    for (code, out) in codes.iter().zip(out) {
        *out = f32::from(*code) * scale;
    }
}

/// y = y·fade + x·weight, the second product fused.
#[inline(always)]
pub(crate) fn blend(fade: f32, y: &mut [f32], weight: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = weight.mul_add(*x, *y * fade);
    }
}
