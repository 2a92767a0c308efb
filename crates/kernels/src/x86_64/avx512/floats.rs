//! Rows of floats with one token, in the canonical order of `lanes.rs`: two registers are its 32 lanes.

use std::arch::x86_64::*;

use quant::float::e8m0_to_f32;
use quant::{Quant, Row};

use super::dot::fold_sixteen;
use super::unpack::{AHEAD, prefetch};
use crate::lanes::LANES;

/// See [`crate::Kernels::dot_floats`]. Only whole blocks of 32 columns are done by hand: other rows give `None`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
pub(crate) fn dot_floats(quant: Quant, row: Row<'_>, x: &[f32]) -> Option<f32> {
    if !x.len().is_multiple_of(LANES) {
        return None;
    }
    // SAFETY: this function has the instruction set; the row has as many columns as `x`, as its caller checked, and
    // the bytes of each column are those of its format.
    unsafe {
        match quant {
            Quant::F32 => Some(dot::<4>(row, x, |at| _mm512_loadu_ps(at.cast()))),
            Quant::F16 => Some(dot::<2>(row, x, |at| _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())))),
            Quant::BF16 => Some(dot::<2>(row, x, |at| {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            })),
            Quant::Fp8B128 => Some(dot_e4m3::<128>(row, x, |square| {
                row.scales.as_ptr().add(4 * square).cast::<f32>().read_unaligned()
            })),
            Quant::Fp8B128E8m0 => Some(dot_e4m3::<128>(row, x, |square| e8m0_to_f32(row.scales[square]))),
            Quant::Fp8B32E8m0 => Some(dot_e4m3::<32>(row, x, |square| e8m0_to_f32(row.scales[square]))),
            _ => None,
        }
    }
}

/// The dot product of a row of `BYTES` bytes a column; `load` gives 16 columns from a place.
#[inline(always)]
unsafe fn dot<const BYTES: usize>(row: Row<'_>, x: &[f32], load: impl Fn(*const u8) -> __m512) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut lanes = [_mm512_setzero_ps(); 2];
        for column in (0..x.len()).step_by(LANES) {
            let at = row.values.as_ptr().add(column * BYTES);
            prefetch(at.wrapping_add(AHEAD), LANES * BYTES);
            for (half, lanes) in lanes.iter_mut().enumerate() {
                let (first, offset) = (column + 16 * half, 16 * half * BYTES);
                *lanes =
                    _mm512_fmadd_ps(load(at.add(offset)), _mm512_loadu_ps(x.as_ptr().add(first)), *lanes);
            }
        }
        fold_sixteen(_mm512_add_ps(lanes[0], lanes[1]))
    }
}

/// The dot product of a row of fp8 e4m3, of which every `SIDE` columns share a scale.
#[inline(always)]
unsafe fn dot_e4m3<const SIDE: usize>(row: Row<'_>, x: &[f32], scale: impl Fn(usize) -> f32) -> f32 {
    // SAFETY: the caller's promise; the row has a scale for each square.
    unsafe {
        let mut lanes = [_mm512_setzero_ps(); 2];
        for (square, first) in (0..x.len()).step_by(SIDE).enumerate() {
            let scale = scale(square);
            // Times the 2^8 of `e4m3`, which is exact: then one product gives the bits of two.
            let whole = 256.0 * scale;
            let end = x.len().min(first + SIDE);
            for column in (first..end).step_by(LANES) {
                let at = row.values.as_ptr().add(column);
                prefetch(at.wrapping_add(AHEAD), LANES);
                let codes = _mm256_loadu_si256(at.cast());
                let [low, high] = e4m3(codes);
                let (mut low, mut high) = (_mm512_cvtph_ps(low), _mm512_cvtph_ps(high));
                if whole.is_finite() {
                    low = _mm512_mul_ps(low, _mm512_set1_ps(whole));
                    high = _mm512_mul_ps(high, _mm512_set1_ps(whole));
                } else {
                    let (unit, scale) = (_mm512_set1_ps(256.0), _mm512_set1_ps(scale));
                    low = _mm512_mul_ps(_mm512_mul_ps(low, unit), scale);
                    high = _mm512_mul_ps(_mm512_mul_ps(high, unit), scale);
                }
                lanes[0] = _mm512_fmadd_ps(low, _mm512_loadu_ps(x.as_ptr().add(column)), lanes[0]);
                lanes[1] = _mm512_fmadd_ps(high, _mm512_loadu_ps(x.as_ptr().add(column + 16)), lanes[1]);
            }
        }
        fold_sixteen(_mm512_add_ps(lanes[0], lanes[1]))
    }
}

/// 32 of fp8 e4m3 as f16, of 2^-8 of their values: the bits are in the place of an f16's, whose bias is 8 larger. (Straight
/// to f32 the small ones would be denormal, which costs a hundred cycles each.) 0x7f is NaN.
#[inline(always)]
unsafe fn e4m3(codes: __m256i) -> [__m256i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        // Sign and magnitude, and between them a copy of the sign, which is cleared.
        let wide = _mm512_srai_epi16::<1>(_mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(codes)));
        let mut halves = _mm512_and_si512(wide, _mm512_set1_epi16(0xbf80_u16 as i16));
        let magnitudes = _mm256_and_si256(codes, _mm256_set1_epi8(0x7f));
        let nan = _mm256_cmpeq_epi8_mask(magnitudes, _mm256_set1_epi8(0x7f));
        if nan != 0 {
            halves = _mm512_mask_mov_epi16(halves, nan, _mm512_set1_epi16(0x7e00));
        }
        [_mm512_castsi512_si256(halves), _mm512_extracti64x4_epi64::<1>(halves)]
    }
}
