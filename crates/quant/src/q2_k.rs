//! Q2_K, 84 bytes for 256 values: 16 bytes of steps (low halves) and minima (high halves), one for 16 values, 64 bytes
//! of bit pairs, f16 `d` and `dmin`; value = (d·step)·q − (dmin·minimum).
//!
//! Each half of 128 values is four runs of 32, whose bits lie in the same 32 bytes, run t in pair t.

use crate::block::{array, f16_at, inverse, put_f16, range};
use crate::{Row, Strip, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 84;
const PAIRS: usize = 16;
const D: usize = 80;
const DMIN: usize = 82;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    strip::dequantize::<16, true>(row, out, strip);
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    fill(strip::block(row.values, index), out);
}

#[inline(always)]
fn fill(bytes: &[u8; BYTES], out: &mut Strip) {
    let (d, dmin) = (f16_at(bytes, D), f16_at(bytes, DMIN));
    let packed: &[u8; 16] = array(bytes, 0);
    out.scales = packed.map(|packed| d * f32::from(packed & 15));
    out.minima = packed.map(|packed| dmin * f32::from(packed >> 4));
    put_pairs(array(bytes, PAIRS), 0, &mut out.codes);
}

/// The 256 codes of bit pairs, less `bias`.
#[inline(always)]
pub(crate) fn put_pairs(pairs: &[u8; 64], bias: u8, codes: &mut [i8; 256]) {
    for (pairs, codes) in pairs.as_chunks::<32>().0.iter().zip(codes.as_chunks_mut::<128>().0) {
        for (t, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for l in 0..32 {
                codes[l] = (pairs[l] >> (2 * t) & 3).wrapping_sub(bias) as i8;
            }
        }
    }
}

/// The bit pairs of 256 codes.
pub(crate) fn pairs(codes: impl Fn(usize) -> u8) -> [u8; 64] {
    let mut pairs = [0; 64];
    for i in 0..256 {
        pairs[i / 128 * 32 + i % 32] |= (codes(i) & 3) << (i % 128 / 32 * 2);
    }
    pairs
}

/// By the range of each 16 values; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let ranges: [(f32, f32); 16] = std::array::from_fn(|g| range(&values[g * 16..][..16]));
    let depth = ranges.map(|(least, _)| (-least).max(0.0));
    let width = ranges.map(|(least, largest)| (largest - least.min(0.0)) / 3.0);

    let mut bytes = [0; BYTES];
    for (at, sizes) in [(D, width), (DMIN, depth)] {
        put_f16(&mut bytes, at, sizes.into_iter().fold(0.0, f32::max) / 15.0);
    }
    let (d, dmin) = (f16_at(&bytes, D), f16_at(&bytes, DMIN));
    let in_steps = |size: f32, d: f32| (size * inverse(d)).round().clamp(0.0, 15.0) as u8;
    for g in 0..16 {
        bytes[g] = in_steps(width[g], d) | in_steps(depth[g], dmin) << 4;
    }
    let pairs = pairs(|i| {
        let packed = bytes[i / 16];
        let (step, minimum) = (d * f32::from(packed & 15), dmin * f32::from(packed >> 4));
        ((values[i] + minimum) * inverse(step)).round().clamp(0.0, 3.0) as u8
    });
    bytes[PAIRS..D].copy_from_slice(&pairs);
    bytes
}
