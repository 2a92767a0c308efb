//! Q6_K, 210 bytes for 256 values: 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed steps (one for 16
//! values), an f16 `d`; value = (d·step)·(q − 32).
//!
//! Each half of 128 values is four groups of 32: group t keeps its nibbles in the 32 bytes of t mod 2, low halves
//! for t < 2, and its upper bits in pair t of the half's 32 bytes.

use crate::block::{self, array, end_of_block, extreme, f16_at, inverse, put_f16};
use crate::{Row, Strip, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 210;
const UPPER: usize = 128;
const STEPS: usize = 192;
const D: usize = 208;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 256]) {
    let d = f16_at(bytes, D);
    let (lower, upper) = (bytes[..UPPER].as_chunks::<32>().0, bytes[UPPER..STEPS].as_chunks::<32>().0);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, t) = (group / 4, group % 4);
        let lower = lower[half * 2 + t % 2].map(|byte| byte >> (t / 2 * 4) & 15);
        let upper = upper[half].map(|byte| (byte >> (2 * t) & 3) << 4);
        let steps = [STEPS + group * 2, STEPS + group * 2 + 1].map(|at| d * f32::from(bytes[at] as i8));
        for l in 0..32 {
            out[l] = steps[l / 16] * (i32::from(lower[l] | upper[l]) - 32) as f32;
        }
        end_of_block();
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    fill(strip::block(row.values, index), out);
}

#[inline(always)]
fn fill(bytes: &[u8; BYTES], out: &mut Strip) {
    let d = f16_at(bytes, D);
    out.scales = array::<16>(bytes, STEPS).map(|step| d * f32::from(step as i8));
    for (half, codes) in out.codes.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let lower: &[u8; 64] = array(bytes, half * 64);
        let upper: &[u8; 32] = array(bytes, UPPER + half * 32);
        for l in 0..32 {
            codes[l] = (lower[l] & 15 | (upper[l] & 3) << 4).wrapping_sub(32) as i8;
            codes[32 + l] = (lower[32 + l] & 15 | (upper[l] >> 2 & 3) << 4).wrapping_sub(32) as i8;
            codes[64 + l] = (lower[l] >> 4 | (upper[l] >> 4 & 3) << 4).wrapping_sub(32) as i8;
            codes[96 + l] = (lower[32 + l] >> 4 | (upper[l] >> 6) << 4).wrapping_sub(32) as i8;
        }
        end_of_block();
    }
}

/// By the extreme of each 16 values; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let wanted: [f32; 16] = std::array::from_fn(|g| extreme(&values[g * 16..][..16]) / -32.0);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, D, extreme(&wanted).abs() / 127.0);
    let d = f16_at(&bytes, D);

    for (g, (wanted, values)) in wanted.iter().zip(values.chunks_exact(16)).enumerate() {
        let step = (wanted * inverse(d)).round().clamp(-128.0, 127.0) as i8;
        bytes[STEPS + g] = step as u8;
        let per_step = inverse(d * f32::from(step));
        for (l, value) in values.iter().enumerate() {
            put_code(&mut bytes, g * 16 + l, ((value * per_step).round().clamp(-32.0, 31.0) + 32.0) as u8);
        }
    }
    bytes
}

/// Writes the six bits of value `i`.
fn put_code(bytes: &mut [u8; BYTES], i: usize, code: u8) {
    let (half, t, l) = (i / 128, i % 128 / 32, i % 32);
    bytes[half * 64 + t % 2 * 32 + l] |= (code & 15) << (t / 2 * 4);
    bytes[UPPER + half * 32 + l] |= (code >> 4) << (2 * t);
}
