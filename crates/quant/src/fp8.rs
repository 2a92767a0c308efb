//! FP8, e4m3 with a scale for each square of values, as checkpoints publish it: FP8_B128 with f32 scales of 128×128
//! (DeepSeek-V3), FP8_B128_E8M0 and FP8_B32_E8M0 with powers of two.
//!
//! Values: one byte each, [rows, cols]; neither side need divide by that of a square. Scales: [⌈rows/side⌉,
//! ⌈cols/side⌉], sometimes called `weight_scale_inv` and a multiplier all the same. Value = e4m3·scale.

use crate::block::{extreme, inverse};
use crate::float::{E4M3_MAX, e4m3_to_f32, e8m0_to_f32, f32_to_e4m3};
use crate::{Encoded, Row};

#[inline(always)]
pub(crate) fn dequantize<const SIDE: usize>(row: Row<'_>, out: &mut [f32]) {
    let scales = row.scales.as_chunks().0.iter().map(|scale| f32::from_le_bytes(*scale));
    squares::<SIDE>(row.values, scales, out);
}

#[inline(always)]
pub(crate) fn dequantize_e8m0<const SIDE: usize>(row: Row<'_>, out: &mut [f32]) {
    squares::<SIDE>(row.values, row.scales.iter().map(|scale| e8m0_to_f32(*scale)), out);
}

#[inline(always)]
fn squares<const SIDE: usize>(values: &[u8], scales: impl Iterator<Item = f32>, out: &mut [f32]) {
    for ((codes, scale), out) in values.chunks(SIDE).zip(scales).zip(out.chunks_mut(SIDE)) {
        for (out, code) in out.iter_mut().zip(codes) {
            *out = e4m3_to_f32(*code) * scale;
        }
    }
}

/// Encodes a matrix of `cols` columns; each f32 scale maps the extreme of its square to the largest e4m3.
pub(crate) fn encode(side: usize, cols: usize, values: &[f32]) -> Encoded {
    encode_by(side, cols, values, |scale| (scale, scale.to_le_bytes().to_vec()))
}

/// As [`encode`], with the next larger power of two.
pub(crate) fn encode_e8m0(side: usize, cols: usize, values: &[f32]) -> Encoded {
    encode_by(side, cols, values, |scale| {
        let exponent = (scale.to_bits().div_ceil(1 << 23)).clamp(1, 254) as u8;
        (e8m0_to_f32(exponent), vec![exponent])
    })
}

/// `store` says which scale stands for the one that is wanted, and its bytes.
fn encode_by(side: usize, cols: usize, values: &[f32], store: impl Fn(f32) -> (f32, Vec<u8>)) -> Encoded {
    let mut encoded = Encoded { values: vec![0; values.len()], scales: Vec::new() };
    if values.is_empty() {
        return encoded;
    }
    for (band, values) in values.chunks(cols * side).enumerate() {
        for first in (0..cols).step_by(side) {
            let square = || values.chunks(cols).map(|row| &row[first..cols.min(first + side)]);
            let most = extreme(&square().map(extreme).collect::<Vec<_>>()).abs();
            let (scale, bytes) = store(most / E4M3_MAX);
            encoded.scales.extend(bytes);

            let per_step = inverse(scale);
            for (r, row) in square().enumerate() {
                let at = (band * side + r) * cols + first;
                for (byte, value) in encoded.values[at..].iter_mut().zip(row) {
                    *byte = f32_to_e4m3(value * per_step);
                }
            }
        }
    }
    encoded
}
