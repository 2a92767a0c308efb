//! NVFP4 as GGML lays it out, 36 bytes for 64 values: four e4m3 scales without sign, one for 16 values, then 8 bytes of
//! e2m1 nibbles for each, value j in the low half of byte j and value j + 8 in the high half; value = e2m1·scale.
//!
//! What the whole tensor is scaled with lies in a tensor of its own.

use crate::block::{array, end_of_block, extreme, inverse};
use crate::codebook::{self, E2M1};
use crate::float::{e4m3_to_f32, f32_to_e4m3};
use crate::{Row, Strip, strip};

/// Bytes of one block of 64 values.
pub(crate) const BYTES: usize = 36;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<16, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<16, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 4], out: &mut Strip) {
    for (block, scales) in blocks.iter().zip(out.scales.as_chunks_mut::<4>().0) {
        *scales = array::<4>(block, 0).map(half_scale);
    }
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut::<64>().0) {
        let groups = block[4..].as_chunks::<8>().0.iter().zip(codes.as_chunks_mut::<16>().0);
        for (bytes, codes) in groups {
            for j in 0..8 {
                codes[j] = E2M1[usize::from(bytes[j] & 15)];
                codes[8 + j] = E2M1[usize::from(bytes[j] >> 4)];
            }
        }
        end_of_block();
    }
}

/// Half of a scale, since e2m1 is doubled. GGML reads 0x7f as 0, and passes over the sign; so does this.
#[inline(always)]
fn half_scale(bits: u8) -> f32 {
    match bits {
        0x7f => 0.0,
        0xff => 240.0,
        _ => e4m3_to_f32(bits & 0x7f) * 0.5,
    }
}

pub(crate) fn encode(values: &[f32; 64]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (g, values) in values.chunks_exact(16).enumerate() {
        bytes[g] = f32_to_e4m3(extreme(values).abs() / 6.0);
        let per_step = inverse(half_scale(bytes[g]));
        for (i, value) in values.iter().enumerate() {
            bytes[4 + g * 8 + i % 8] |= codebook::nearest(&E2M1, value * per_step) << (i / 8 * 4);
        }
    }
    bytes
}
