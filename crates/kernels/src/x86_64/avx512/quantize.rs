//! Activations as signed bytes, 32 columns in two registers: what the compiler makes of the plain source takes four
//! times as long, and every product of a prompt begins with it.

use std::arch::x86_64::*;

use super::dot::fold_sixteen;
use crate::activations::{ActivationStrip, LEAST, ROUND, STRIP};

/// As [`crate::activations::quantize`], to the bit. Used only inside functions compiled for the instruction set of
/// this folder.
#[inline(always)]
pub(crate) fn quantize(x: &[f32], out: &mut ActivationStrip) {
    if x.len() < STRIP {
        return crate::activations::quantize(x, out);
    }
    for g in 0..STRIP / 32 {
        let x: &[f32; 32] = x[32 * g..].first_chunk().expect("a strip holds whole groups");
        // SAFETY: as above; loads and stores lie within arrays of 32.
        unsafe {
            let (codes, scale) = group(x);
            for (half, codes) in codes.into_iter().enumerate() {
                let narrow = _mm512_cvtepi32_epi8(codes);
                _mm_store_si128(out.codes.as_mut_ptr().add(32 * g + 16 * half).cast(), narrow);
                let sum = _mm512_reduce_add_epi32(codes);
                out.scales16[2 * g + half] = scale;
                out.sums16[2 * g + half] = sum;
                out.totals16[2 * g + half] = scale * sum as f32;
            }
            out.scales32[g] = scale;
            out.sums32[g] = out.sums16[2 * g] + out.sums16[2 * g + 1];
            out.totals32[g] = scale * out.sums32[g] as f32;
        }
    }
}

/// The codes of 32 columns, and their scale.
#[inline(always)]
unsafe fn group(x: &[f32; 32]) -> ([__m512i; 2], f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let x = [_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))];
        // Of a NaN and a number `max` takes the second, which is the number, as a comparison would.
        let most =
            _mm512_max_ps(_mm512_abs_ps(x[1]), _mm512_max_ps(_mm512_abs_ps(x[0]), _mm512_setzero_ps()));
        let most = _mm512_reduce_max_ps(most);
        let zero = _mm512_setzero_ps();
        let taint = _mm512_add_ps(_mm512_add_ps(zero, _mm512_mul_ps(x[0], zero)), _mm512_mul_ps(x[1], zero));
        let taint = fold_sixteen(taint);
        if most <= LEAST {
            return ([_mm512_setzero_si512(); 2], taint);
        }
        let (per_step, round) = (_mm512_set1_ps(127.0 / most), _mm512_set1_ps(ROUND));
        let (mut products, mut squares, mut codes) = (zero, zero, [_mm512_setzero_si512(); 2]);
        for (x, codes) in x.into_iter().zip(&mut codes) {
            let steps = _mm512_mul_ps(x, per_step);
            let shifted = _mm512_add_ps(steps, round);
            let code = _mm512_sub_ps(shifted, round);
            // The low byte, with its sign.
            *codes = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(_mm512_castps_si512(shifted)));
            products = _mm512_add_ps(products, _mm512_mul_ps(steps, code));
            squares = _mm512_add_ps(squares, _mm512_mul_ps(code, code));
        }
        let fit = fold_sixteen(products) / fold_sixteen(squares);
        (codes, most / 127.0 * fit + taint)
    }
}
