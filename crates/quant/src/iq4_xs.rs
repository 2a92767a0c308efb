//! IQ4_XS, 136 bytes for 256 values: an f16 `d`, six-bit steps of eight groups of 32, then 16 bytes of nibbles for each
//! group, as in IQ4_NL; value = (d·(step − 32))·t[q].
//!
//! The upper two bits of step g lie in pair g of the u16 after `d`, the low four in nibble g of the next four bytes.

use crate::block::{array, end_of_block, extreme, f16_at, inverse, put_f16};
use crate::codebook::{self, IQ4};
use crate::{Row, Strip, strip};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 136;
const LOW: usize = 4;
const CODES: usize = 8;

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
    let upper = u32::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    let low = u32::from_le_bytes(*array(bytes, LOW));
    let step = |g: usize| ((low >> (4 * g) & 15 | (upper >> (2 * g) & 3) << 4) as i32 - 32) as f32;
    strip::put(&mut out.scales, std::array::from_fn::<_, 8, _>(|g| d * step(g)));
    for (bytes, codes) in bytes[CODES..].as_chunks().0.iter().zip(out.codes.as_chunks_mut().0) {
        codebook::halves(&IQ4, bytes, codes);
        end_of_block();
    }
}

/// By the extreme of each 32 values; no search for a better fit.
pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let wanted: [f32; 8] = std::array::from_fn(|g| extreme(&values[g * 32..][..32]) / -127.0);
    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, extreme(&wanted) / -32.0);
    let d = f16_at(&bytes, 0);

    for (g, wanted) in wanted.iter().enumerate() {
        let step = (wanted * inverse(d)).round().clamp(-32.0, 31.0);
        let packed = (step + 32.0) as u8;
        bytes[2 + g / 4] |= (packed >> 4) << (g % 4 * 2);
        bytes[LOW + g / 2] |= (packed & 15) << (g % 2 * 4);
        for l in 0..32 {
            let code = codebook::nearest(&IQ4, values[g * 32 + l] * inverse(d * step));
            bytes[CODES + g * 16 + l % 16] |= code << (l / 16 * 4);
        }
    }
    bytes
}
