//! Rows with a few tokens: four rows at a time, so that tokens are read once for four of them.
//!
//! Codes are turned: register `i` holds the i-th four columns of every sixteen. Four products, each added to the one
//! before, are then the sums of all sixteens, a lane each, without a shuffle for each token. Even sixteens come first; with
//! groups of 32 columns the even ones of two rows make a register, and the odd ones, so that their sums are those of groups.

use std::arch::x86_64::*;
use std::ops::Range;

use quant::{Matrix, Quant, Row};

use super::dot::{Cut, dot_one, fold_eight, fold_sixteen};
use super::unpack::{AHEAD, Unpack, Unpacked, prefetch, spelled};
use crate::activations::ActivationStrip;
use crate::tiles::{FOUR, SEVERAL};

/// Of four rows: with groups of 16 columns a register each, with groups of 32 one for two rows.
type Lanes = [__m512; FOUR];

/// The products of rows with a few tokens, `x` [tokens, strips], as `out`, [rows, tokens]. Of more than one token the
/// strips are [turned](crate::activations::turn).
///
/// # Safety
/// As [`Unpack::strip`], of every strip of the rows.
#[inline(always)]
pub(super) unsafe fn few<U: Unpack>(
    matrix: Matrix<'_>,
    rows: Range<usize>,
    x: &[ActivationStrip],
    out: &mut [f32],
) {
    let (quant, tokens) = (matrix.quant(), out.len() / rows.len());
    let cut = Cut::new(quant, matrix.row(rows.start), x.len() / tokens);
    // SAFETY: the caller's promise.
    unsafe {
        if tokens == 1 {
            for (row, out) in rows.zip(out) {
                *out = dot_one::<U>(quant, matrix.row(row), cut, x);
            }
            return;
        }
        let (last, mut lanes) = (rows.end - 1, [_mm512_setzero_ps(); FOUR * SEVERAL]);
        let lanes = &mut lanes[..registers::<U>() * tokens];
        for (row, out) in rows.step_by(FOUR).zip(out.chunks_mut(FOUR * tokens)) {
            // Of fewer than four rows the last is taken again, and its answers are not.
            let four = [row, row + 1, row + 2, row + 3].map(|row| matrix.row(row.min(last)));
            dot_four::<U>(quant, four, cut, x, lanes, out);
        }
    }
}

