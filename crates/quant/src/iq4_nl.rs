//! IQ4_NL, 18 bytes for 32 values: laid out as Q4_0, but the nibbles stand for the values of a table; value = d·t[q].

use crate::block::{array, end_of_block, extreme, inverse, put_f16};
use crate::codebook::{self, IQ4};
use crate::strip::f16s;
use crate::{Row, Strip, strip};

/// Bytes of one block of 32 values.
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
fn fill(blocks: &[[u8; BYTES]; 8], out: &mut Strip) {
    strip::put(&mut out.scales, f16s(blocks, 0));
    for (block, codes) in blocks.iter().zip(out.codes.as_chunks_mut().0) {
        codebook::halves(&IQ4, array(block, 2), codes);
        end_of_block();
    }
}

/// The extreme value is spelled −127.
pub(crate) fn encode(values: &[f32; 32]) -> [u8; BYTES] {
    let d = extreme(values) / -127.0;
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (i, value) in values.iter().enumerate() {
        bytes[2 + i % 16] |= codebook::nearest(&IQ4, value * inverse(d)) << (i / 16 * 4);
    }
    bytes
}
