//! Formats of one and two bits in the order of their columns: Q1_0 and Q2_0.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Q1_0;
pub(super) struct Q2_0;

impl Unpack for Q1_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(0);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's two blocks of 18 bytes.
        unsafe {
            let at = strip_of::<36>(row, index);
            let two = _mm512_set1_epi8(2);
            let bits = |place: usize| at.add(place).cast::<u64>().read_unaligned();
            let (d, e) = (at.cast::<u16>().read_unaligned(), at.add(18).cast::<u16>().read_unaligned());
            let (d, e) = (d as i16, e as i16);
            let halves = _mm_setr_epi16(d, d, d, d, e, e, e, e);
            Unpacked {
                codes: [
                    _mm512_maskz_mov_epi8(bits(2), two),
                    _mm512_maskz_mov_epi8(bits(10), two),
                    _mm512_maskz_mov_epi8(bits(20), two),
                    _mm512_maskz_mov_epi8(bits(28), two),
                ],
                scales: _mm512_castps256_ps512(_mm256_cvtph_ps(halves)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Q2_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(0);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's four blocks of 18 bytes.
        unsafe {
            let at = strip_of::<72>(row, index);
            let d = |block: usize| at.add(18 * block).cast::<i16>().read_unaligned();
            let (d0, d1, d2, d3) = (d(0), d(1), d(2), d(3));
            let halves = _mm_setr_epi16(d0, d0, d1, d1, d2, d2, d3, d3);
            Unpacked {
                codes: [pairs(at.add(2)), pairs(at.add(20)), pairs(at.add(38)), pairs(at.add(56))],
                scales: _mm512_castps256_ps512(_mm256_cvtph_ps(halves)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// The 64 bit pairs of 16 bytes.
#[inline(always)]
unsafe fn pairs(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let words = _mm512_cvtepu16_epi64(_mm_loadu_si128(at.cast()));
        let places = _mm512_set1_epi64(0x0e0c_0a08_0604_0200);
        _mm512_and_si512(_mm512_multishift_epi64_epi8(places, words), _mm512_set1_epi8(3))
    }
}
