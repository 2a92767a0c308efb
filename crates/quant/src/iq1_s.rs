//! IQ1_S, 50 bytes for 256 values: an f16 `d`, a byte of index for each eight, then a u16 for each group of 32: four
//! times three more bits of index, a three-bit step, and the sign of an eighth that is added to every value;
//! value = (d·(2·step + 1))·(−1, 0 or 1, ± ⅛).

use crate::block::{array, f16_at, put_f16};
use crate::grids::IQ1 as GRID;
use crate::{Row, Strip, signs, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 50;
const WORDS: usize = 34;

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
    let low: &[u8; 32] = array(bytes, 2);
    let words = bytes[WORDS..].as_chunks::<2>().0;
    for (g, codes) in out.codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let word = usize::from(u16::from_le_bytes(words[g]));
        out.scales[g] = level(d, (word >> 12 & 7) as u8);
        let eighth = if word & 0x8000 == 0 { 1 } else { -1 };
        for (k, codes) in codes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let index = usize::from(low[4 * g + k]) | (word >> (3 * k) & 7) << 8;
            *codes = GRID[index].map(|value| value + eighth);
        }
    }
}

/// What an eighth is worth; also in IQ1_M. Exact.
#[inline(always)]
pub(crate) fn level(d: f32, step: u8) -> f32 {
    d * f32::from(2 * step + 1) * 0.125
}

/// With the eighth added; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let (d, steps) = signs::steps::<8>(values, 9.0, |step| level(1.0, step), 7);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, d);
    for (g, step) in steps.iter().enumerate() {
        let mut word = u16::from(*step) << 12;
        for k in 0..4 {
            let scaled: [f32; 8] = signs::in_steps(values, g * 32 + k * 8, level(d, *step));
            let index = signs::nearest(&GRID, &scaled.map(|value| value - 1.0));
            bytes[2 + 4 * g + k] = index as u8;
            word |= ((index >> 8) as u16) << (3 * k);
        }
        bytes[WORDS + 2 * g..][..2].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
