//! Rows with one token: each weight byte is read once, and no weight is written.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{AHEAD, Unpack, Unpacked, prefetch, spelled, whole_strips};
use crate::activations::ActivationStrip;

/// How a row is cut into strips.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Strips.
    pub all: usize,
    /// Those of 256 columns.
    pub whole: usize,
    /// Bytes of each.
    pub bytes: usize,
}

impl Cut {
    #[inline(always)]
    pub fn new(quant: Quant, row: Row<'_>, strips: usize) -> Self {
        Self { all: strips, whole: whole_strips(quant, row), bytes: row.values.len() / strips.max(1) }
    }
}

/// The product of a row with one token.
///
/// # Safety
/// As [`Unpack::strip`], of every strip of the row.
#[inline(always)]
pub(super) unsafe fn dot<U: Unpack>(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { dot_one::<U>(quant, row, Cut::new(quant, row, x.len()), x) }
}

/// As [`dot`].
///
/// # Safety
/// As [`dot`].
#[inline(always)]
pub(super) unsafe fn dot_one<U: Unpack>(quant: Quant, row: Row<'_>, cut: Cut, x: &[ActivationStrip]) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = _mm512_setzero_ps();
        for (index, x) in x.iter().enumerate().take(cut.whole) {
            prefetch(row.values.as_ptr().wrapping_add(index * cut.bytes + AHEAD), cut.bytes);
            sum = add_strip::<U>(&U::strip(quant, row, index), x, sum);
        }
        for (index, x) in x.iter().enumerate().skip(cut.whole) {
            sum = add_strip::<U>(&spelled::<U>(quant, row, index), x, sum);
        }
        fold::<U>(sum)
    }
}

/// `sum` plus the products of a strip, a lane for each group.
#[inline(always)]
unsafe fn add_strip<U: Unpack>(w: &Unpacked, x: &ActivationStrip, sum: __m512) -> __m512 {
    // SAFETY: the caller's promise; the loads read whole arrays.
    unsafe {
        let products = |i: usize| {
            let x = _mm512_load_si512(x.codes.as_ptr().add(64 * i).cast());
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), w.codes[i], x)
        };
        let dots = sums_of_groups::<U>([products(0), products(1), products(2), products(3)]);
        if U::SIXTEEN {
            let mut dots = dots;
            if let Some(log2) = U::OFFSET {
                let sums = _mm512_load_si512(x.sums16.as_ptr().cast());
                dots = _mm512_sub_epi32(dots, _mm512_sllv_epi32(sums, _mm512_set1_epi32(log2 as i32)));
            }
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), w.scales);
            let sum = _mm512_fmadd_ps(scaled, _mm512_load_ps(x.scales16.as_ptr()), sum);
            if !U::MINIMA {
                return sum;
            }
            return _mm512_fnmadd_ps(w.minima, _mm512_load_ps(x.totals16.as_ptr()), sum);
        }
        let mut dots = _mm512_castsi512_si256(dots);
        if let Some(log2) = U::OFFSET {
            let sums = _mm256_load_si256(x.sums32.as_ptr().cast());
            dots = _mm256_sub_epi32(dots, _mm256_sllv_epi32(sums, _mm256_set1_epi32(log2 as i32)));
        }
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), _mm512_castps512_ps256(w.scales));
        let lanes = _mm512_castps512_ps256(sum);
        let mut lanes = _mm256_fmadd_ps(scaled, _mm256_load_ps(x.scales32.as_ptr()), lanes);
        if U::MINIMA {
            let minima = _mm512_castps512_ps256(w.minima);
            lanes = _mm256_fnmadd_ps(minima, _mm256_load_ps(x.totals32.as_ptr()), lanes);
        }
        _mm512_castps256_ps512(lanes)
    }
}

/// The sums of the groups of a strip, whose quads are summed in `quads`; of groups of 32 the first eight lanes.
#[inline(always)]
pub(super) unsafe fn sums_of_groups<U: Unpack>(quads: [__m512i; 4]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let sixteens = sums_of_sixteen(quads);
        if U::SIXTEEN {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            return _mm512_permutexvar_epi32(order, sixteens);
        }
        let even = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0);
        let odd = _mm512_setr_epi32(4, 12, 5, 13, 6, 14, 7, 15, 0, 0, 0, 0, 0, 0, 0, 0);
        _mm512_castsi256_si512(_mm256_add_epi32(
            _mm512_castsi512_si256(_mm512_permutexvar_epi32(even, sixteens)),
            _mm512_castsi512_si256(_mm512_permutexvar_epi32(odd, sixteens)),
        ))
    }
}

/// The sums of each four lanes: place 4·l + i holds those of the l-th quarter of `products[i]`.
#[inline(always)]
unsafe fn sums_of_sixteen(products: [__m512i; 4]) -> __m512i {
    let [a, b, c, d] = products;
    // SAFETY: the caller's promise.
    unsafe {
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
    }
}

/// The lanes, 16 or the first 8, folded in halves.
#[inline(always)]
unsafe fn fold<U: Unpack>(sum: __m512) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { if U::SIXTEEN { fold_sixteen(sum) } else { fold_eight(_mm512_castps512_ps256(sum)) } }
}

/// Sixteen lanes, folded in halves.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
pub(super) unsafe fn fold_sixteen(sum: __m512) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { fold_eight(_mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps::<1>(sum))) }
}

#[inline(always)]
pub(super) unsafe fn fold_eight(eight: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
