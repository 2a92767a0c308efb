//! Q1_0, 18 bytes for 128 values: an f16 `d`, then a bit for each value in order; value = d where it is set, else −d.

use crate::block::{array, end_of_block, put_f16};
use crate::strip::f16s;
use crate::{Row, Strip, strip};

/// Bytes of one block of 128 values.
pub(crate) const BYTES: usize = 18;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<32, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    out.of_blocks::<32, _, _>(row.values, index, fill);
}

#[inline(always)]
fn fill(blocks: &[[u8; BYTES]; 2], out: &mut Strip) {
    let d = f16s(blocks, 0);
    strip::put(&mut out.scales, std::array::from_fn::<_, 8, _>(|g| d[g / 4]));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut::<128>().0) {
        for (byte, codes) in array::<16>(block, 2).iter().zip(codes.as_chunks_mut::<8>().0) {
            for (j, code) in codes.iter_mut().enumerate() {
                *code = if byte & 1 << j != 0 { 1 } else { -1 };
            }
        }
        end_of_block();
    }
}

/// `d` is the mean magnitude.
pub(crate) fn encode(values: &[f32; 128]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, values.iter().map(|value| value.abs()).sum::<f32>() / 128.0);
    for (i, value) in values.iter().enumerate() {
        bytes[2 + i / 8] |= u8::from(*value >= 0.0) << (i % 8);
    }
    bytes
}
