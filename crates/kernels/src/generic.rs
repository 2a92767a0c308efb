//! Every kernel, once, plainly. [`crate::isa`] compiles this file for each instruction set.
//!
//! All functions are `#[inline(always)]` so that they take on the instruction set of the function they are called
//! from. Fused operations are asked for by name (`mul_add`) and never made by the compiler, so the bits are the same
//! everywhere.

use quant::{Quant, Row};

use crate::exp::exp;
use crate::lanes::{Lanes, dots, max, sum};

#[inline(always)]
pub(crate) fn dequantize(quant: Quant, row: Row<'_>, out: &mut [f32]) {
    quant.dequantize(row, out);
}

#[inline(always)]
pub(crate) fn dot<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let [sum] = dots::<L, 1>(a, [b]);
    sum
}

/// `TILE` tokens at a time share each load of `row`.
#[inline(always)]
pub(crate) fn dot_rows<L: Lanes, const TILE: usize>(row: &[f32], x: &[f32], out: &mut [f32]) {
    let cols = row.len();
    let token = |t: usize| &x[t * cols..][..cols];
    let (tiles, rest) = out.as_chunks_mut::<TILE>();
    let first_of_rest = tiles.len() * TILE;
    for (tile, out) in tiles.iter_mut().enumerate() {
        *out = dots::<L, TILE>(row, std::array::from_fn(|t| token(tile * TILE + t)));
    }
    for (t, out) in rest.iter_mut().enumerate() {
        *out = dot::<L>(row, token(first_of_rest + t));
    }
}

#[inline(always)]
pub(crate) fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

#[inline(always)]
pub(crate) fn add(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

#[inline(always)]
pub(crate) fn rms_norm<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = dot::<L>(x, x) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for (out, (x, weight)) in out.iter_mut().zip(x.iter().zip(weight)) {
        *out = weight * (x * scale);
    }
}

#[inline(always)]
pub(crate) fn silu_mul(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

#[inline(always)]
pub(crate) fn clamped_mul(gate: &mut [f32], up: &[f32], [alpha, shift]: [f32; 2], limit: f32) {
    for (gate, up) in gate.iter_mut().zip(up) {
        // By comparisons that NaN fails, so that it is kept.
        let g = if *gate > limit { limit } else { *gate };
        let u = if *up > limit { limit } else { *up };
        let u = if u < -limit { -limit } else { u };
        *gate = g / (1.0 + exp(-alpha * g)) * (u + shift);
    }
}

/// gate = soft(gate, beta) · sigmoid(gate) · soft(up, linear).
#[inline(always)]
pub(crate) fn soft_mul(gate: &mut [f32], up: &[f32], beta: f32, linear: f32) {
    for (gate, up) in gate.iter_mut().zip(up) {
        let opened = beta * tanh(*gate / beta) / (1.0 + exp(-*gate));
        *gate = opened * (linear * tanh(*up / linear));
    }
}

/// tanh x: near 0 by the polynomial of Cephes, where 1 − 2 / (e^2x + 1) would cancel.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = -5.704_988_7e-3_f32;
    for coefficient in [2.063_909e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8] {
        p = p.mul_add(square, coefficient);
    }
    let near = (p * square).mul_add(x, x);
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

#[inline(always)]
pub(crate) fn softmax(x: &mut [f32]) {
    let most = max(x);
    for x in x.iter_mut() {
        *x = exp(*x - most);
    }
    let total = sum(x);
    for x in x.iter_mut() {
        *x /= total;
    }
}

#[inline(always)]
pub(crate) fn sigmoid(x: &mut [f32]) {
    for x in x.iter_mut() {
        *x = 1.0 / (1.0 + exp(-*x));
    }
}
