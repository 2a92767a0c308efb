//! Q5_K: one block of 176 bytes is a strip; bit g of the 32 bytes before the nibbles is the fifth of group g.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::k_scales::scales_and_minima;
use super::unpack::{Unpack, Unpacked, nibble_pairs, strip_of};

pub(super) struct Q5K;

impl Unpack for Q5K {
    const SIXTEEN: bool = false;
    const MINIMA: bool = true;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block.
        unsafe {
            let at = strip_of::<176>(row, index);
            let (scales, minima) = scales_and_minima(at);
            let fifths = _mm512_broadcast_i64x4(_mm256_loadu_si256(at.add(16).cast()));
            let codes =
                [codes(at, fifths, 0), codes(at, fifths, 1), codes(at, fifths, 2), codes(at, fifths, 3)];
            Unpacked { codes, scales, minima }
        }
    }
}

/// Columns 64 · `i`.. of the block at `at`. A function: a closure of this size is compiled apart, without the
/// instruction set.
#[inline(always)]
unsafe fn codes(at: *const u8, fifths: __m512i, i: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let (low, high) = (_mm256_set1_epi8(1 << (2 * i)), _mm256_set1_epi8((2_u8 << (2 * i)) as i8));
        let bits = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        let nibbles = nibble_pairs(at.add(48 + 32 * i));
        let set = _mm512_test_epi8_mask(fifths, bits);
        _mm512_mask_add_epi8(nibbles, set, nibbles, _mm512_set1_epi8(16))
    }
}
