//! Q4_1, Q5_0 and Q5_1: blocks of 32 nibbles as in Q4_0, behind a step and a minimum, four bytes of fifth bits, or all of
//! them.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::unpack::{Unpack, Unpacked, strip_of, two_blocks};

pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;

impl Unpack for Q4_1 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = true;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's eight blocks of 20 bytes.
        unsafe {
            let at = strip_of::<160>(row, index);
            Unpacked {
                codes: [
                    two_blocks::<20, 4>(at),
                    two_blocks::<20, 4>(at.add(40)),
                    two_blocks::<20, 4>(at.add(80)),
                    two_blocks::<20, 4>(at.add(120)),
                ],
                scales: halves::<20>(at),
                minima: negated(halves::<20>(at.add(2))),
            }
        }
    }
}

impl Unpack for Q5_0 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = false;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's eight blocks of 22 bytes.
        unsafe {
            let at = strip_of::<176>(row, index);
            Unpacked {
                codes: [
                    fives::<22, 6>(at),
                    fives::<22, 6>(at.add(44)),
                    fives::<22, 6>(at.add(88)),
                    fives::<22, 6>(at.add(132)),
                ],
                scales: halves::<22>(at),
                minima: _mm512_setzero_ps(),
            }
        }
    }
}

impl Unpack for Q5_1 {
    const SIXTEEN: bool = false;
    const MINIMA: bool = true;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the strip's eight blocks of 24 bytes.
        unsafe {
            let at = strip_of::<192>(row, index);
            Unpacked {
                codes: [
                    fives::<24, 8>(at),
                    fives::<24, 8>(at.add(48)),
                    fives::<24, 8>(at.add(96)),
                    fives::<24, 8>(at.add(144)),
                ],
                scales: halves::<24>(at),
                minima: negated(halves::<24>(at.add(2))),
            }
        }
    }
}

/// The codes of two blocks, whose fifth bits are the four bytes before `FIRST`.
#[inline(always)]
unsafe fn fives<const BLOCK: usize, const FIRST: usize>(at: *const u8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let nibbles = two_blocks::<BLOCK, FIRST>(at);
        let low = at.add(FIRST - 4).cast::<u32>().read_unaligned();
        let high = at.add(BLOCK + FIRST - 4).cast::<u32>().read_unaligned();
        let fifths = u64::from(low) | u64::from(high) << 32;
        _mm512_mask_add_epi8(nibbles, fifths, nibbles, _mm512_set1_epi8(16))
    }
}

/// Eight halves, each `APART` bytes from the next.
#[inline(always)]
unsafe fn halves<const APART: usize>(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let half = |i: usize| at.add(i * APART).cast::<i16>().read_unaligned();
        let halves = _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7));
        _mm512_castps256_ps512(_mm256_cvtph_ps(halves))
    }
}

/// What is added to a value, as what is taken off.
#[inline(always)]
unsafe fn negated(added: __m512) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_xor_ps(added, _mm512_set1_ps(-0.0)) }
}
