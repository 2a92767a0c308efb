//! Formats of nibbles, some with a fifth bit: Q4_0, Q4_1, Q5_0, Q5_1 and INT4_G32.

use super::unpack::{Codes, Factors, Place, Unpack, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Int4G32;

impl Unpack for Q4_0 {
    const CODES: Codes = Codes::Raised(3);
    const BYTES: usize = 8 * 18;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(36 * quarter + 2);
            [V::nibbles(at), V::nibbles(at.add(18))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the step of each block.
        unsafe { Factors::eight(V::Floats::of_halves::<18>(at.values)) }
    }
}

impl Unpack for Q4_1 {
    const MINIMA: bool = true;
    const CODES: Codes = Codes::Unsigned;
    const BYTES: usize = 8 * 20;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(40 * quarter + 4);
            [V::nibbles(at), V::nibbles(at.add(20))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { steps_and_minima::<20, V>(at) }
    }
}

impl Unpack for Q5_0 {
    const CODES: Codes = Codes::Raised(4);
    const BYTES: usize = 8 * 22;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(44 * quarter + 2);
            [fives(at), fives(at.add(22))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the step of each block.
        unsafe { Factors::eight(V::Floats::of_halves::<22>(at.values)) }
    }
}

impl Unpack for Q5_1 {
    const MINIMA: bool = true;
    const CODES: Codes = Codes::Unsigned;
    const BYTES: usize = 8 * 24;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(48 * quarter + 4);
            [fives(at), fives(at.add(24))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { steps_and_minima::<24, V>(at) }
    }
}

impl Unpack for Int4G32 {
    const CODES: Codes = Codes::Raised(3);
    const BYTES: usize = 128;
    const SCALE_BYTES: usize = 16;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { nibbles_in_order(at, quarter) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the strip's eight scales.
        unsafe { Factors::eight(V::Floats::of_bfloats(at.scales)) }
    }
}

/// Columns 64 · `quarter`.. of a strip of 128 bytes of nibbles in the order of their columns.
///
/// # Safety
/// As [`Unpack::codes`].
#[inline(always)]
pub(super) unsafe fn nibbles_in_order<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let at = at.values.add(32 * quarter);
        [V::nibbles_in_order(at), V::nibbles_in_order(at.add(16))]
    }
}

/// The 32 codes of four bytes of fifth bits and 16 of nibbles.
#[inline(always)]
unsafe fn fives<V: ThirtyTwo>(at: *const u8) -> V {
    // SAFETY: the caller's promise.
    unsafe { V::nibbles(at.add(4)).or(V::of_bits(word(at)).and(V::splat(16))) }
}

/// The steps of eight blocks of `BYTES`, and what lies behind each, negated, as a minimum is taken off.
#[inline(always)]
unsafe fn steps_and_minima<const BYTES: usize, V: ThirtyTwo>(at: Place) -> Factors<V> {
    // SAFETY: the caller's promise.
    unsafe {
        let minima = V::Floats::of_halves::<BYTES>(at.values.add(2)).times(V::Floats::splat(-1.0));
        Factors::with_minima(V::Floats::of_halves::<BYTES>(at.values), minima)
    }
}
