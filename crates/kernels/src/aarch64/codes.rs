//! Products of integer codes in NEON with `sdot`.

use quant::{Quant, Row, Strip};

use super::thirty_two::Bytes;
use crate::activations::ActivationStrip;
use crate::stream;

/// See [`crate::Kernels::dot_codes`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
    unsafe { stream::dot::<Bytes>(quant, row, x, spell_strip) }
}

/// See [`crate::tiles::Many::OneByOne`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_spelled(quant: Quant, row: &[Strip], x: &[ActivationStrip]) -> f32 {
    // SAFETY: this function has the instruction set.
    unsafe { stream::dot_spelled::<Bytes>(quant, row, x) }
}

/// See [`crate::tiles::Many::OneByOne`].
pub(crate) fn spell(quant: Quant, row: Row<'_>, out: &mut [Strip]) {
    crate::integer::spell(quant, row, out);
}

/// [`Quant::strip`], compiled once for all formats.
#[inline(never)]
fn spell_strip(quant: Quant, row: Row<'_>, index: usize, out: &mut Strip) {
    quant.strip(row, index, out);
}
