//! IQ3_S, 110 bytes for 256 values: an f16 `d`, for each four a byte of index, then the ninth bits of the indices, then
//! a byte of signs for each eight, then four-bit steps, one for 32 values; value = (d·(2·step + 1))·±magnitude.

use crate::block::{array, f16_at, put_f16};
use crate::grids::IQ3_S as GRID;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 110;
const NINTH: usize = 66;
const SIGNS: usize = 74;
const STEPS: usize = 106;

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
    let steps = u32::from_le_bytes(*array(bytes, STEPS));
    strip::put(&mut out.scales, std::array::from_fn::<_, 8, _>(|g| level(d, (steps >> (4 * g) & 15) as u8)));
    let (low, ninth): (&[u8; 64], &[u8; 8]) = (array(bytes, 2), array(bytes, NINTH));
    let minus: &[u8; 32] = array(bytes, SIGNS);
    for (i, codes) in out.codes.as_chunks_mut().0.iter_mut().enumerate() {
        let entry = |four: usize| {
            let ninth = usize::from(ninth[four / 8] >> (four % 8) & 1);
            &GRID[usize::from(low[four]) | ninth << 8]
        };
        signs::put(&signs::pair(entry(2 * i), entry(2 * i + 1)), minus[i], codes);
    }
}

#[inline(always)]
fn level(d: f32, step: u8) -> f32 {
    d * f32::from(1 + 2 * step)
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<8>(values, 15.0, |step| level(1.0, step), 15);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for i in 0..64 {
        let scaled: [f32; 4] = signs::in_steps(values, i * 4, level(d, steps[i / 8]));
        let index = signs::nearest(&GRID, &scaled.map(f32::abs));
        bytes[2 + i] = index as u8;
        bytes[NINTH + i / 8] |= ((index >> 8) as u8) << (i % 8);
    }
    for i in 0..32 {
        bytes[SIGNS + i] = signs::of(&signs::in_steps(values, i * 8, 1.0));
    }
    for (g, step) in steps.iter().enumerate() {
        bytes[STEPS + g / 2] |= step << (g % 2 * 4);
    }
    bytes
}
