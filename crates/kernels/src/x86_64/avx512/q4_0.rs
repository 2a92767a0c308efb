//! Q4_0: eight blocks of 18 bytes make a strip.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Q4_0;

/// Bytes of a strip.
const BYTES: usize = 8 * 18;

/// Where the nibbles of two blocks lie in 36 bytes, each block twice: once for its low and once for its high halves.
const PAIR: [u8; 64] = {
    let mut at = [0; 64];
    let mut i = 0;
    while i < 64 {
        at[i] = (i / 32 * 18 + 2 + i % 16) as u8;
        i += 1;
    }
    at
};

impl Unpack for Q4_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(3);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's 144 bytes.
        unsafe {
            let at = strip_of::<BYTES>(row, index);
            let pair = _mm512_loadu_si512(PAIR.as_ptr().cast());
            let shifts = _mm512_setr_epi64(0, 0, SHIFT, SHIFT, 0, 0, SHIFT, SHIFT);
            let codes = |i: usize| {
                let bytes = _mm512_maskz_loadu_epi8((1 << 36) - 1, at.add(36 * i).cast());
                let nibbles = _mm512_srlv_epi16(_mm512_permutexvar_epi8(pair, bytes), shifts);
                _mm512_and_si512(nibbles, _mm512_set1_epi8(15))
            };
            Unpacked {
                codes: [codes(0), codes(1), codes(2), codes(3)],
                scales: scales(at),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// A shift by 4 in each of four 16-bit lanes.
const SHIFT: i64 = 0x0004_0004_0004_0004;

/// The steps lie at every ninth word of the strip's first 128 bytes.
#[inline(always)]
unsafe fn scales(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let (low, high) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
        let places = _mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63);
        let halves = _mm512_permutex2var_epi16(low, _mm512_castsi128_si512(places), high);
        _mm512_castps256_ps512(_mm256_cvtph_ps(_mm512_castsi512_si128(halves)))
    }
}
