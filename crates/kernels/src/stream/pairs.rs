//! Formats of 64 bytes of bit pairs: Q2_K, Q3_K and TQ2_0. Each 32 bytes are 128 columns, run t of 32 in pair t.

use super::unpack::{Codes, Factors, Place, Unpack, eight_bytes, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Tq2_0;

/// The low halves of eight bytes.
const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;

impl Unpack for Q2K {
    const SIXTEEN: bool = true;
    const MINIMA: bool = true;
    const CODES: Codes = Codes::Unsigned;
    const BYTES: usize = 84;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 64 bytes of pairs follow the first 16.
        unsafe { pairs(at.values.add(16), quarter) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the block begins with sixteen steps and minima, and ends with both halves.
        unsafe {
            let (d, dmin) = (V::Floats::of_half(at.values.add(80)), V::Floats::of_half(at.values.add(82)));
            let (first, second) = (eight_bytes(at.values), eight_bytes(at.values.add(8)));
            Factors {
                scales: [
                    d.times(V::Floats::of_bytes(first & LOW)),
                    d.times(V::Floats::of_bytes(second & LOW)),
                ],
                minima: [
                    dmin.times(V::Floats::of_bytes(first >> 4 & LOW)),
                    dmin.times(V::Floats::of_bytes(second >> 4 & LOW)),
                ],
            }
        }
    }
}

impl Unpack for Q3K {
    const SIXTEEN: bool = true;
    const CODES: Codes = Codes::Raised(2);
    const BYTES: usize = 110;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 32 bytes of third bits, then 64 of pairs.
        unsafe {
            let [first, second] = pairs::<V>(at.values.add(32), quarter);
            let (thirds, four) = (V::load(at.values), V::splat(4));
            // Bit g of these bytes belongs to the g-th 32 columns.
            [
                first.or(thirds.having(1 << (2 * quarter)).and(four)),
                second.or(thirds.having(2 << (2 * quarter)).and(four)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; twelve bytes of six-bit steps and a half end the block.
        unsafe {
            let low = eight_bytes(at.values.add(96));
            let upper = u64::from(word(at.values.add(104)));
            let d = V::Floats::of_half(at.values.add(108));
            Factors::sixteen([d.times(steps(low, upper)), d.times(steps(low >> 4, upper >> 4))])
        }
    }
}

/// The steps of Q3_K of low halves of bytes, and of pairs of bits 8·i and 8·i + 2.
#[inline(always)]
fn steps<F: Eight>(low: u64, upper: u64) -> F {
    let upper = (upper | upper >> 2 << 32) & 0x0303_0303_0303_0303;
    F::of_bytes(low & LOW | upper << 4).plus(F::splat(-32.0))
}

impl Unpack for Tq2_0 {
    const CODES: Codes = Codes::Raised(0);
    const BYTES: usize = 66;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; the block begins with 64 bytes of pairs.
        unsafe { pairs(at.values, quarter) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { Factors::eight(V::Floats::of_half(at.values.add(64))) }
    }
}

/// Columns 64 · `quarter`.. of 64 bytes of pairs.
#[inline(always)]
unsafe fn pairs<V: ThirtyTwo>(at: *const u8, quarter: usize) -> [V; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (bytes, three) = (V::load(at.add(quarter / 2 * 32)), V::splat(3));
        if quarter.is_multiple_of(2) {
            [bytes.and(three), bytes.down(2).and(three)]
        } else {
            [bytes.down(4).and(three), bytes.down(6)]
        }
    }
}
