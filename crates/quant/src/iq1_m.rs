//! IQ1_M, 56 bytes for 256 values: a byte of index for each eight, then a nibble for each (three more bits of index, the
//! sign of an eighth that is added), then four u16: each has four three-bit steps, one for 16 values, and four bits of
//! the f16 `d`; value = (d·(2·step + 1))·(−1, 0 or 1, ± ⅛).

use crate::block::array;
use crate::float::{f16_to_f32, f32_to_f16};
use crate::grids::IQ1 as GRID;
use crate::iq1_s::level;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 56;
const NIBBLES: usize = 32;
const WORDS: usize = 48;

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
    let words = u64::from_le_bytes(*array(bytes, WORDS));
    let part = |k: usize| (words >> (16 * k + 12) & 15) << (4 * k);
    let d = f16_to_f32((part(0) | part(1) | part(2) | part(3)) as u16);
    for (g, scale) in out.scales.iter_mut().enumerate() {
        *scale = level(d, (words >> (g / 4 * 16 + g % 4 * 3) & 7) as u8);
    }
    let (low, nibbles): (&[u8; 32], &[u8; 16]) = (array(bytes, 0), array(bytes, NIBBLES));
    for (i, codes) in out.codes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let nibble = usize::from(nibbles[i / 2] >> (i % 2 * 4));
        let eighth = if nibble & 8 == 0 { 1 } else { -1 };
        *codes = GRID[usize::from(low[i]) | (nibble & 7) << 8].map(|value| value + eighth);
    }
}

/// With the eighth added; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<16>(values, 9.0, |step| level(1.0, step), 7);
    let mut bytes = [0; BYTES];
    for i in 0..32 {
        let scaled: [f32; 8] = signs::in_steps(values, i * 8, level(d, steps[i / 2]));
        let index = signs::nearest(&GRID, &scaled.map(|value| value - 1.0));
        bytes[i] = index as u8;
        bytes[NIBBLES + i / 2] |= ((index >> 8) as u8) << (i % 2 * 4);
    }
    let d = u64::from(f32_to_f16(d));
    let mut words = (0..4).fold(0, |words, k| words | (d >> (4 * k) & 15) << (16 * k + 12));
    for (g, step) in steps.iter().enumerate() {
        words |= u64::from(*step) << (g / 4 * 16 + g % 4 * 3);
    }
    bytes[WORDS..].copy_from_slice(&words.to_le_bytes());
    bytes
}
