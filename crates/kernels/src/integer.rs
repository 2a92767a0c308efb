//! Products of integer codes: the canonical order, spelled plainly.
//!
//! A row of weights and a token are cut into strips of 256 columns, those into groups of 16 or 32 that share a weight
//! scale. The codes of a group are multiplied and summed as integers, which is exact; the sum times the weight's
//! scale, times the activation's, is added, fused, to the lane of the group's number within its strip; then, where a
//! format has minima, minus the minimum times the activations' total. In the end the 8 or 16 lanes are folded in
//! halves. Every instruction set follows this order, for one token and for many, so all give the same bits.

use quant::{Group, Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};

/// The product of a row of weights with a token.
#[inline(always)]
pub(crate) fn dot(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    let mut strip = Strip::ZERO;
    let mut lanes = [0.0; 16];
    for (index, x) in x.iter().enumerate() {
        quant.strip(row, index, &mut strip);
        add_strip(quant, &strip, x, &mut lanes);
    }
    fold(quant, lanes)
}

/// The row's strips.
#[inline(always)]
pub(crate) fn spell(quant: Quant, row: Row<'_>, out: &mut [Strip]) {
    for (index, out) in out.iter_mut().enumerate() {
        quant.strip(row, index, out);
    }
}

/// The product of a row's strips with a token.
pub(crate) fn dot_spelled(quant: Quant, row: &[Strip], x: &[ActivationStrip]) -> f32 {
    let mut lanes = [0.0; 16];
    for (strip, x) in row.iter().zip(x) {
        add_strip(quant, strip, x, &mut lanes);
    }
    fold(quant, lanes)
}

/// Adds the products of one strip to the lanes of a sum.
#[inline(always)]
pub(crate) fn add_strip(quant: Quant, w: &Strip, x: &ActivationStrip, lanes: &mut [f32; 16]) {
    match quant.strip_group() {
        Some(Group::Sixteen) => {
            add_groups::<16, 16>(w, x, &x.scales16, &x.totals16, quant.has_minima(), lanes)
        }
        _ => add_groups::<32, 8>(w, x, &x.scales32, &x.totals32, quant.has_minima(), lanes),
    }
}

#[inline(always)]
fn add_groups<const LEN: usize, const COUNT: usize>(
    w: &Strip,
    x: &ActivationStrip,
    scales: &[f32; COUNT],
    totals: &[f32; COUNT],
    has_minima: bool,
    lanes: &mut [f32; 16],
) {
    const { assert!(LEN * COUNT == STRIP) };
    let (a, b) = (w.codes.as_chunks::<LEN>().0, x.codes.as_chunks::<LEN>().0);
    for g in 0..COUNT {
        let mut sum = 0;
        for (a, b) in a[g].iter().zip(&b[g]) {
            sum += i32::from(i16::from(*a) * i16::from(*b));
        }
        lanes[g] = (sum as f32 * w.scales[g]).mul_add(scales[g], lanes[g]);
        if has_minima {
            lanes[g] = (-w.minima[g]).mul_add(totals[g], lanes[g]);
        }
    }
}

/// The sum of the lanes that `quant` uses.
#[inline(always)]
pub(crate) fn fold(quant: Quant, mut lanes: [f32; 16]) -> f32 {
    let mut half = if quant.strip_group() == Some(Group::Sixteen) { 8 } else { 4 };
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}
