//! Q4_K, 144 bytes for 256 values: f16 `d` and `dmin`, the 12 bytes of [`k_scales`], then 128 bytes of nibbles:
//! each run of 32 bytes holds one group of 32 values in its low halves and the next group in its high halves.

use crate::block::{self, end_of_block, f16_at, put_f16};
use crate::{Row, Strip, k_scales, strip};

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
    let (pairs, outs) = (bytes[16..].as_chunks::<32>().0, out.as_chunks_mut::<32>().0);
    for (group, out) in outs.iter_mut().enumerate() {
        let (step, minimum) = (d * steps[group], dmin * minima[group]);
        let nibbles = pairs[group / 2].map(|byte| byte >> (group % 2 * 4) & 15);
        for (out, code) in out.iter_mut().zip(nibbles) {
            *out = step * f32::from(code) - minimum;
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
    for (pair, codes) in bytes[16..].as_chunks::<32>().0.iter().zip(out.codes.as_chunks_mut::<64>().0) {
        for l in 0..32 {
            codes[l] = (pair[l] & 15) as i8;
            codes[32 + l] = (pair[l] >> 4) as i8;
        }
        end_of_block();
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
