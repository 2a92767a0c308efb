//! Q4_1, 20 bytes for 32 values: an f16 step `d`, an f16 minimum `m`, then nibbles as in Q4_0; value = d·q + m.

use crate::block::{self, array, end_of_block, f16_at, inverse, put_f16, range};
use crate::strip::{self, f16s, halves};
use crate::{Row, Strip};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 20;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 32]) {
    let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
    let codes: [u8; 16] = std::array::from_fn(|j| bytes[4 + j]);
    let (low, high) = out.split_at_mut(16);
    for (out, code) in low.iter_mut().zip(codes.map(|byte| byte & 15)) {
        *out = d * f32::from(code) + m;
    }
    for (out, code) in high.iter_mut().zip(codes.map(|byte| byte >> 4)) {
        *out = d * f32::from(code) + m;
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<32, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, f16s(blocks, 0));
    strip::put(&mut out.minima, f16s(blocks, 2).map(|m| -m));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        halves(array(block, 4), 0, codes);
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let (least, largest) = range(values);
    let d = (largest - least) / 15.0;
    let per_step = inverse(d);
    let code = |value: f32| ((value - least) * per_step + 0.5).clamp(0.0, 15.0) as u8;

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    put_f16(&mut bytes, 2, least);
    for j in 0..16 {
        bytes[4 + j] = code(values[j]) | code(values[j + 16]) << 4;
    }
    bytes
}
