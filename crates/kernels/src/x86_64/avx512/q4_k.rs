//! Q4_K: one block of 144 bytes is a strip.

use quant::{Quant, Row};

use super::k_scales::scales_and_minima;
use super::unpack::{Unpack, Unpacked, nibble_pairs, strip_of};

pub(super) struct Q4K;

impl Unpack for Q4K {
    const SIXTEEN: bool = false;
    const MINIMA: bool = true;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn strip(_: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise; all loads lie within the block.
        unsafe {
            let at = strip_of::<144>(row, index);
            let (scales, minima) = scales_and_minima(at);
            // One by one: a closure may be compiled apart, without the instruction set.
            let (first, second) = (nibble_pairs(at.add(16)), nibble_pairs(at.add(48)));
            let codes = [first, second, nibble_pairs(at.add(80)), nibble_pairs(at.add(112))];
            Unpacked { codes, scales, minima }
        }
    }
}
