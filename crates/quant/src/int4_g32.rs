//! INT4_G32, compressed-tensors' `pack-quantized` with groups of 32, as the Kimi K2 checkpoints publish it.
//!
//! Values: packed nibbles, cols/2 bytes a row, the low half first (its int32 words are these bytes in order).
//! Scales: bf16 [rows, cols/32]. Value = (q − 8)·scale, exact in f32.

use crate::block::{end_of_block, extreme, inverse};
use crate::float::{bf16_to_f32, f32_to_bf16};
use crate::{Row, Strip, strip};

/// Bytes of the values of one group of 32.
pub(crate) const BYTES: usize = 16;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    let groups = row.values.as_chunks().0.iter().zip(row.scales.as_chunks().0);
    for ((codes, scale), out) in groups.zip(out.as_chunks_mut().0) {
        decode(codes, bf16_to_f32(u16::from_le_bytes(*scale)), out);
        end_of_block();
    }
}

#[inline(always)]
fn decode(codes: &[u8; BYTES], scale: f32, out: &mut [f32; 32]) {
    for (word, out) in codes.as_chunks().0.iter().zip(out.as_chunks_mut::<8>().0) {
        let word = u32::from_le_bytes(*word);
        for (j, out) in out.iter_mut().enumerate() {
            *out = ((word >> (4 * j) & 15) as i32 - 8) as f32 * scale;
        }
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_planes::<32, _, _, _>(row, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], scales: &[[u8; 2]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, scales.map(|scale| bf16_to_f32(u16::from_le_bytes(scale))));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut::<32>().0) {
        for j in 0..16 {
            codes[2 * j] = (block[j] & 15).wrapping_sub(8) as i8;
            codes[2 * j + 1] = (block[j] >> 4).wrapping_sub(8) as i8;
        }
        end_of_block();
    }
}

/// The nibbles and the bf16 scale of one group; the scale is the extreme over 7.5, as compressed-tensors picks it.
pub(crate) fn encode(values: &[f32; 32]) -> ([u8; BYTES], [u8; 2]) {
    let scale = f32_to_bf16(extreme(values).abs() / 7.5);
    let per_step = inverse(bf16_to_f32(scale));
    let code = |value: f32| ((value * per_step).round_ties_even().clamp(-8.0, 7.0) + 8.0) as u8;
    (std::array::from_fn(|i| code(values[2 * i]) | code(values[2 * i + 1]) << 4), scale.to_le_bytes())
}
