//! TQ1_0: one block of 54 bytes is a strip; a byte is a fraction whose digits to base 3 come out at the top, one by one,
//! as it is multiplied by 3.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::bit_pairs::half;
use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Tq1_0;

impl Unpack for Tq1_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(0);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block.
        unsafe {
            let at = strip_of::<54>(row, index);
            // The five digits of 32 bytes, of 16, and the first four of 4.
            let a0 = _mm256_loadu_si256(at.cast());
            let a1 = tripled(a0);
            let a2 = tripled(a1);
            let a3 = tripled(a2);
            let a4 = tripled(a3);
            let b0 = _mm256_castsi128_si256(_mm_loadu_si128(at.add(32).cast()));
            let b1 = tripled(b0);
            let b2 = tripled(b1);
            let b3 = tripled(b2);
            let b4 = tripled(b3);
            let c0 = _mm256_castsi128_si256(_mm_cvtsi32_si128(at.add(48).cast::<i32>().read_unaligned()));
            let c1 = tripled(c0);
            let c2 = tripled(c1);
            let c3 = tripled(c2);
            let c = _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(c0, c1), _mm256_unpacklo_epi32(c2, c3));
            Unpacked {
                codes: [
                    digits(joined(a0, a1)),
                    digits(joined(a2, a3)),
                    digits(joined(a4, _mm256_permute2x128_si256::<0x20>(b0, b1))),
                    digits(joined(
                        _mm256_permute2x128_si256::<0x20>(b2, b3),
                        _mm256_permute2x128_si256::<0x20>(b4, c),
                    )),
                ],
                scales: half(at.add(52)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// Each byte times 3, without what leaves it.
#[inline(always)]
unsafe fn tripled(bytes: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_add_epi8(bytes, _mm256_add_epi8(bytes, bytes)) }
}

#[inline(always)]
unsafe fn joined(low: __m256i, high: __m256i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high) }
}

/// How often 256 goes into each byte times 3.
#[inline(always)]
unsafe fn digits(bytes: __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let one = _mm512_set1_epi8(1);
        let once = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8(86));
        let twice = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8(171_u8 as i8));
        let digits = _mm512_maskz_mov_epi8(once, one);
        _mm512_mask_add_epi8(digits, twice, digits, one)
    }
}
