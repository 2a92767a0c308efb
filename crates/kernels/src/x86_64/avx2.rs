//! Products of integer codes in AVX2, without and with AVX-VNNI.

use quant::{Quant, Row, Strip};

use super::thirty_two::Bytes;
use crate::activations::ActivationStrip;
use crate::stream;

/// Products in AVX2 alone.
pub(crate) mod plain {
    use super::*;

    /// See [`crate::Kernels::dot_codes`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
        // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
        unsafe { stream::dot::<Bytes<false>>(quant, row, x, spell_strip) }
    }

    /// See [`crate::tiles::Many::OneByOne`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn dot_spelled(quant: Quant, row: &[Strip], x: &[ActivationStrip]) -> f32 {
        // SAFETY: this function has the instruction set.
        unsafe { stream::dot_spelled::<Bytes<false>>(quant, row, x) }
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

    /// See [`crate::tiles::Many::OneByOne`].
    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    pub(crate) fn dot_spelled(quant: Quant, row: &[Strip], x: &[ActivationStrip]) -> f32 {
        // SAFETY: this function has the instruction set.
        unsafe { stream::dot_spelled::<Bytes<true>>(quant, row, x) }
    }
}

/// See [`crate::tiles::Many::OneByOne`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn spell(quant: Quant, row: Row<'_>, out: &mut [Strip]) {
    crate::integer::spell(quant, row, out);
}

/// [`Quant::strip`], compiled for this instruction set, once for all formats.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline(never)]
fn spell_strip(quant: Quant, row: Row<'_>, index: usize, out: &mut Strip) {
    quant.strip(row, index, out);
}
