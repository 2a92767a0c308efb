//! IQ2_XXS, 66 bytes for 256 values: an f16 `d`, then 8 bytes for each group of 32: four indices of eights, and a u32 of
//! four seven-bit indices of signs and, on top, a four-bit step; value = (d·(step + ½)/4)·±magnitude.

use crate::block::{array, f16_at, put_f16};
use crate::grids::IQ2_XXS as GRID;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 66;

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
    let groups = bytes[2..].as_chunks::<8>().0.iter().zip(out.codes.as_chunks_mut::<32>().0);
    for (g, (bytes, codes)) in groups.enumerate() {
        let word = u32::from_le_bytes(*array(bytes, 4));
        out.scales[g] = level(d, (word >> 28) as u8);
        for (k, codes) in codes.as_chunks_mut().0.iter_mut().enumerate() {
            signs::put(&GRID[usize::from(bytes[k])], signs::even((word >> (7 * k)) as usize), codes);
        }
    }
}

/// What a step is worth; also of IQ2_XS and IQ2_S.
#[inline(always)]
pub(crate) fn level(d: f32, step: u8) -> f32 {
    d * (0.5 + f32::from(step)) * 0.25
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<8>(values, 43.0, |step| level(1.0, step), 15);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (g, (step, bytes)) in steps.iter().zip(bytes[2..].as_chunks_mut::<8>().0).enumerate() {
        let mut word = u32::from(*step) << 28;
        let (indices, rest) = bytes.split_at_mut(4);
        for (k, index) in indices.iter_mut().enumerate() {
            let scaled = signs::in_steps(values, g * 32 + k * 8, level(d, *step));
            *index = signs::nearest(&GRID, &scaled.map(f32::abs)) as u8;
            word |= u32::from(signs::even_of(&scaled) & 127) << (7 * k);
        }
        rest.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
