//! NVFP4_G16, NVFP4 with its scales in a plane of their own, as modelopt and compressed-tensors write it.
//!
//! Values: e2m1 nibbles, cols/2 bytes a row, the low half first. Scales: e4m3, [rows, cols/16]. Value = e2m1·scale; the
//! f32 that scales the whole tensor is no part of it.

use crate::block::{end_of_block, extreme, inverse};
use crate::codebook::{self, E2M1};
use crate::float::{e4m3_to_f32, f32_to_e4m3};
use crate::{Row, Strip, strip};

/// Bytes of the values of two groups of 16.
pub(crate) const BYTES: usize = 16;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<16, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_planes::<16, _, _, _>(row, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], scales: &[[u8; 2]; 8], out: &mut Strip) {
    // Half of a scale, since e2m1 is doubled.
    for (scales, out) in scales.iter().zip(out.scales.as_chunks_mut().0) {
        *out = scales.map(|scale| e4m3_to_f32(scale) * 0.5);
    }
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        codebook::in_order(&E2M1, block, codes);
        end_of_block();
    }
}

/// The nibbles and the scales of two groups.
pub(crate) fn encode(values: &[f32; 32]) -> ([u8; BYTES], [u8; 2]) {
    let scales = [0, 16].map(|at| f32_to_e4m3(extreme(&values[at..][..16]).abs() / 6.0));
    let code = |i: usize| {
        let per_step = inverse(e4m3_to_f32(scales[i / 16]) * 0.5);
        codebook::nearest(&E2M1, values[i] * per_step)
    };
    (std::array::from_fn(|i| code(2 * i) | code(2 * i + 1) << 4), scales)
}
