//! IQ3_XXS, 98 bytes for 256 values: an f16 `d`, an index for each four, then for each group of 32 a u32 of four
//! seven-bit indices of signs and, on top, a four-bit step; value = (d·(step + ½)/2)·±magnitude.

use crate::block::{f16_at, put_f16};
use crate::grids::IQ3_XXS as GRID;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 98;
const SIGNS: usize = 66;

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
    let d = f16_at(bytes, 0);
    let indices: &[[u8; 8]] = bytes[2..SIGNS].as_chunks().0;
    let words = bytes[SIGNS..].as_chunks::<4>().0;
    for (g, codes) in out.codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let word = u32::from_le_bytes(words[g]);
        out.scales[g] = level(d, (word >> 28) as u8);
        for (k, codes) in codes.as_chunks_mut().0.iter_mut().enumerate() {
            let [first, second] = [2 * k, 2 * k + 1].map(|i| &GRID[usize::from(indices[g][i])]);
            signs::put(&signs::pair(first, second), signs::even((word >> (7 * k)) as usize), codes);
        }
    }
}

#[inline(always)]
fn level(d: f32, step: u8) -> f32 {
    d * (0.5 + f32::from(step)) * 0.5
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<8>(values, 62.0, |step| level(1.0, step), 15);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (g, step) in steps.iter().enumerate() {
        let mut word = u32::from(*step) << 28;
        for k in 0..4 {
            let scaled: [f32; 8] = signs::in_steps(values, g * 32 + k * 8, level(d, *step));
            for (half, scaled) in scaled.as_chunks().0.iter().enumerate() {
                bytes[2 + g * 8 + 2 * k + half] = signs::nearest(&GRID, &scaled.map(f32::abs)) as u8;
            }
            word |= u32::from(signs::even_of(&scaled) & 127) << (7 * k);
        }
        bytes[SIGNS + 4 * g..][..4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
