//! Products of integer codes in NEON with `sdot`.

use std::ops::Range;

use quant::{Matrix, Quant, Row, Strip};

use super::beside::FourTokens;
use super::thirty_two::Bytes;
use crate::activations::ActivationStrip;
use crate::beside::Beside;
use crate::tiles::{Block, FEW, Order, Sums, Tiles, Tokens, Twelve};
use crate::{stream, tile};

/// See [`crate::Kernels::dot_codes`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
    unsafe { stream::dot::<Bytes>(quant, row, x, spell_strip) }
}

/// Products with many tokens.
pub(crate) const TILES: Tiles =
    Tiles { few: FEW, offset: FourTokens::OFFSET, spell: spell_rows, multiply: multiply_tiles }.checked();

/// See [`crate::tiles::ByRows`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_rows(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
    // SAFETY: as in `dot_codes`.
    unsafe { stream::dot_rows::<Bytes>(matrix, rows, x, spell_strip, out) };
}

#[target_feature(enable = "neon,dotprod")]
fn spell_rows(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
    // SAFETY: this function has the instruction set; its caller checked that the rows have these strips.
    unsafe { tile::spell::<FourTokens>(quant, rows, order, out, spell_strip) }
}

#[target_feature(enable = "neon,dotprod")]
fn multiply_tiles(rows: &Block<'_>, x: Tokens<'_>, ahead: Tokens<'_>, out: &mut [Sums]) {
    // SAFETY: this function has the instruction set.
    unsafe { tile::multiply::<FourTokens>(rows, x, ahead, out) };
    fold(rows.order.groups, out);
}

#[target_feature(enable = "neon,dotprod")]
#[inline(never)]
fn fold(groups: usize, sums: &mut [Sums]) {
    tile::fold(groups, sums);
}

/// [`Quant::strip`], compiled once for all formats.
#[inline(never)]
fn spell_strip(quant: Quant, row: Row<'_>, index: usize, out: &mut Strip) {
    quant.strip(row, index, out);
}
