//! Rows of floats with one token, in the canonical order of `lanes.rs`: two registers are its 32 lanes.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{AHEAD, prefetch};
use crate::lanes::LANES;

/// Columns that share a scale in [`Quant::Fp8B128`].
const FP8_BLOCK: usize = 128;

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
            Quant::F32 => Some(dot::<4>(row, x, |at, _| _mm512_loadu_ps(at.cast()))),
            Quant::F16 => Some(dot::<2>(row, x, |at, _| _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())))),
            Quant::BF16 => Some(dot::<2>(row, x, |at, _| {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            })),
            Quant::Fp8B128 => Some(dot::<1>(row, x, |at, column| {
                let scale = row.scales.as_ptr().add(column / FP8_BLOCK * 4).cast::<f32>().read_unaligned();
                _mm512_mul_ps(e4m3(_mm_loadu_si128(at.cast())), _mm512_set1_ps(scale))
            })),
            _ => None,
        }
    }
}

/// The dot product of a row of `BYTES` bytes a column; `load` gives 16 columns from a place and its column.
#[inline(always)]
unsafe fn dot<const BYTES: usize>(row: Row<'_>, x: &[f32], load: impl Fn(*const u8, usize) -> __m512) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut lanes = [_mm512_setzero_ps(); 2];
        for column in (0..x.len()).step_by(LANES) {
            let at = row.values.as_ptr().add(column * BYTES);
            prefetch(at.wrapping_add(AHEAD), LANES * BYTES);
            for (half, lanes) in lanes.iter_mut().enumerate() {
                let (first, offset) = (column + 16 * half, 16 * half * BYTES);
                *lanes = _mm512_fmadd_ps(
                    load(at.add(offset), first),
                    _mm512_loadu_ps(x.as_ptr().add(first)),
                    *lanes,
                );
            }
        }
        let sixteen = _mm512_add_ps(lanes[0], lanes[1]);
        let eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), _mm512_extractf32x8_ps::<1>(sixteen));
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// fp8 e4m3 as f32, by way of f16: its bits in the place of an f16's, times 2^8 for the difference of the biases.
/// (Straight to f32 the small ones would be denormal, which costs a hundred cycles each.) 0x7f is NaN.
#[inline(always)]
unsafe fn e4m3(codes: __m128i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let wide = _mm256_cvtepu8_epi16(codes);
        let magnitude = _mm256_and_si256(wide, _mm256_set1_epi16(0x7f));
        let sign = _mm256_slli_epi16::<8>(_mm256_xor_si256(wide, magnitude));
        let half = _mm256_or_si256(_mm256_slli_epi16::<7>(magnitude), sign);
        let nan = _mm256_cmpeq_epi16_mask(magnitude, _mm256_set1_epi16(0x7f));
        let half = _mm256_mask_mov_epi16(half, nan, _mm256_set1_epi16(0x7e00));
        _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0))
    }
}
