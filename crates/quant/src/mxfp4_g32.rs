//! MXFP4_G32, MXFP4 with its scales in a plane of their own: compressed-tensors' `mxfp4-pack-quantized`, the blocks of
//! gpt-oss, and DeepSeek's FP4.
//!
//! Values: e2m1 nibbles, cols/2 bytes a row, the low half first. Scales: e8m0, one byte, [rows, cols/32].
//! Value = e2m1·2^(scale − 127).

use crate::block::{end_of_block, extreme, inverse};
use crate::codebook::{self, E2M1, e8m0_for, half_e8m0};
use crate::{Row, Strip, strip};

/// Bytes of the values of one group of 32.
pub(crate) const BYTES: usize = 16;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<32, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_planes::<32, _, _, _>(row, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], scales: &[[u8; 1]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, scales.map(|[scale]| half_e8m0(scale)));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        codebook::in_order(&E2M1, block, codes);
        end_of_block();
    }
}

/// The nibbles and the scale of one group.
pub(crate) fn encode(values: &[f32; 32]) -> ([u8; BYTES], [u8; 1]) {
    let scale = e8m0_for(extreme(values).abs());
    let code = |i: usize| codebook::nearest(&E2M1, values[i] * inverse(half_e8m0(scale)));
    (std::array::from_fn(|i| code(2 * i) | code(2 * i + 1) << 4), [scale])
}
