//! Q3_K, 110 bytes for 256 values: 32 bytes of third bits (bit g of byte l belongs to value l of the g-th 32), 64 bytes
//! of bit pairs as in Q2_K, 12 bytes of six-bit steps, one for 16 values, an f16 `d`; value = (d·(step − 32))·(q − 4).
//!
//! The low four bits of step g lie in byte g mod 8 of the twelve, the upper two in pair ⌊g/4⌋ of byte 8 + g mod 4.

use crate::block::{array, extreme, f16_at, inverse, put_f16};
use crate::{Row, Strip, q2_k, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 110;
const PAIRS: usize = 32;
const STEPS: usize = 96;
const D: usize = 108;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<16, false>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    fill(strip::block(row.values, index), out);
}

#[inline(always)]
fn fill(bytes: &[u8; BYTES], out: &mut Strip) {
    let d = f16_at(bytes, D);
    out.scales = steps(array(bytes, STEPS)).map(|step| d * f32::from(step));
    let thirds: &[u8; 32] = array(bytes, 0);
    let pairs: &[u8; 64] = array(bytes, PAIRS);
    for (g, codes) in out.codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for l in 0..32 {
            let low = pairs[g / 4 * 32 + l] >> (g % 4 * 2) & 3;
            codes[l] = (low | (thirds[l] >> g & 1) << 2).wrapping_sub(4) as i8;
        }
    }
}

/// The sixteen steps, -32..=31.
#[inline(always)]
fn steps(packed: &[u8; 12]) -> [i8; 16] {
    let low = u64::from_le_bytes(*array(packed, 0));
    let upper = u64::from(u32::from_le_bytes(*array(packed, 8)));
    let join = |low: u64, upper: u64| {
        let upper = (upper | upper >> 2 << 32) & 0x0303_0303_0303_0303;
        low & 0x0f0f_0f0f_0f0f_0f0f | upper << 4
    };
    let joined = u128::from(join(low, upper)) | u128::from(join(low >> 4, upper >> 4)) << 64;
    joined.to_le_bytes().map(|step| step as i8 - 32)
}

/// By the extreme of each 16 values; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let wanted: [f32; 16] = std::array::from_fn(|g| extreme(&values[g * 16..][..16]) / -4.0);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, D, extreme(&wanted) / -32.0);
    let d = f16_at(&bytes, D);

    let steps = wanted.map(|wanted| (wanted * inverse(d)).round().clamp(-32.0, 31.0));
    for (g, step) in steps.iter().enumerate() {
        let step = (step + 32.0) as u8;
        bytes[STEPS + g % 8] |= (step & 15) << (g / 8 * 4);
        bytes[STEPS + 8 + g % 4] |= (step >> 4) << (g / 4 * 2);
    }
    let code = |i: usize| ((values[i] * inverse(d * steps[i / 16])).round().clamp(-4.0, 3.0) + 4.0) as u8;
    bytes[PAIRS..STEPS].copy_from_slice(&q2_k::pairs(code));
    for i in 0..256 {
        bytes[i % 32] |= (code(i) >> 2) << (i / 32);
    }
    bytes
}
