//! Formats whose nibbles stand for the values of a table of sixteen: IQ4_NL, IQ4_XS and MXFP4.

use std::arch::x86_64::*;

use quant::codebook::{E2M1, IQ4};
use quant::{Quant, Row};

use super::bit_pairs::half;
use super::int4_g32::Int4G32;
use super::q4_0::Q4_0;
use super::unpack::{Unpack, Unpacked, strip_of, two_blocks};

pub(super) struct Iq4Nl;
pub(super) struct Iq4Xs;
pub(super) struct Mxfp4;
pub(super) struct Mxfp4G32;

/// The values of IQ4, made unsigned.
const UNSIGNED_IQ4: [u8; 16] = unsigned(&IQ4, 128);
/// The doubled values of e2m1, made unsigned.
pub(super) const UNSIGNED_E2M1: [u8; 16] = unsigned(&E2M1, 16);

const fn unsigned(table: &[i8; 16], offset: i16) -> [u8; 16] {
    let mut unsigned = [0; 16];
    let mut i = 0;
    while i < 16 {
        unsigned[i] = (table[i] as i16 + offset) as u8;
        i += 1;
    }
    unsigned
}

impl Unpack for Iq4Nl {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(7);

    #[inline(always)]
    unsafe fn strip(quant: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; blocks are laid out as those of Q4_0.
        unsafe {
            let nibbles = Q4_0::strip(quant, row, index);
            Unpacked { codes: look_up(&UNSIGNED_IQ4, nibbles.codes), ..nibbles }
        }
    }
}

impl Unpack for Iq4Xs {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(7);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block's 136 bytes.
        unsafe {
            let at = strip_of::<136>(row, index);
            // Each 16 bytes twice: once for the low and once for the high halves.
            let twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
            let shifts = _mm512_setr_epi64(0, 0, FOUR, FOUR, 0, 0, FOUR, FOUR);
            let codes = |i: usize| {
                let bytes = _mm512_castsi256_si512(_mm256_loadu_si256(at.add(8 + 32 * i).cast()));
                let nibbles = _mm512_srlv_epi16(_mm512_permutexvar_epi64(twice, bytes), shifts);
                _mm512_and_si512(nibbles, _mm512_set1_epi8(15))
            };
            let word = |at: *const u8| _mm256_set1_epi32(at.cast::<u32>().read_unaligned() as i32);
            let upper = _mm256_srlv_epi32(word(at), _mm256_setr_epi32(16, 18, 20, 22, 24, 26, 28, 30));
            let low = _mm256_srlv_epi32(word(at.add(4)), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
            let upper = _mm256_slli_epi32::<4>(_mm256_and_si256(upper, _mm256_set1_epi32(3)));
            let steps = _mm256_or_si256(upper, _mm256_and_si256(low, _mm256_set1_epi32(15)));
            let steps = _mm256_cvtepi32_ps(_mm256_sub_epi32(steps, _mm256_set1_epi32(32)));
            Unpacked {
                codes: look_up(&UNSIGNED_IQ4, [codes(0), codes(1), codes(2), codes(3)]),
                scales: _mm512_mul_ps(half(at), _mm512_castps256_ps512(steps)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Mxfp4 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's 136 bytes.
        unsafe {
            let at = strip_of::<136>(row, index);
            let codes = [
                two_blocks::<17, 1>(at),
                two_blocks::<17, 1>(at.add(34)),
                two_blocks::<17, 1>(at.add(68)),
                two_blocks::<17, 1>(at.add(102)),
            ];
            let (low, high) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
            let places = _mm_setr_epi8(0, 17, 34, 51, 68, 85, 102, 119, 0, 0, 0, 0, 0, 0, 0, 0);
            let scales = _mm512_permutex2var_epi8(low, _mm512_castsi128_si512(places), high);
            Unpacked {
                codes: look_up(&UNSIGNED_E2M1, codes),
                scales: half_e8m0(_mm512_castsi512_si128(scales)),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Mxfp4G32 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        debug_assert!((index + 1) * 8 <= row.scales.len());
        // SAFETY: the caller's promise; the loads read the strip's 128 bytes and its eight scales.
        unsafe {
            Unpacked {
                codes: look_up(&UNSIGNED_E2M1, Int4G32::nibbles(row, index)),
                scales: half_e8m0(_mm_loadl_epi64(row.scales.as_ptr().add(8 * index).cast())),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

/// A shift by 4 in each of four 16-bit lanes.
const FOUR: i64 = 0x0004_0004_0004_0004;

/// The entries of `table` that nibbles name.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
pub(super) unsafe fn look_up(table: &[u8; 16], nibbles: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: the caller's promise; the load reads the whole table.
    unsafe {
        let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
        let entries = |nibbles: __m512i| _mm512_shuffle_epi8(table, nibbles);
        let [a, b, c, d] = nibbles;
        [entries(a), entries(b), entries(c), entries(d)]
    }
}

/// 2^(bits − 128) of each of eight bytes.
#[inline(always)]
unsafe fn half_e8m0(bits: __m128i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm256_cvtepu8_epi32(bits);
        let one = _mm256_set1_epi32(1);
        let normal = _mm256_slli_epi32::<23>(_mm256_sub_epi32(bits, one));
        let small = _mm256_sllv_epi32(_mm256_set1_epi32(0x20_0000), bits);
        let scales = _mm256_mask_blend_epi32(_mm256_cmple_epu32_mask(bits, one), normal, small);
        _mm512_castps256_ps512(_mm256_castsi256_ps(scales))
    }
}
