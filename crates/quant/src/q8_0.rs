//! Q8_0, 34 bytes for 32 values: an f16 step `d`, then 32 signed bytes; value = d·q.

use crate::block::{self, end_of_block, extreme, f16_at, inverse, put_f16};
use crate::strip::{self, f16s};
use crate::{Row, Strip};

/// Bytes of one block of 32 values.
pub(crate) const BYTES: usize = 34;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = f16_at(bytes, 0);
    for (j, out) in out.iter_mut().enumerate() {
        *out = d * f32::from(bytes[2 + j] as i8);
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<32, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, f16s(blocks, 0));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut::<32>().0) {
        for j in 0..32 {
            codes[j] = block[2 + j] as i8;
        }
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let d = extreme(values).abs() / 127.0;
    let per_step = inverse(d);

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (byte, value) in bytes[2..].iter_mut().zip(values) {
        *byte = (value * per_step).round() as i8 as u8;
    }
    bytes
}
