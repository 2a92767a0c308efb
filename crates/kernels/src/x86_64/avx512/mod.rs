//! Products of integer codes in AVX-512 with VNNI.
//!
//! `vpdpbusd` multiplies unsigned bytes with signed ones, so here codes are shifted up by a format's `OFFSET`, and
//! the offset times the activations' sum is taken off again: all in integers, so the bits are those of the plain
//! spelling in `integer.rs`.

mod unpack;

mod int4_g32;
mod k_scales;
mod fives;
mod q4_0;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;

mod bit_pairs;
mod tq1_0;
mod bits;
mod eighths;
mod grids;
mod tables;
mod nvfp4;

mod dot;
mod few;

mod quantize;

mod beside;
mod spell;

use std::ops::Range;

use quant::{Matrix, Quant, Row};

use crate::activations::ActivationStrip;
use crate::beside::Beside;
use crate::tile;
use crate::tiles::{Block, Order, Sums, Tiles, Tokens, Twelve};

use unpack::Spelled;

/// Calls `$work::<U>` for the way `$quant` is unpacked: by hand where a row below says so.
macro_rules! with_unpack {
    ($quant:expr, $work:ident ( $($argument:expr),* )) => {
        match $quant {
            Quant::Q4_0 => $work::<q4_0::Q4_0>($($argument),*),
            Quant::Q8_0 => $work::<q8_0::Q8_0>($($argument),*),
            Quant::Q4_1 => $work::<fives::Q4_1>($($argument),*),
            Quant::Q5_0 => $work::<fives::Q5_0>($($argument),*),
            Quant::Q5_1 => $work::<fives::Q5_1>($($argument),*),
            Quant::Tq1_0 => $work::<tq1_0::Tq1_0>($($argument),*),
            Quant::Q4K => $work::<q4_k::Q4K>($($argument),*),
            Quant::Q5K => $work::<q5_k::Q5K>($($argument),*),
            Quant::Q6K => $work::<q6_k::Q6K>($($argument),*),
            Quant::Int4G32 => $work::<int4_g32::Int4G32>($($argument),*),
            Quant::Q2K => $work::<bit_pairs::Q2K>($($argument),*),
            Quant::Q3K => $work::<bit_pairs::Q3K>($($argument),*),
            Quant::Tq2_0 => $work::<bit_pairs::Tq2_0>($($argument),*),
            Quant::Q1_0 => $work::<bits::Q1_0>($($argument),*),
            Quant::Q2_0 => $work::<bits::Q2_0>($($argument),*),
            Quant::Iq1S => $work::<eighths::Iq1S>($($argument),*),
            Quant::Iq1M => $work::<eighths::Iq1M>($($argument),*),
            Quant::Nvfp4 => $work::<nvfp4::Nvfp4>($($argument),*),
            Quant::Nvfp4G16 => $work::<nvfp4::Nvfp4G16>($($argument),*),
            Quant::Iq2Xxs => $work::<grids::Iq2Xxs>($($argument),*),
            Quant::Iq2Xs => $work::<grids::Iq2Xs>($($argument),*),
            Quant::Iq2S => $work::<grids::Iq2S>($($argument),*),
            Quant::Iq3Xxs => $work::<grids::Iq3Xxs>($($argument),*),
            Quant::Iq3S => $work::<grids::Iq3S>($($argument),*),
            Quant::Iq4Nl => $work::<tables::Iq4Nl>($($argument),*),
            Quant::Iq4Xs => $work::<tables::Iq4Xs>($($argument),*),
            Quant::Mxfp4 => $work::<tables::Mxfp4>($($argument),*),
            Quant::Mxfp4G32 => $work::<tables::Mxfp4G32>($($argument),*),
            other => match (other.strip_group() == Some(quant::Group::Sixteen), other.has_minima()) {
                (false, false) => $work::<Spelled<false, false>>($($argument),*),
                (false, true) => $work::<Spelled<false, true>>($($argument),*),
                (true, false) => $work::<Spelled<true, false>>($($argument),*),
                (true, true) => $work::<Spelled<true, true>>($($argument),*),
            },
        }
    };
}

pub(crate) use quantize::quantize;

use beside::Sixteen;
use dot::dot;
use few::few;
use spell::spell;

/// See [`crate::Kernels::dot_codes`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    // SAFETY: this function has the instruction set; its caller checked that the row has these strips.
    unsafe { with_unpack!(quant, dot(quant, row, x)) }
}

/// Products with many tokens.
pub(crate) const TILES: Tiles =
    Tiles { few: 24, offset: Sixteen::OFFSET, spell: spell_rows, multiply: multiply_tiles }.checked();

/// See [`crate::tiles::ByRows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
pub(crate) fn dot_rows(matrix: Matrix<'_>, rows: Range<usize>, x: &[ActivationStrip], out: &mut [f32]) {
    // SAFETY: this function has the instruction set; its caller checked that the rows have these strips.
    unsafe { with_unpack!(matrix.quant(), few(matrix, rows, x, out)) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
fn spell_rows(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
    // SAFETY: as in `dot_rows`.
    unsafe { with_unpack!(quant, spell(quant, rows, order, out)) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
fn multiply_tiles(rows: &Block<'_>, x: Tokens<'_>, ahead: Tokens<'_>, out: &mut [Sums]) {
    // SAFETY: this function has the instruction set.
    unsafe { tile::multiply::<Sixteen>(rows, x, ahead, out) };
    fold(rows.order.groups, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
#[inline(never)]
fn fold(groups: usize, sums: &mut [Sums]) {
    tile::fold(groups, sums);
}