/// The products of four rows with some tokens, as [rows, tokens], of as many rows as `out` has. `lanes` are room for so many
/// [`registers`] of each token.
///
/// # Safety
/// As [`few`].
#[inline(always)]
unsafe fn dot_four<U: Unpack>(
    quant: Quant,
    rows: [Row<'_>; FOUR],
    Cut { all: strips, whole, bytes }: Cut,
    x: &[ActivationStrip],
    lanes: &mut [__m512],
    out: &mut [f32],
) {
    let (tokens, len) = (lanes.len() / registers::<U>(), rows[0].values.len());
    assert!(x.len() == strips * tokens);
    // SAFETY: the caller's promise.
    unsafe {
        lanes.fill(_mm512_setzero_ps());
        for index in 0..whole {
            // What comes after the end of a row is four rows on.
            let ahead = index * bytes + AHEAD.min(len);
            let ahead = if ahead < len { ahead } else { ahead + (FOUR - 1) * len };
            for row in &rows {
                prefetch(row.values.as_ptr().wrapping_add(ahead), bytes);
            }
            // Spelled out: a closure would be compiled without the instruction set.
            Four::new::<U>([
                U::strip(quant, rows[0], index),
                U::strip(quant, rows[1], index),
                U::strip(quant, rows[2], index),
                U::strip(quant, rows[3], index),
            ])
            .add_products::<U>(&x[index..], strips, lanes);
        }
        for index in whole..strips {
            Four::new::<U>(rows.map(|row| spelled::<U>(quant, row, index))).add_products::<U>(
                &x[index..],
                strips,
                lanes,
            );
        }
        for (row, out) in out.chunks_exact_mut(tokens).enumerate() {
            for (out, lanes) in out.iter_mut().zip(lanes.chunks_exact(registers::<U>())) {
                *out = match (U::SIXTEEN, row % 2) {
                    (true, _) => fold_sixteen(_mm512_permutexvar_ps(natural(), lanes[row])),
                    (false, 0) => fold_eight(_mm512_castps512_ps256(lanes[row / 2])),
                    (false, _) => fold_eight(_mm512_extractf32x8_ps::<1>(lanes[row / 2])),
                };
            }
        }
    }
}

/// A strip of each of four rows.
struct Four {
    /// Turned: of a row; with groups of 32 of two rows, which take a half each, first their even sixteens, then the odd
    /// ones.
    codes: [[__m512i; 4]; FOUR],
    /// As [`Lanes`] are.
    scales: Lanes,
    /// As [`Lanes`] are.
    minima: Lanes,
}

impl Four {
    #[inline(always)]
    unsafe fn new<U: Unpack>(strips: [Unpacked; FOUR]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = _mm512_setzero_ps();
            let mut four = Self {
                codes: [[_mm512_setzero_si512(); 4]; FOUR],
                scales: [zero; FOUR],
                minima: [zero; FOUR],
            };
            for (codes, strip) in four.codes.iter_mut().zip(&strips) {
                *codes = quads(strip.codes);
            }
            if !U::SIXTEEN {
                let [a, b, c, d] = four.codes;
                let ((a, b), (c, d)) = (pair(a, b), pair(c, d));
                four.codes = [a, b, c, d];
            }
            for i in 0..registers::<U>() {
                if U::SIXTEEN {
                    four.scales[i] = _mm512_permutexvar_ps(even_first(), strips[i].scales);
                    four.minima[i] = _mm512_permutexvar_ps(even_first(), strips[i].minima);
                } else {
                    four.scales[i] = halves(strips[2 * i].scales, strips[2 * i + 1].scales);
                    four.minima[i] = halves(strips[2 * i].minima, strips[2 * i + 1].minima);
                }
            }
            four
        }
    }

    /// Adds the products with a strip of each token, so many apart, to its lanes.
    #[inline(always)]
    unsafe fn add_products<U: Unpack>(&self, x: &[ActivationStrip], apart: usize, lanes: &mut [__m512]) {
        let count = registers::<U>();
        let tokens = lanes.len() / count;
        assert!(tokens > 0 && x.len() > (tokens - 1) * apart);
        // SAFETY: the caller's promise; the pointers stay within the slices by the line above.
        unsafe {
            let (mut x, mut lanes) = (x.as_ptr(), lanes.as_mut_ptr());
            for _ in 0..tokens {
                self.add_scaled::<U>(self.dots::<U>(&*x), &*x, lanes);
                (x, lanes) = (x.wrapping_add(apart), lanes.add(count));
            }
        }
    }

    /// Adds sums of products to the lanes of a token.
    #[inline(always)]
    unsafe fn add_scaled<U: Unpack>(&self, dots: [__m512i; FOUR], x: &ActivationStrip, lanes: *mut __m512) {
        // SAFETY: the caller's promise.
        unsafe {
            for (i, dots) in dots.into_iter().enumerate().take(registers::<U>()) {
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), self.scales[i]);
                let mut sum = _mm512_fmadd_ps(scaled, scales::<U>(x), *lanes.add(i));
                if U::MINIMA {
                    sum = _mm512_fnmadd_ps(self.minima[i], totals::<U>(x), sum);
                }
                *lanes.add(i) = sum;
            }
        }
    }

    /// The sums of the products of each group's codes.
    #[inline(always)]
    unsafe fn dots<U: Unpack>(&self, x: &ActivationStrip) -> [__m512i; FOUR] {
        // SAFETY: the caller's promise; the loads read whole arrays.
        unsafe {
            let zero = _mm512_setzero_si512();
            if U::SIXTEEN {
                let mut dots = [start::<U>(_mm512_load_si512(x.sums16.as_ptr().cast())); FOUR];
                for i in 0..4 {
                    let x = _mm512_load_si512(x.codes.as_ptr().add(64 * i).cast());
                    for (dots, codes) in dots.iter_mut().zip(&self.codes) {
                        *dots = _mm512_dpbusd_epi32(*dots, codes[i], x);
                    }
                }
                return dots;
            }
            let sums = start::<U>(_mm512_broadcast_i64x4(_mm256_load_si256(x.sums32.as_ptr().cast())));
            let mut dots = [sums, zero, sums, zero];
            for i in 0..4 {
                for half in 0..2 {
                    let x = _mm256_load_si256(x.codes.as_ptr().add(64 * i + 32 * half).cast());
                    let x = _mm512_broadcast_i64x4(x);
                    for at in [half, 2 + half] {
                        dots[at] = _mm512_dpbusd_epi32(dots[at], self.codes[at][i], x);
                    }
                }
            }
            [_mm512_add_epi32(dots[0], dots[1]), _mm512_add_epi32(dots[2], dots[3]), zero, zero]
        }
    }
}

