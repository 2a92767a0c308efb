//! IQ1_S and IQ1_M: entries of a codebook of ternary eights, an eighth added or taken. In eighths a value is at most 9.

use std::arch::x86_64::*;

use quant::grids::IQ1;
use quant::{Quant, Row};

use super::bit_pairs::half;
use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Iq1S;
pub(super) struct Iq1M;

impl Unpack for Iq1S {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 50 bytes.
        unsafe {
            let at = strip_of::<50>(row, index);
            let words = _mm_loadu_si128(at.add(34).cast());
            // Three bits of each eight, in the low half of a lane for each group.
            let upper =
                _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x0906_0300), _mm512_cvtepu16_epi64(words));
            let upper = _mm256_and_si256(_mm512_cvtepi64_epi32(upper), _mm256_set1_epi8(7));
            // The sign of a group's eighth, for each of its four eights.
            let groups = _mm256_cvtepi16_epi32(words);
            let minus = _mm256_srai_epi32::<31>(groups);
            let steps = _mm256_and_si256(_mm256_srli_epi32::<12>(groups), _mm256_set1_epi32(7));
            Unpacked {
                codes: entries(_mm256_loadu_si256(at.add(2).cast()), upper, minus),
                scales: levels(half(at), _mm512_castsi256_si512(steps)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Iq1M {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 56 bytes.
        unsafe {
            let at = strip_of::<56>(row, index);
            // A byte to a word, its high nibble to the word's high byte.
            let nibbles = _mm256_cvtepu8_epi16(_mm_loadu_si128(at.add(32).cast()));
            let nibbles = _mm256_or_si256(nibbles, _mm256_slli_epi16::<4>(nibbles));
            let upper = _mm256_and_si256(nibbles, _mm256_set1_epi8(7));
            let eight = _mm256_set1_epi8(8);
            let minus = _mm256_cmpeq_epi8(_mm256_and_si256(nibbles, eight), eight);

            let words = at.add(48).cast::<u64>().read_unaligned();
            let d = words >> 12 & 0x000f | words >> 24 & 0x00f0 | words >> 36 & 0x0f00 | words >> 48 & 0xf000;
            let d = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(d as i32)));
            let places = _mm_setr_epi8(0, 3, 6, 9, 16, 19, 22, 25, 32, 35, 38, 41, 48, 51, 54, 57);
            let steps = _mm_multishift_epi64_epi8(places, _mm_set1_epi64x(words as i64));
            let steps = _mm512_cvtepu8_epi32(_mm_and_si128(steps, _mm_set1_epi8(7)));
            Unpacked {
                codes: entries(_mm256_loadu_si256(at.cast()), upper, minus),
                scales: levels(d, steps),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// The 32 eights of low bytes and `upper` three bits of index, an eighth taken where `minus` is all ones and added where
/// it is zero, plus 16.
#[inline(always)]
unsafe fn entries(low: __m256i, upper: __m256i, minus: __m256i) -> [__m512i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        // 16 + 1, or 16 − 1.
        let base = _mm256_add_epi8(_mm256_set1_epi8(17), _mm256_add_epi8(minus, minus));
        let (first, second) = (_mm256_unpacklo_epi8(low, upper), _mm256_unpackhi_epi8(low, upper));
        [
            eights(_mm256_castsi256_si128(first), _mm256_castsi256_si128(base)),
            eights(_mm256_castsi256_si128(second), _mm_srli_si128::<8>(_mm256_castsi256_si128(base))),
            eights(_mm256_extracti128_si256::<1>(first), _mm256_extracti128_si256::<1>(base)),
            eights(
                _mm256_extracti128_si256::<1>(second),
                _mm_srli_si128::<8>(_mm256_extracti128_si256::<1>(base)),
            ),
        ]
    }
}

/// The entries of eight 16-bit indices, each below 2048, with its byte of `base` added to all its values.
#[inline(always)]
unsafe fn eights(indices: __m128i, base: __m128i) -> __m512i {
    // SAFETY: the caller's promise; eleven bits index a codebook of 2048.
    unsafe {
        let entries = _mm512_i64gather_epi64::<8>(_mm512_cvtepu16_epi64(indices), IQ1.as_ptr().cast());
        let each = _mm512_shuffle_epi8(
            _mm512_cvtepu8_epi64(base),
            _mm512_set4_epi32(0x0808_0808, 0x0808_0808, 0, 0),
        );
        _mm512_add_epi8(entries, each)
    }
}

/// (d·(2·step + 1))·⅛.
#[inline(always)]
unsafe fn levels(d: __m512, steps: __m512i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let odd = _mm512_add_epi32(_mm512_add_epi32(steps, steps), _mm512_set1_epi32(1));
        _mm512_mul_ps(_mm512_mul_ps(d, _mm512_cvtepi32_ps(odd)), _mm512_set1_ps(0.125))
    }
}
