//! Q4_0, 18 bytes for 32 values: an f16 step `d`, then 16 bytes of nibbles, value j in the low half of byte j and
//! value j + 16 in the high half; value = d·(q − 8).

use crate::block::{self, array, end_of_block, extreme, f16_at, inverse, put_f16};
use crate::strip::{self, f16s, halves};
use crate::{Row, Strip};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 18;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = f16_at(bytes, 0);
    let codes: [u8; 16] = std::array::from_fn(|j| bytes[2 + j]);
    let (low, high) = out.split_at_mut(16);
    for (out, code) in low.iter_mut().zip(codes.map(|byte| byte & 15)) {
        *out = d * (i32::from(code) - 8) as f32;
    }
    for (out, code) in high.iter_mut().zip(codes.map(|byte| byte >> 4)) {
        *out = d * (i32::from(code) - 8) as f32;
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<32, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, f16s(blocks, 0));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        halves(array(block, 2), 8, codes);
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    // The extreme value is spelled −8, the one code without a positive twin, so it is met exactly.
    let d = extreme(values) / -8.0;
    let per_step = inverse(d);
    let code = |value: f32| (value * per_step + 8.5).clamp(0.0, 15.0) as u8;

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for j in 0..16 {
        bytes[2 + j] = code(values[j]) | code(values[j + 16]) << 4;
    }
    bytes
}
