//! Q5_K, 176 bytes for 256 values: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit g of byte l belongs
//! to value l of group g.

use crate::block::{self, f16_at, put_f16};
use crate::{Row, k_scales, q4_k};

/// Bytes of one block of 256 values.
pub(crate) const BYTES: usize = 176;

#[inline(always)]
pub(crate) fn dequantize(row: Row<'_>, out: &mut [f32]) {
    block::decode(row.values, out, decode);
}

#[inline(always)]
fn decode(bytes: &[u8; BYTES], out: &mut [f32; 256]) {
    let (d, dmin) = (f16_at(bytes, 0), f16_at(bytes, 2));
    let (steps, minima) = k_scales::unpack(&bytes[4..16]);
    let fifth = &bytes[16..48];
    for pair in 0..4 {
        let codes = &bytes[48 + pair * 32..][..32];
        for (half, out) in out[pair * 64..][..64].chunks_exact_mut(32).enumerate() {
            let group = pair * 2 + half;
            let (step, minimum) = (d * steps[group], dmin * minima[group]);
            for ((out, byte), fifth) in out.iter_mut().zip(codes).zip(fifth) {
                let code = byte >> (4 * half) & 15 | (fifth >> group & 1) << 4;
                *out = step * f32::from(code) - minimum;
            }
        }
    }
}

pub(crate) fn encode(values: &[f32; 256]) -> [u8; BYTES] {
    let cut = k_scales::cut(values, 31.0);

    let mut bytes = [0; BYTES];
    put_f16(&mut bytes, 0, cut.d);
    put_f16(&mut bytes, 2, cut.dmin);
    bytes[4..16].copy_from_slice(&cut.scales);
    for (i, code) in cut.codes.iter().enumerate() {
        bytes[16 + i % 32] |= (code >> 4) << (i / 32);
    }
    q4_k::put_nibbles(&mut bytes[48..], &cut.codes);
    bytes
}
