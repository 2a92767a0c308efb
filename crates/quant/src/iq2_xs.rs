//! IQ2_XS, 74 bytes for 256 values: an f16 `d`, a u16 for each eight (nine bits of index, seven of signs), then four-bit
//! steps, one for 16 values; value = (d·(step + ½)/4)·±magnitude.

use crate::block::{array, f16_at, put_f16};
use crate::grids::IQ2_XS as GRID;
use crate::iq2_xxs::level;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 74;
const STEPS: usize = 66;

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
    put_levels(f16_at(bytes, 0), array(bytes, STEPS), &mut out.scales);
    let words = bytes[2..STEPS].as_chunks::<2>().0.iter().zip(out.codes.as_chunks_mut().0);
    for (word, codes) in words {
        let word = usize::from(u16::from_le_bytes(*word));
        signs::put(&GRID[word & 511], signs::even(word >> 9), codes);
    }
}

/// The scales of sixteen steps, low halves first.
#[inline(always)]
pub(crate) fn put_levels(d: f32, steps: &[u8; 8], scales: &mut [f32; 16]) {
    for (scales, steps) in scales.as_chunks_mut().0.iter_mut().zip(steps) {
        *scales = [level(d, steps & 15), level(d, steps >> 4)];
    }
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<16>(values, 43.0, |step| level(1.0, step), 15);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for i in 0..32 {
        let scaled = signs::in_steps(values, i * 8, level(d, steps[i / 2]));
        let index = signs::nearest(&GRID, &scaled.map(f32::abs)) as u16;
        let word = index | u16::from(signs::even_of(&scaled) & 127) << 9;
        bytes[2 + 2 * i..][..2].copy_from_slice(&word.to_le_bytes());
    }
    for (g, step) in steps.iter().enumerate() {
        bytes[STEPS + g / 2] |= step << (g % 2 * 4);
    }
    bytes
}
