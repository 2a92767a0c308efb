//! Products of integer codes in AVX2, without and with AVX-VNNI.

use std::ops::Range;

use quant::{Matrix, Quant, Row, Strip};

use super::beside::EightTokens;
use super::thirty_two::Bytes;
use crate::activations::ActivationStrip;
use crate::beside::Beside;
use crate::tiles::{Block, Order, Sums, Tiles, Tokens, Twelve};
use crate::{stream, tile};

/// Products in AVX2 alone.
pub(crate) mod plain {
    use super::*;

    /// See [`crate::Kernels::dot_codes`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
        // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
        unsafe { stream::dot::<Bytes<false>>(quant, row, x, spell_strip) }
    }

    /// See [`crate::tiles::ByRows`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn dot_rows(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
        // SAFETY: as in `dot_codes`.
        unsafe { stream::dot_rows::<Bytes<false>>(matrix, rows, x, spell_strip, out) };
    }
}

/// Products in AVX-VNNI.
pub(crate) mod vnni {
    use super::*;

    /// See [`crate::Kernels::dot_codes`].
    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
        // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
        unsafe { stream::dot::<Bytes<true>>(quant, row, x, spell_strip) }
    }

    /// See [`crate::tiles::ByRows`].
    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    pub(crate) fn dot_rows(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
        // SAFETY: as in `dot_codes`.
        unsafe { stream::dot_rows::<Bytes<true>>(matrix, rows, x, spell_strip, out) };
    }

    /// Products with many tokens.
    pub(crate) const TILES: Tiles =
        Tiles { few: 64, offset: EightTokens::OFFSET, spell: spell_rows, multiply: multiply_tiles }.checked();

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    fn spell_rows(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
        // SAFETY: this function has the instruction set; its caller checked that the rows have these strips.
        unsafe { tile::spell::<EightTokens>(quant, rows, order, out, spell_strip) }
    }

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    fn multiply_tiles(rows: &Block<'_>, x: Tokens<'_>, ahead: Tokens<'_>, out: &mut [Sums]) {
        // SAFETY: this function has the instruction set.
        unsafe { tile::multiply::<EightTokens>(rows, x, ahead, out) };
        fold(rows.order.groups, out);
    }

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    #[inline(never)]
    fn fold(groups: usize, sums: &mut [Sums]) {
        tile::fold(groups, sums);
    }
}

/// [`Quant::strip`], compiled for this instruction set, once for all formats.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline(never)]
fn spell_strip(quant: Quant, row: Row<'_>, index: usize, out: &mut Strip) {
    quant.strip(row, index, out);
}
