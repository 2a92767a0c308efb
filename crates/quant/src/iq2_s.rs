//! IQ2_S, 82 bytes for 256 values: an f16 `d`, for each eight a byte of index, then for each a byte of signs, then two
//! more bits of index, then four-bit steps, one for 16 values; value = (d·(step + ½)/4)·±magnitude.

use crate::block::{array, f16_at, put_f16};
use crate::grids::IQ2_S as GRID;
use crate::iq2_xs::put_levels;
use crate::iq2_xxs::level;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 82;
const SIGNS: usize = 34;
const UPPER: usize = 66;
const STEPS: usize = 74;

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
    let (low, minus): (&[u8; 32], &[u8; 32]) = (array(bytes, 2), array(bytes, SIGNS));
    let upper: &[u8; 8] = array(bytes, UPPER);
    for (i, codes) in out.codes.as_chunks_mut().0.iter_mut().enumerate() {
        let index = usize::from(low[i]) | usize::from(upper[i / 4] >> (i % 4 * 2) & 3) << 8;
        signs::put(&GRID[index], minus[i], codes);
    }
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<16>(values, 43.0, |step| level(1.0, step), 15);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for i in 0..32 {
        let scaled = signs::in_steps(values, i * 8, level(d, steps[i / 2]));
        let index = signs::nearest(&GRID, &scaled.map(f32::abs));
        bytes[2 + i] = index as u8;
        bytes[SIGNS + i] = signs::of(&scaled);
        bytes[UPPER + i / 4] |= ((index >> 8) as u8) << (i % 4 * 2);
    }
    for (g, step) in steps.iter().enumerate() {
        bytes[STEPS + g / 2] |= step << (g % 2 * 4);
    }
    bytes
}
