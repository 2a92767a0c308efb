//! FP8_B128, fp8 e4m3 with a scale for each 128×128 block, as the DeepSeek checkpoints publish it.
//!
//! Values: one byte each, [rows, cols]; neither side need divide by 128. Scales: f32 [⌈rows/128⌉, ⌈cols/128⌉], called
//! `weight_scale_inv` in the files and a multiplier all the same. Value = e4m3·scale.

use crate::block::{extreme, inverse};
use crate::float::{E4M3_MAX, e4m3_to_f32, f32_to_e4m3};
use crate::{Encoded, Row};

/// Rows and columns one scale covers.
pub(crate) const SIDE: usize = 128;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    let blocks = row.values.chunks(SIDE).zip(row.scales.as_chunks().0);
    for ((codes, scale), out) in blocks.zip(out.chunks_mut(SIDE)) {
        let scale = f32::from_le_bytes(*scale);
        for (out, code) in out.iter_mut().zip(codes) {
            *out = e4m3_to_f32(*code) * scale;
        }
    }
}

/// Encodes a matrix of `cols` columns; each scale maps the extreme of its block to the largest e4m3.
pub(crate) fn encode(cols: usize, values: &[f32]) -> Encoded {
    let mut encoded = Encoded { values: vec![0; values.len()], scales: Vec::new() };
    if values.is_empty() {
        return encoded;
    }
    for (band, values) in values.chunks(cols * SIDE).enumerate() {
        for first in (0..cols).step_by(SIDE) {
            let block = || values.chunks(cols).map(|row| &row[first..cols.min(first + SIDE)]);
            let scale = extreme(&block().map(extreme).collect::<Vec<_>>()).abs() / E4M3_MAX;
            encoded.scales.extend(scale.to_le_bytes());

            let per_step = inverse(scale);
            for (r, row) in block().enumerate() {
                let at = (band * SIDE + r) * cols + first;
                for (byte, value) in encoded.values[at..].iter_mut().zip(row) {
                    *byte = f32_to_e4m3(value * per_step);
                }
            }
        }
    }
    encoded
}
