//! Q2_0, 18 bytes for 64 values: an f16 `d`, then a bit pair for each value in order; value = d·(q − 1).

use crate::block::{array, end_of_block, extreme, inverse, put_f16};
use crate::strip::f16s;
use crate::{Row, Strip, strip};

/// Bytes of one block of 64 values.
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
fn fill(blocks: &[[u8; BYTES]; 4], out: &mut Strip) {
    let d = f16s(blocks, 0);
    strip::put(&mut out.scales, std::array::from_fn::<_, 8, _>(|g| d[g / 2]));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut::<64>().0) {
        for (byte, codes) in array::<16>(block, 2).iter().zip(codes.as_chunks_mut::<4>().0) {
            for (j, code) in codes.iter_mut().enumerate() {
                *code = (byte >> (2 * j) & 3) as i8 - 1;
            }
        }
        end_of_block();
    }
}

pub(crate) fn encode(values: &[f32; 64]) -> [u8; BYTES] {
    let d = extreme(values).abs();
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (i, value) in values.iter().enumerate() {
        bytes[2 + i / 4] |= (((value * inverse(d)).round() + 1.0) as u8) << (i % 4 * 2);
    }
    bytes
}
