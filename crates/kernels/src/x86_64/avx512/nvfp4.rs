//! NVFP4 in both layouts: tables of e2m1, scales in e4m3.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::int4_g32::Int4G32;
use super::tables::{UNSIGNED_E2M1, look_up};
use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Nvfp4;
pub(super) struct Nvfp4G16;

impl Unpack for Nvfp4 {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's 144 bytes.
        unsafe {
            let at = strip_of::<144>(row, index);
            let word = |i: usize| at.add(36 * i).cast::<i32>().read_unaligned();
            let bits = _mm512_cvtepu8_epi32(_mm_setr_epi32(word(0), word(1), word(2), word(3)));
            // Without a sign; 0x7f counts as 0.
            let some = _mm512_cmpneq_epi32_mask(bits, _mm512_set1_epi32(0x7f));
            let magnitude = half_magnitude(_mm512_and_si512(bits, _mm512_set1_epi32(0x7f)));
            let nibbles = [nibbles(at, 0), nibbles(at, 1), nibbles(at, 2), nibbles(at, 3)];
            Unpacked {
                codes: look_up(&UNSIGNED_E2M1, nibbles),
                scales: _mm512_maskz_mov_ps(some, magnitude),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Nvfp4G16 {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        debug_assert!((index + 1) * 16 <= row.scales.len());
        // SAFETY: the caller's promise; the loads read the strip's 128 bytes and its sixteen scales.
        unsafe {
            let bits = _mm512_cvtepu8_epi32(_mm_loadu_si128(row.scales.as_ptr().add(16 * index).cast()));
            let absolute = _mm512_and_si512(bits, _mm512_set1_epi32(0x7f));
            let none = _mm512_cmpeq_epi32_mask(absolute, _mm512_set1_epi32(0x7f));
            let sign = _mm512_slli_epi32::<24>(_mm512_and_si512(bits, _mm512_set1_epi32(0x80)));
            let magnitude = _mm512_castps_si512(half_magnitude(absolute));
            let scales = _mm512_castsi512_ps(_mm512_or_si512(magnitude, sign));
            Unpacked {
                codes: look_up(&UNSIGNED_E2M1, Int4G32::nibbles(row, index)),
                scales: _mm512_mask_blend_ps(none, scales, _mm512_set1_ps(f32::NAN)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// The nibbles of block `block`: of each 8 bytes the low halves, then the high ones.
#[inline(always)]
unsafe fn nibbles(at: *const u8, block: usize) -> __m512i {
    const FOUR: i64 = 0x0004_0004_0004_0004;
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = _mm512_castsi256_si512(_mm256_loadu_si256(at.add(36 * block + 4).cast()));
        let twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), bytes);
        let shifts = _mm512_setr_epi64(0, FOUR, 0, FOUR, 0, FOUR, 0, FOUR);
        _mm512_and_si512(_mm512_srlv_epi16(twice, shifts), _mm512_set1_epi8(15))
    }
}

/// Half of the e4m3 of seven bits; 0x7f is 240.
#[inline(always)]
unsafe fn half_magnitude(bits: __m512i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let normal = _mm512_add_epi32(_mm512_slli_epi32::<20>(bits), _mm512_set1_epi32(119 << 23));
        // Below 8 there is no exponent: units of 2^-10.
        let small = _mm512_mul_ps(_mm512_cvtepi32_ps(bits), _mm512_set1_ps(1.0 / 1024.0));
        let is_small = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(8));
        _mm512_mask_blend_ps(is_small, _mm512_castsi512_ps(normal), small)
    }
}
