//! The IQ2 and IQ3 formats: entries of a codebook are gathered, and take their signs from a mask of bits.

use std::arch::x86_64::*;

use quant::grids::{IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS};
use quant::{Quant, Row};

use super::bit_pairs::half;
use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

impl Unpack for Iq2Xxs {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(6);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 66 bytes. A byte indexes a codebook of 256.
        unsafe {
            let at = strip_of::<66>(row, index);
            let groups = _mm512_loadu_si512(at.add(2).cast());
            let words = _mm512_srli_epi64::<32>(groups);
            let minus = even_signs(words);
            let indices = _mm512_cvtepi64_epi32(groups);
            let entries = |eight: __m128i| eights(&IQ2_XXS, _mm512_cvtepu8_epi64(eight));
            let (low, high) = (_mm256_castsi256_si128(indices), _mm256_extracti128_si256::<1>(indices));
            let codes = [
                entries(low),
                entries(_mm_unpackhi_epi64(low, low)),
                entries(high),
                entries(_mm_unpackhi_epi64(high, high)),
            ];
            let steps = _mm256_srli_epi32::<28>(_mm512_cvtepi64_epi32(words));
            Unpacked {
                codes: with_signs::<64>(codes, minus),
                scales: levels(half(at), _mm512_castsi256_si512(steps), 0.25),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Iq2Xs {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(6);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 74 bytes. Indices are cut to nine bits.
        unsafe {
            let at = strip_of::<74>(row, index);
            let words = _mm512_loadu_si512(at.add(2).cast());
            let minus = evened(_mm512_cvtepi16_epi8(_mm512_srli_epi16::<9>(words)));
            let entries = |i: usize| {
                let words = _mm512_cvtepu16_epi64(_mm_loadu_si128(at.add(2 + 16 * i).cast()));
                eights(&IQ2_XS, _mm512_and_si512(words, _mm512_set1_epi64(511)))
            };
            Unpacked {
                codes: with_signs::<64>([entries(0), entries(1), entries(2), entries(3)], minus),
                scales: levels(half(at), sixteen_nibbles(at.add(66)), 0.25),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Iq2S {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(6);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 82 bytes. Indices have ten bits.
        unsafe {
            let at = strip_of::<82>(row, index);
            let minus = _mm256_loadu_si256(at.add(34).cast());
            let entries = |i: usize| {
                let low = _mm512_cvtepu8_epi64(_mm_loadl_epi64(at.add(2 + 8 * i).cast()));
                let upper = i64::from(at.add(66 + 2 * i).cast::<u16>().read_unaligned());
                let shifts = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
                let upper = _mm512_srlv_epi64(_mm512_set1_epi64(upper), shifts);
                let upper = _mm512_slli_epi64::<8>(_mm512_and_si512(upper, _mm512_set1_epi64(3)));
                eights(&IQ2_S, _mm512_or_si512(low, upper))
            };
            Unpacked {
                codes: with_signs::<64>([entries(0), entries(1), entries(2), entries(3)], minus),
                scales: levels(half(at), sixteen_nibbles(at.add(74)), 0.25),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Iq3Xxs {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(6);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 98 bytes. A byte indexes a codebook of 256.
        unsafe {
            let at = strip_of::<98>(row, index);
            let words = _mm256_loadu_si256(at.add(66).cast());
            let entries =
                |i: usize| fours(&IQ3_XXS, _mm512_cvtepu8_epi32(_mm_loadu_si128(at.add(2 + 16 * i).cast())));
            let steps = _mm256_srli_epi32::<28>(words);
            Unpacked {
                codes: with_signs::<64>(
                    [entries(0), entries(1), entries(2), entries(3)],
                    even_signs(_mm512_cvtepu32_epi64(words)),
                ),
                scales: levels(half(at), _mm512_castsi256_si512(steps), 0.5),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Iq3S {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 110 bytes. Indices have nine bits.
        unsafe {
            let at = strip_of::<110>(row, index);
            let minus = _mm256_loadu_si256(at.add(74).cast());
            let entries = |i: usize| {
                let low = _mm512_cvtepu8_epi32(_mm_loadu_si128(at.add(2 + 16 * i).cast()));
                let ninth = at.add(66 + 2 * i).cast::<u16>().read_unaligned();
                fours(&IQ3_S, _mm512_mask_or_epi32(low, ninth, low, _mm512_set1_epi32(256)))
            };
            let steps = _mm256_set1_epi32(at.add(106).cast::<u32>().read_unaligned() as i32);
            let steps = _mm256_srlv_epi32(steps, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
            let steps = _mm256_and_si256(steps, _mm256_set1_epi32(15));
            let odd = _mm256_add_epi32(_mm256_add_epi32(steps, steps), _mm256_set1_epi32(1));
            let odd = _mm512_castps256_ps512(_mm256_cvtepi32_ps(odd));
            Unpacked {
                codes: with_signs::<16>([entries(0), entries(1), entries(2), entries(3)], minus),
                scales: _mm512_mul_ps(half(at), odd),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// Eight entries of eight bytes.
///
/// # Safety
/// The CPU has the instruction set of this folder; every index is below `LEN`.
#[inline(always)]
unsafe fn eights<const LEN: usize>(grid: &'static [[i8; 8]; LEN], indices: __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_i64gather_epi64::<8>(indices, grid.as_ptr().cast()) }
}

/// Sixteen entries of four bytes.
///
/// # Safety
/// The CPU has the instruction set of this folder; every index is below `LEN`.
#[inline(always)]
unsafe fn fours<const LEN: usize>(grid: &'static [[i8; 4]; LEN], indices: __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_i32gather_epi32::<4>(indices, grid.as_ptr().cast()) }
}

/// The 32 sign bytes of eight words, each in the low half of a lane, of four seven-bit indices.
#[inline(always)]
unsafe fn even_signs(words: __m512i) -> __m256i {
    // Bits 0.., 7.., 14.. and 21.. to bytes of their own.
    const SEVENS: i64 = 0x150e_0700;
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(SEVENS), words);
        evened(_mm256_and_si256(_mm512_cvtepi64_epi32(bytes), _mm256_set1_epi8(127)))
    }
}

/// Seven-bit indices as sign bytes: the eighth bit makes the number of bits even.
#[inline(always)]
unsafe fn evened(indices: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        const M: i8 = -128;
        let odd = _mm_setr_epi8(0, M, M, 0, M, 0, 0, M, M, 0, 0, M, 0, M, M, 0);
        let odd = _mm256_broadcastsi128_si256(odd);
        let fours = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(odd, _mm256_and_si256(indices, fours));
        let high = _mm256_shuffle_epi8(odd, _mm256_and_si256(_mm256_srli_epi16::<4>(indices), fours));
        _mm256_or_si256(indices, _mm256_xor_si256(low, high))
    }
}

/// Magnitudes less than zero where a bit of the sign bytes is set, plus `OFFSET`.
#[inline(always)]
unsafe fn with_signs<const OFFSET: i8>(magnitudes: [__m512i; 4], minus: __m256i) -> [__m512i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let offset = _mm512_set1_epi8(OFFSET);
        let signed = |magnitudes: __m512i, minus: i64| {
            let plus = _mm512_add_epi8(offset, magnitudes);
            _mm512_mask_sub_epi8(plus, minus as u64, offset, magnitudes)
        };
        let [a, b, c, d] = magnitudes;
        [
            signed(a, _mm256_extract_epi64::<0>(minus)),
            signed(b, _mm256_extract_epi64::<1>(minus)),
            signed(c, _mm256_extract_epi64::<2>(minus)),
            signed(d, _mm256_extract_epi64::<3>(minus)),
        ]
    }
}

/// The sixteen nibbles of eight bytes, low halves first.
#[inline(always)]
unsafe fn sixteen_nibbles(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = _mm_loadl_epi64(at.cast());
        let nibbles = _mm_unpacklo_epi8(bytes, _mm_srli_epi16::<4>(bytes));
        _mm512_cvtepu8_epi32(_mm_and_si128(nibbles, _mm_set1_epi8(15)))
    }
}

/// (d·(step + ½))·`unit`, in the order of the plain spelling.
#[inline(always)]
unsafe fn levels(d: __m512, steps: __m512i, unit: f32) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let steps = _mm512_add_ps(_mm512_set1_ps(0.5), _mm512_cvtepi32_ps(steps));
        _mm512_mul_ps(_mm512_mul_ps(d, steps), _mm512_set1_ps(unit))
    }
}
