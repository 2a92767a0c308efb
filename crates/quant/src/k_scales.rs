//! What Q4_K and Q5_K share: 256 values in eight groups of 32, each with a 6-bit step and a 6-bit minimum, both in
//! units of an f16 of the whole block. Value = (d·step)·q − (dmin·minimum).

use crate::block::{array, inverse, range};

/// Bytes of the packed steps and minima.
pub(crate) const BYTES: usize = 12;

/// Steps and minima, 0..=63, of the eight groups.
///
/// Groups 0..4 lie in the low six bits of bytes 0..4 (steps) and 4..8 (minima). Of groups 4..8 the low four bits
/// lie in bytes 8..12, steps in the low nibble, and the upper two in the top of bytes 0..8.
#[inline(always)]
pub(crate) fn unpack(packed: &[u8]) -> ([f32; 8], [f32; 8]) {
    let [steps, minima, rest] = [0, 4, 8].map(|at| u32::from_le_bytes(*array(packed, at)));
    let join = |first: u32, rest: u32| {
        let (low, high) = (first & 0x3f3f_3f3f, rest & 0x0f0f_0f0f | (first >> 6 & 0x0303_0303) << 4);
        let bytes = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
        bytes.map(f32::from)
    };
    (join(steps, rest), join(minima, rest >> 4))
}

fn pack(steps: &[u8; 8], minima: &[u8; 8]) -> [u8; BYTES] {
    let mut packed = [0; BYTES];
    for j in 0..4 {
        packed[j] = steps[j] | steps[j + 4] >> 4 << 6;
        packed[j + 4] = minima[j] | minima[j + 4] >> 4 << 6;
        packed[j + 8] = steps[j + 4] & 15 | minima[j + 4] << 4;
    }
    packed
}

/// A block of 256 values cut into codes of 0..=`top`, by the range of each group; no search for a better fit.
pub(crate) struct Cut {
    pub d: f32,
    pub dmin: f32,
    pub scales: [u8; BYTES],
    pub codes: [u8; 256],
}

/// Cuts `values` for codes of 0..=`top`.
pub(crate) fn cut(values: &[f32; 256], top: f32) -> Cut {
    let ranges: [(f32, f32); 8] = std::array::from_fn(|g| range(&values[g * 32..][..32]));
    let depth = ranges.map(|(least, _)| (-least).max(0.0));
    let width = ranges.map(|(least, largest)| (largest - least.min(0.0)) / top);

    let [d, dmin] = [width, depth].map(|sizes| as_f16(sizes.into_iter().fold(0.0, f32::max) / 63.0));
    let steps = width.map(|width| (width * inverse(d)).round().clamp(0.0, 63.0) as u8);
    let minima = depth.map(|depth| (depth * inverse(dmin)).round().clamp(0.0, 63.0) as u8);

    let code = |i: usize| {
        let (step, minimum) = (d * f32::from(steps[i / 32]), dmin * f32::from(minima[i / 32]));
        ((values[i] + minimum) * inverse(step)).round().clamp(0.0, top) as u8
    };
    Cut { d, dmin, scales: pack(&steps, &minima), codes: std::array::from_fn(code) }
}

fn as_f16(value: f32) -> f32 {
    crate::float::f16_to_f32(crate::float::f32_to_f16(value))
}
