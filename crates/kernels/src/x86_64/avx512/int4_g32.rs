//! INT4_G32: 128 bytes of nibbles in the order of their columns are a strip; eight bf16 scales lie apart.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Int4G32;

impl Unpack for Int4G32 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(3);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        debug_assert!((index + 1) * 16 <= row.scales.len());
        // SAFETY: the caller's promise; the loads read the strip's 128 bytes and its eight scales.
        unsafe {
            let scales = _mm_loadu_si128(row.scales.as_ptr().add(16 * index).cast());
            let scales = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(scales));
            Unpacked {
                codes: Self::nibbles(row, index),
                scales: _mm512_castps256_ps512(_mm256_castsi256_ps(scales)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Int4G32 {
    /// The nibbles of strip `index`, in the order of their columns.
    ///
    /// # Safety
    /// As [`Unpack::strip`].
    #[inline(always)]
    pub(super) unsafe fn nibbles(row: Row<'_>, index: usize) -> [__m512i; 4] {
        // SAFETY: the caller's promise; the loads read the strip's 128 bytes.
        unsafe {
            let at = strip_of::<128>(row, index);
            let codes = |i: usize| {
                // A byte to a word, its high nibble to the word's high byte.
                let words = _mm512_cvtepu8_epi16(_mm256_loadu_si256(at.add(32 * i).cast()));
                let spread = _mm512_or_si512(words, _mm512_slli_epi16::<4>(words));
                _mm512_and_si512(spread, _mm512_set1_epi8(15))
            };
            [codes(0), codes(1), codes(2), codes(3)]
        }
    }
}
