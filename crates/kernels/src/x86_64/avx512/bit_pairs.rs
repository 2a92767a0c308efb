//! Formats of 64 bytes of bit pairs: Q2_K, Q3_K and TQ2_0. Each 32 bytes are 128 columns, run t of 32 in pair t.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of};

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Tq2_0;

impl Unpack for Q2K {
    const SIXTEEN: bool = true;
    const MINIMA: bool = true;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 84 bytes.
        unsafe {
            let at = strip_of::<84>(row, index);
            let packed = _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast()));
            let steps = _mm512_cvtepi32_ps(_mm512_and_si512(packed, _mm512_set1_epi32(15)));
            let minima = _mm512_cvtepi32_ps(_mm512_srli_epi32::<4>(packed));
            Unpacked {
                codes: codes(at.add(16)),
                scales: _mm512_mul_ps(half(at.add(80)), steps),
                minima: _mm512_mul_ps(half(at.add(82)), minima),
            }
        }
    }
}

impl Unpack for Q3K {
    const SIXTEEN: bool = true;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(2);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 110 bytes.
        unsafe {
            let at = strip_of::<110>(row, index);
            let mut codes = codes(at.add(32));
            let thirds = _mm512_broadcast_i64x4(_mm256_loadu_si256(at.cast()));
            for (i, codes) in codes.iter_mut().enumerate() {
                // Bit g of these bytes belongs to the g-th 32 columns.
                let (low, high) =
                    (_mm256_set1_epi8((1_u8 << (2 * i)) as i8), _mm256_set1_epi8((2_u8 << (2 * i)) as i8));
                let bits = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
                let set = _mm512_test_epi8_mask(thirds, bits);
                *codes = _mm512_mask_add_epi8(*codes, set, *codes, _mm512_set1_epi8(4));
            }
            let low = at.add(96).cast::<u64>().read_unaligned();
            let upper = u64::from(at.add(104).cast::<u32>().read_unaligned());
            let join = |low: u64, upper: u64| {
                let upper = (upper | upper >> 2 << 32) & 0x0303_0303_0303_0303;
                (low & 0x0f0f_0f0f_0f0f_0f0f | upper << 4) as i64
            };
            let steps = _mm_set_epi64x(join(low >> 4, upper >> 4), join(low, upper));
            let steps = _mm512_sub_epi32(_mm512_cvtepu8_epi32(steps), _mm512_set1_epi32(32));
            Unpacked {
                codes,
                scales: _mm512_mul_ps(half(at.add(108)), _mm512_cvtepi32_ps(steps)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Tq2_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(0);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 66 bytes.
        unsafe {
            let at = strip_of::<66>(row, index);
            Unpacked { codes: codes(at), scales: half(at.add(64)), minima: _mm512_setzero_ps() }
        }
    }
}

/// The codes of 64 bytes of bit pairs.
#[inline(always)]
unsafe fn codes(at: *const u8) -> [__m512i; 4] {
    const TWO: i64 = 0x0002_0002_0002_0002;
    // SAFETY: the caller's promise.
    unsafe {
        let codes = |i: usize| {
            let twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(at.add(i / 2 * 32).cast()));
            let first = (i % 2) as i64 * 2 * TWO;
            let second = first + TWO;
            let shifts = _mm512_setr_epi64(first, first, first, first, second, second, second, second);
            _mm512_and_si512(_mm512_srlv_epi16(twice, shifts), _mm512_set1_epi8(3))
        };
        [codes(0), codes(1), codes(2), codes(3)]
    }
}

/// The f16 at `at` in every lane.
///
/// # Safety
/// The CPU has the instruction set of this folder; two bytes lie at `at`.
#[inline(always)]
pub(super) unsafe fn half(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = at.cast::<u16>().read_unaligned();
        _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))))
    }
}
