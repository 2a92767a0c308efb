//! MXFP4 as GGML lays it out, 17 bytes for 32 values: an e8m0 scale, then e2m1 nibbles, value j in the low half of byte
//! j and value j + 16 in the high half; value = e2m1·2^(scale − 127).

use crate::block::{array, end_of_block, extreme, inverse};
use crate::codebook::{self, E2M1, e8m0_for, half_e8m0};
use crate::{Row, Strip, strip};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 17;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<32, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<32, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, blocks.map(|block| half_e8m0(block[0])));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        codebook::halves(&E2M1, array(block, 1), codes);
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let scale = e8m0_for(extreme(values).abs());
    let mut bytes = [0; BYTES];
    bytes[0] = scale;
    for (i, value) in values.iter().enumerate() {
        bytes[1 + i % 16] |= codebook::nearest(&E2M1, value * inverse(half_e8m0(scale))) << (i / 16 * 4);
    }
    bytes
}
