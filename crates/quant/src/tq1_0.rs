//! TQ1_0, 54 bytes for 256 ternary values: five to a byte in 48 bytes, four to a byte in 4 bytes, an f16 `d`;
//! value = d·(q − 1).
//!
//! A byte is the fraction of its five digits to base 3, rounded up, in units of 1/256: multiplied by 3 the first digit
//! comes out at the top, multiplied by 9 the second. Digit k of 32 bytes makes values 32k.., then of 16 bytes values
//! 160 + 16k.., then of 4 bytes values 240 + 4k...

use crate::block::{extreme, f16_at, inverse, put_f16};
use crate::{Row, Strip, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 54;
const D: usize = 52;

/// Runs of bytes: the first byte, how many, the first value, digits.
const RUNS: [(usize, usize, usize, usize); 3] = [(0, 32, 0, 5), (32, 16, 160, 5), (48, 4, 240, 4)];

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
    strip::put(&mut out.scales, [f16_at(bytes, D); 8]);
    put_digits::<32, 5>(&bytes[..32], &mut out.codes[..160]);
    put_digits::<16, 5>(&bytes[32..48], &mut out.codes[160..240]);
    put_digits::<4, 4>(&bytes[48..52], &mut out.codes[240..]);
}

/// The digits of `LEN` bytes, all first ones first.
#[inline(always)]
fn put_digits<const LEN: usize, const DIGITS: usize>(bytes: &[u8], codes: &mut [i8]) {
    let mut rest: [u8; LEN] = std::array::from_fn(|l| bytes[l]);
    for digit in 0..DIGITS {
        for l in 0..LEN {
            let tripled = u16::from(rest[l]) * 3;
            codes[digit * LEN + l] = (tripled >> 8) as i8 - 1;
            rest[l] = tripled as u8;
        }
    }
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let d = extreme(values).abs();
    let digit = |i: usize| ((values[i] * inverse(d)).round() + 1.0) as u16;

    let mut bytes = [0; BYTES];
    for (first, len, value, digits) in RUNS {
        for l in 0..len {
            // Four digits count as five, the last of which is 0.
            let number = (0..5)
                .fold(0, |number, k| number * 3 + if k < digits { digit(value + k * len + l) } else { 0 });
            bytes[first + l] = (number * 256).div_ceil(243) as u8;
        }
    }
    put_f16(&mut bytes, D, d);
    bytes
}
