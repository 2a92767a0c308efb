//! Q8_0: eight blocks of 34 bytes make a strip.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Q8_0;

/// Bytes of a strip.
const BYTES: usize = 8 * 34;

impl Unpack for Q8_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(7);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's 272 bytes.
        unsafe {
            let at = strip_of::<BYTES>(row, index);
            let offset = _mm512_set1_epi8(-128);
            let codes = |i: usize| {
                let low = _mm256_loadu_si256(at.add(68 * i + 2).cast());
                let high = _mm256_loadu_si256(at.add(68 * i + 36).cast());
                _mm512_xor_si512(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high), offset)
            };
            Unpacked {
                codes: [codes(0), codes(1), codes(2), codes(3)],
                scales: scales(at),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// The steps lie at every seventeenth word: four in the first 128 bytes, four in the 128 bytes from 136 on.
#[inline(always)]
unsafe fn scales(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let places = _mm512_castsi128_si512(_mm_setr_epi16(0, 17, 34, 51, 0, 17, 34, 51));
        let four = |at: *const u8| {
            let (low, high) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
            _mm512_castsi512_si128(_mm512_permutex2var_epi16(low, places, high))
        };
        let halves = _mm_unpacklo_epi64(four(at), four(at.add(136)));
        _mm512_castps256_ps512(_mm256_cvtph_ps(halves))
    }
}
