//! Q4_0: eight blocks of 18 bytes make a strip.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of, two_blocks};

pub(super) struct Q4_0;

/// Bytes of a strip.
const BYTES: usize = 8 * 18;

impl Unpack for Q4_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(3);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's 144 bytes.
        unsafe {
            let at = strip_of::<BYTES>(row, index);
            Unpacked {
                codes: [
                    two_blocks::<18, 2>(at),
                    two_blocks::<18, 2>(at.add(36)),
                    two_blocks::<18, 2>(at.add(72)),
                    two_blocks::<18, 2>(at.add(108)),
                ],
                scales: scales(at),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

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
