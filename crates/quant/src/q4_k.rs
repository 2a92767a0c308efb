//! Q4_K, 144 bytes for 256 values: f16 `d` and `dmin`, the 12 bytes of [`k_scales`], then 128 bytes of nibbles:
//! each run of 32 bytes holds one group of 32 values in its low halves and the next group in its high halves.

use crate::block::{self, f16_at, put_f16};
use crate::{Row, k_scales};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 144;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 256]) {
    let (d, dmin) = (f16_at(bytes, 0), f16_at(bytes, 2));
    let (steps, minima) = k_scales::unpack(&bytes[4..16]);
    for pair in 0..4 {
        let codes = &bytes[16 + pair * 32..][..32];
        for (half, out) in out[pair * 64..][..64].chunks_exact_mut(32).enumerate() {
            let group = pair * 2 + half;
            let (step, minimum) = (d * steps[group], dmin * minima[group]);
            for (out, byte) in out.iter_mut().zip(codes) {
                *out = step * f32::from(byte >> (4 * half) & 15) - minimum;
            }
        }
    }
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let cut = k_scales::cut(values, 15.0);

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, cut.d);
    put_f16(&mut bytes, 2, cut.dmin);
    bytes[4..16].copy_from_slice(&cut.scales);
    put_nibbles(&mut bytes[16..], &cut.codes);
    bytes
}

/// Writes the low four bits of 256 codes, two groups of 32 to each run of 32 bytes.
pub(crate) fn put_nibbles(bytes: &mut [u8], codes: &[u8; 256]) {
    for (bytes, codes) in bytes.chunks_exact_mut(32).zip(codes.chunks_exact(64)) {
        for (l, byte) in bytes.iter_mut().enumerate() {
            *byte = codes[l] & 15 | codes[l + 32] << 4;
        }
    }
}
