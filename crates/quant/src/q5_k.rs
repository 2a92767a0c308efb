//! Q5_K, 176 bytes for 256 values: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit g of byte l belongs
//! to value l of group g.

use crate::block::{self, array, end_of_block, f16_at, put_f16};
use crate::{Row, Strip, k_scales, q4_k, strip};

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
    let fifth: [u8; 32] = std::array::from_fn(|l| bytes[16 + l]);
    let (pairs, outs) = (bytes[48..].as_chunks::<32>().0, out.as_chunks_mut::<32>().0);
    for (group, out) in outs.iter_mut().enumerate() {
        let (step, minimum) = (d * steps[group], dmin * minima[group]);
        let nibbles = pairs[group / 2].map(|byte| byte >> (group % 2 * 4) & 15);
        let fifths = fifth.map(|bits| (bits >> group & 1) << 4);
        for ((out, nibble), fifth) in out.iter_mut().zip(nibbles).zip(fifths) {
            *out = step * f32::from(nibble | fifth) - minimum;
        }
        end_of_block();
    }
}

#[inline(always)]
pub(crate) fn strip(row: Row<'_>, index: usize, out: &mut Strip) {
    fill(strip::block(row.values, index), out);
}

#[inline(always)]
fn fill(bytes: &[u8; BYTES], out: &mut Strip) {
    let (d, dmin) = (f16_at(bytes, 0), f16_at(bytes, 2));
    let (steps, minima) = k_scales::unpack(&bytes[4..16]);
    strip::put(&mut out.scales, steps.map(|step| d * step));
    strip::put(&mut out.minima, minima.map(|minimum| dmin * minimum));
    let fifth: &[u8; 32] = array(bytes, 16);
    let pairs = bytes[48..].as_chunks::<32>().0;
    for (p, (pair, codes)) in pairs.iter().zip(out.codes.as_chunks_mut::<64>().0).enumerate() {
        for l in 0..32 {
            codes[l] = (pair[l] & 15 | (fifth[l] >> (2 * p) & 1) << 4) as i8;
            codes[32 + l] = (pair[l] >> 4 | (fifth[l] >> (2 * p + 1) & 1) << 4) as i8;
        }
        end_of_block();
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