/// What takes the offset of a format's codes off again: it times the sums of activations, which are negative.
#[inline(always)]
unsafe fn start<U: Unpack>(sums: __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        match U::OFFSET {
            Some(log2) => _mm512_sllv_epi32(sums, _mm512_set1_epi32(log2 as i32)),
            None => _mm512_setzero_si512(),
        }
    }
}

/// Registers that [`Lanes`] use.
#[inline(always)]
const fn registers<U: Unpack>() -> usize {
    if U::SIXTEEN { FOUR } else { FOUR / 2 }
}

/// The scales of a strip, as [`Lanes`] are.
#[inline(always)]
unsafe fn scales<U: Unpack>(x: &ActivationStrip) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        match U::SIXTEEN {
            true => _mm512_load_ps(x.scales16.as_ptr()),
            false => _mm512_broadcast_f32x8(_mm256_load_ps(x.scales32.as_ptr())),
        }
    }
}

/// The totals of a strip, as [`Lanes`] are.
#[inline(always)]
unsafe fn totals<U: Unpack>(x: &ActivationStrip) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        match U::SIXTEEN {
            true => _mm512_load_ps(x.totals16.as_ptr()),
            false => _mm512_broadcast_f32x8(_mm256_load_ps(x.totals32.as_ptr())),
        }
    }
}

/// Codes turned.
#[inline(always)]
unsafe fn quads([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        // Of two registers, which are eight sixteens, the first two quads or the last two: a quarter each of even and odd.
        let first = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 4, 12, 20, 28, 5, 13, 21, 29);
        let last = _mm512_setr_epi32(2, 10, 18, 26, 3, 11, 19, 27, 6, 14, 22, 30, 7, 15, 23, 31);
        let first = (_mm512_permutex2var_epi32(a, first, b), _mm512_permutex2var_epi32(c, first, d));
        let last = (_mm512_permutex2var_epi32(a, last, b), _mm512_permutex2var_epi32(c, last, d));
        let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        [
            _mm512_permutex2var_epi64(first.0, low, first.1),
            _mm512_permutex2var_epi64(first.0, high, first.1),
            _mm512_permutex2var_epi64(last.0, low, last.1),
            _mm512_permutex2var_epi64(last.0, high, last.1),
        ]
    }
}

/// The codes of two rows, turned, side by side: of even sixteens, then of odd ones.
#[inline(always)]
unsafe fn pair(a: [__m512i; 4], b: [__m512i; 4]) -> ([__m512i; 4], [__m512i; 4]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut pair = (a, b);
        for i in 0..4 {
            pair.0[i] = _mm512_inserti64x4::<1>(a[i], _mm512_castsi512_si256(b[i]));
            pair.1[i] = _mm512_shuffle_i64x2::<0xee>(a[i], b[i]);
        }
        pair
    }
}

/// The first halves of two registers.
#[inline(always)]
unsafe fn halves(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_insertf32x8::<1>(a, _mm512_castps512_ps256(b)) }
}

/// Which sixteen is in a lane.
#[inline(always)]
unsafe fn even_first() -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15) }
}

/// In which lane a sixteen is.
#[inline(always)]
unsafe fn natural() -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15) }
}
