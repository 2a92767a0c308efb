//! Q5_1, 24 bytes for 32 values: an f16 step `d`, an f16 minimum `m`, then fifth bits and nibbles as in Q5_0;
//! value = d·q + m.

use crate::block::{self, array, end_of_block, f16_at, inverse, put_f16, range};
use crate::strip::{self, f16s};
use crate::{Row, Strip, q5_0};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 24;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 32]) {
    let (d, m) = (f16_at(bytes, 0), f16_at(bytes, 2));
    let fifth = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let (low, high) = out.split_at_mut(16);
    for j in 0..16 {
        let byte = u32::from(bytes[8 + j]);
        low[j] = d * (byte & 15 | (fifth >> j & 1) << 4) as f32 + m;
        high[j] = d * (byte >> 4 | (fifth >> (j + 16) & 1) << 4) as f32 + m;
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
        q5_0::put_strip(array(block, 4), 0, codes);
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let (least, largest) = range(values);
    let d = (largest - least) / 31.0;
    let per_step = inverse(d);
    let codes = values.map(|value| ((value - least) * per_step + 0.5).clamp(0.0, 31.0) as u8);

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    put_f16(&mut bytes, 2, least);
    q5_0::put_codes(&mut bytes[4..], &codes);
    bytes
}
