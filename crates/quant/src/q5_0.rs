//! Q5_0, 22 bytes for 32 values: an f16 step `d`, the 32 fifth bits as one u32 (bit j for value j), then nibbles as
//! in Q4_0; value = d·(q − 16).

use crate::block::{self, array, end_of_block, extreme, f16_at, inverse, put_f16};
use crate::strip::{self, f16s};
use crate::{Row, Strip};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 22;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = f16_at(bytes, 0);
    let fifth = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    let (low, high) = out.split_at_mut(16);
    for j in 0..16 {
        let byte = u32::from(bytes[6 + j]);
        low[j] = d * ((byte & 15 | (fifth >> j & 1) << 4) as i32 - 16) as f32;
        high[j] = d * ((byte >> 4 | (fifth >> (j + 16) & 1) << 4) as i32 - 16) as f32;
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
        put_strip(array(block, 2), 16, codes);
        end_of_block();
    }
}

/// The 32 codes of four bytes of fifth bits and 16 of nibbles, less `bias`.
#[inline(always)]
pub(crate) fn put_strip(bytes: &[u8; 20], bias: u8, codes: &mut [i8; 32]) {
    // Bit j % 8 of byte j / 8 of the fifth bits belongs to value j.
    let fifth: [u8; 32] = std::array::from_fn(|j| bytes[j / 8]);
    for j in 0..16 {
        let [low, high] = [j, 16 + j].map(|j| if fifth[j] & 1 << (j % 8) != 0 { 16 } else { 0 });
        codes[j] = (bytes[4 + j] & 15 | low).wrapping_sub(bias) as i8;
        codes[16 + j] = (bytes[4 + j] >> 4 | high).wrapping_sub(bias) as i8;
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let d = extreme(values) / -16.0;
    let per_step = inverse(d);
    let codes = values.map(|value| (value * per_step + 16.5).clamp(0.0, 31.0) as u8);

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    put_codes(&mut bytes[2..], &codes);
    bytes
}

/// Writes 32 five-bit codes: four bytes of fifth bits, then 16 of nibbles.
pub(crate) fn put_codes(bytes: &mut [u8], codes: &[u8; 32]) {
    let fifth = codes.iter().enumerate().fold(0, |bits, (j, code)| bits | u32::from(code >> 4) << j);
    bytes[..4].copy_from_slice(&fifth.to_le_bytes());
    for j in 0..16 {
        bytes[4 + j] = codes[j] & 15 | codes[j + 16] << 4;
    }
}
