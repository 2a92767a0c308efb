//! Q4_K, Q5_K and Q6_K: a block is a strip.

use super::unpack::{Codes, Factors, Place, Unpack, eight_bytes, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

impl Unpack for Q4K {
    const MINIMA: bool = true;
    const CODES: Codes = Codes::Unsigned;
    const BYTES: usize = 144;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 128 bytes of nibbles follow the first 16.
        unsafe { halves(V::load(at.values.add(16 + 32 * quarter))) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { scales_and_minima(at) }
    }
}

impl Unpack for Q5K {
    const MINIMA: bool = true;
    const CODES: Codes = Codes::Unsigned;
    const BYTES: usize = 176;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 32 bytes of fifth bits, then 128 of nibbles follow the first 16.
        unsafe {
            let fifths = V::load(at.values.add(16));
            let [low, high] = halves(V::load(at.values.add(48 + 32 * quarter)));
            // Bit g of these bytes belongs to the g-th 32 columns.
            let sixteen = V::splat(16);
            [
                low.or(fifths.having(1 << (2 * quarter)).and(sixteen)),
                high.or(fifths.having(2 << (2 * quarter)).and(sixteen)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise.
        unsafe { scales_and_minima(at) }
    }
}

impl Unpack for Q6K {
    const SIXTEEN: bool = true;
    const CODES: Codes = Codes::Raised(5);
    const BYTES: usize = 210;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 128 bytes of nibbles, then 64 of upper pairs.
        unsafe {
            let (half, upper) = (quarter / 2, quarter % 2 == 1);
            let (first, second) = (at.values.add(64 * half), at.values.add(64 * half + 32));
            let (first, second) = (V::load(first), V::load(second));
            let pairs = V::load(at.values.add(128 + 32 * half));
            if upper {
                let upper = V::splat(0x30);
                return [first.down(4).or(pairs.and(upper)), second.down(4).or(pairs.down(2).and(upper))];
            }
            let low = V::splat(15);
            [
                first.and(low).or(pairs.and(V::splat(3)).up(4)),
                second.and(low).or(pairs.and(V::splat(12)).up(2)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; sixteen signed steps and a half end the block.
        unsafe {
            let factor = V::Floats::of_half(at.values.add(208));
            let (first, second) = (eight_bytes(at.values.add(192)), eight_bytes(at.values.add(200)));
            Factors::sixteen([
                factor.times(V::Floats::of_signed_bytes(first)),
                factor.times(V::Floats::of_signed_bytes(second)),
            ])
        }
    }
}

/// The low and the high halves of bytes.
#[inline(always)]
fn halves<V: ThirtyTwo>(bytes: V) -> [V; 2] {
    [bytes.and(V::splat(15)), bytes.down(4)]
}

/// `d` times the eight steps, and `dmin` times the eight minima, of a block that begins with both halves and twelve
/// bytes of six-bit numbers.
#[inline(always)]
unsafe fn scales_and_minima<V: ThirtyTwo>(at: Place) -> Factors<V> {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b, c) = (word(at.values.add(4)), word(at.values.add(8)), word(at.values.add(12)));
        let steps = joined(a & 0x3f3f_3f3f, c & 0x0f0f_0f0f | (a >> 6 & 0x0303_0303) << 4);
        let minima = joined(b & 0x3f3f_3f3f, c >> 4 & 0x0f0f_0f0f | (b >> 6 & 0x0303_0303) << 4);
        Factors::with_minima(
            V::Floats::of_half(at.values).times(V::Floats::of_bytes(steps)),
            V::Floats::of_half(at.values.add(2)).times(V::Floats::of_bytes(minima)),
        )
    }
}

#[inline(always)]
fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
