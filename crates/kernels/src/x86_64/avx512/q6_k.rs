//! Q6_K: one block of 210 bytes is a strip: 128 bytes of low nibbles, 64 of high pairs of bits, sixteen signed steps
//! and a half.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Q6K;

impl Unpack for Q6K {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(5);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block.
        unsafe {
            let at = strip_of::<210>(row, index);
            let ([a, b], [c, d]) = (half(at, 0), half(at, 1));
            let steps = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at.add(192).cast())));
            let d_bits = at.add(208).cast::<u16>().read_unaligned();
            let factor = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(d_bits)));
            Unpacked {
                codes: [a, b, c, d],
                scales: _mm512_mul_ps(_mm512_broadcastss_ps(factor), steps),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// Half `n` of 128 columns: 64 in the low nibbles, 64 in the high ones; four pairs of bits in each byte of `high`. A
/// function: a closure of this size is compiled apart, without the instruction set.
#[inline(always)]
unsafe fn half(at: *const u8, n: usize) -> [__m512i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm512_loadu_si512(at.add(64 * n).cast());
        let high = _mm512_broadcast_i64x4(_mm256_loadu_si256(at.add(128 + 32 * n).cast()));
        let (fours, pairs) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
        // Each pair to bits 4 and 5 of its byte.
        let first = _mm512_sllv_epi16(high, _mm512_setr_epi64(F, F, F, F, T, T, T, T));
        let second = _mm512_srlv_epi16(high, _mm512_setr_epi64(0, 0, 0, 0, T, T, T, T));
        let (first, second) = (_mm512_and_si512(first, pairs), _mm512_and_si512(second, pairs));
        [
            _mm512_or_si512(_mm512_and_si512(low, fours), first),
            _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16::<4>(low), fours), second),
        ]
    }
}

/// Shifts by 4 and by 2 in each of four 16-bit lanes.
const F: i64 = 0x0004_0004_0004_0004;
const T: i64 = 0x0002_0002_0002_0002;
