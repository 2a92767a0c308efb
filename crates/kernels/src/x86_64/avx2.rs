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
        let mut out = [0.0];
        // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
        unsafe { stream::dot::<Bytes<false>>(quant, row, x, spell_strip, &mut out) };
        out[0]
    }

    /// Products with many tokens.
    pub(crate) const TILES: Tiles = Tiles {
        offset: EightTokens::<false>::OFFSET,
        turn: None,
        few,
        spell: spell_rows,
        multiply: multiply_tiles,
    };

    #[target_feature(enable = "avx2,fma,f16c")]
    fn few(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
        let tokens = out.len() / rows.len();
        for (row, out) in rows.zip(out.chunks_exact_mut(tokens)) {
            // SAFETY: as in `dot_codes`.
            unsafe { stream::dot::<Bytes<false>>(matrix.quant(), matrix.row(row), x, spell_strip, out) };
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn spell_rows(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
        // SAFETY: this function has the instruction set; its caller checked that the rows have these strips.
        unsafe { tile::spell::<EightTokens<false>>(quant, rows, order, out, spell_strip) }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn multiply_tiles(rows: &Block<'_>, x: Tokens<'_>, ahead: Tokens<'_>, out: &mut [Sums]) {
        // SAFETY: this function has the instruction set.
        unsafe { tile::multiply::<EightTokens<false>>(rows, x, ahead, out) };
        fold(rows.order.groups, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline(never)]
    fn fold(groups: usize, sums: &mut [Sums]) {
        tile::fold(groups, sums);
    }
}

/// Products in AVX-VNNI.
pub(crate) mod vnni {
    use super::*;

    /// See [`crate::Kernels::dot_codes`].
    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
        let mut out = [0.0];
        // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
        unsafe { stream::dot::<Bytes<true>>(quant, row, x, spell_strip, &mut out) };
        out[0]
    }

    /// Products with many tokens.
    pub(crate) const TILES: Tiles = Tiles {
        offset: EightTokens::<true>::OFFSET,
        turn: None,
        few,
        spell: spell_rows,
        multiply: multiply_tiles,
    };

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    fn few(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
        let tokens = out.len() / rows.len();
        for (row, out) in rows.zip(out.chunks_exact_mut(tokens)) {
            // SAFETY: as in `dot_codes`.
            unsafe { stream::dot::<Bytes<true>>(matrix.quant(), matrix.row(row), x, spell_strip, out) };
        }
    }

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    fn spell_rows(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
        // SAFETY: this function has the instruction set; its caller checked that the rows have these strips.
        unsafe { tile::spell::<EightTokens<true>>(quant, rows, order, out, spell_strip) }
    }

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    fn multiply_tiles(rows: &Block<'_>, x: Tokens<'_>, ahead: Tokens<'_>, out: &mut [Sums]) {
        // SAFETY: this function has the instruction set.
        unsafe { tile::multiply::<EightTokens<true>>(rows, x, ahead, out) };
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
