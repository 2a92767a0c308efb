//! Formats whose nibbles stand for the values of a table of sixteen: IQ4_NL, IQ4_XS and MXFP4.

use quant::codebook::{E2M1, IQ4};

use super::nibbles::{Q4_0, nibbles_in_order};
use super::unpack::{Codes, Factors, Place, Unpack, eight_bytes, nibbles_of, two_bytes, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Iq4Nl;
pub(super) struct Iq4Xs;
pub(super) struct Mxfp4;
pub(super) struct Mxfp4G32;

/// The doubled values of e2m1, raised by 16: products with unsigned codes take fewer steps.
const RAISED_E2M1: [i8; 16] = {
    let mut raised = E2M1;
    let mut i = 0;
    while i < 16 {
        raised[i] += 16;
        i += 1;
    }
    raised
};

impl Unpack for Iq4Nl {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = Q4_0::BYTES;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; blocks are laid out as those of Q4_0.
        unsafe { look_up(&IQ4, Q4_0::codes::<V>(at, quarter)) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above.
        unsafe { Q4_0::factors(at) }
    }
}

impl Unpack for Iq4Xs {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 136;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; 128 bytes of nibbles follow the first 8.
        unsafe {
            let at = at.values.add(8 + 32 * quarter);
            look_up::<V>(&IQ4, [V::nibbles(at), V::nibbles(at.add(16))])
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; a half, eight pairs of bits and eight nibbles begin the block.
        unsafe {
            let upper = u64::from(two_bytes(at.values.add(2)));
            let low = nibbles_of(word(at.values.add(4)));
            // Pairs, a byte each.
            let upper = (upper | upper << 24) & 0x0000_00ff_0000_00ff;
            let upper = (upper | upper << 12) & 0x000f_000f_000f_000f;
            let upper = (upper | upper << 6) & 0x0303_0303_0303_0303;
            let steps = V::Floats::of_bytes(low | upper << 4).plus(V::Floats::splat(-32.0));
            Factors::eight(V::Floats::of_half(at.values).times(steps))
        }
    }
}

impl Unpack for Mxfp4 {
    const CODES: Codes = Codes::Raised(4);
    const BYTES: usize = 8 * 17;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; two of the strip's eight blocks.
        unsafe {
            let at = at.values.add(34 * quarter + 1);
            look_up::<V>(&RAISED_E2M1, [V::nibbles(at), V::nibbles(at.add(17))])
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; each block begins with its scale.
        unsafe {
            let scale = |block: usize| *at.values.add(17 * block);
            let scales = [scale(0), scale(1), scale(2), scale(3), scale(4), scale(5), scale(6), scale(7)];
            Factors::eight(V::Floats::of_exponents(u64::from_le_bytes(scales)))
        }
    }
}

impl Unpack for Mxfp4G32 {
    const CODES: Codes = Codes::Raised(4);
    const BYTES: usize = 128;
    const SCALE_BYTES: usize = 8;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { look_up::<V>(&RAISED_E2M1, nibbles_in_order(at, quarter)) }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: the caller's promise; the strip's eight scales.
        unsafe { Factors::eight(V::Floats::of_exponents(eight_bytes(at.scales))) }
    }
}

/// The entries of `table` that two runs of nibbles name.
#[inline(always)]
fn look_up<V: ThirtyTwo>(table: &[i8; 16], [first, second]: [V; 2]) -> [V; 2] {
    [first.look_up(table), second.look_up(table)]
}
