//! TQ2_0, 66 bytes for 256 ternary values: 64 bytes of bit pairs as in Q2_K, an f16 `d`; value = d·(q − 1).

use crate::block::{array, extreme, f16_at, inverse, put_f16};
use crate::{Row, Strip, q2_k, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 66;
const D: usize = 64;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<32, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    fill(strip::block(row.values, index), out);
}

#[inline(always)]
fn fill(bytes: &[u8; BYTES], out: &mut Strip) {
    strip::put(&mut out.scales, [f16_at(bytes, D); 8]);
    q2_k::put_pairs(array(bytes, 0), 1, &mut out.codes);
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let d = extreme(values).abs();
    let pairs = q2_k::pairs(|i| ((values[i] * inverse(d)).round() + 1.0) as u8);
    let mut bytes = [0; BYTES];
    bytes[..D].copy_from_slice(&pairs);
    put_f16(&mut bytes, D, d);
    bytes
}
