//! Formats whose codes lie as they are: the bytes of Q8_0, and the signs of Q1_0.

use super::unpack::{Codes, Factors, Place, Unpack, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Q8_0;
pub(super) struct Q1_0;

impl Unpack for Q8_0 {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 8 * 34;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(68 * quarter + 2);
            [V::load(at), V::load(at.add(34))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the step of each block.
        unsafe { Factors::eight(V::Floats::of_halves::<34>(at.values)) }
    }
}

impl Unpack for Q1_0 {
    // 2 and 0, for 1 and −1.
    const CODES: Codes = Codes::Raised(0);
    const BYTES: usize = 2 * 18;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; each of the strip's two blocks has 16 bytes of bits behind its step.
        unsafe {
            let at = at.values.add(quarter / 2 * 18 + 2 + quarter % 2 * 8);
            [signs(at), signs(at.add(4))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { Factors::eight(V::Floats::of_two_halves(at.values, at.values.add(18))) }
    }
}

/// 2 for each bit of a word.
#[inline(always)]
unsafe fn signs<V: ThirtyTwo>(at: *const u8) -> V {
    // SAFETY: the caller's promise.
    V::of_bits(unsafe { word(at) }).and(V::splat(2))
}
