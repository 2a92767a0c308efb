//! A row, and walking it block by block.

/// The bytes of one row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its part of the value plane.
    pub values: &'a [u8],
    /// The scales that cover it; empty for self-contained formats.
    pub scales: &'a [u8],
}

/// Decodes each block of `BYTES` bytes into `LEN` values.
///
/// `decode` is a function item marked `#[inline(always)]`, not a closure: so its body is compiled with the
/// instruction set of whoever calls this.
#[inline(always)]
pub(crate) fn decode<const BYTES: usize, const LEN: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    let blocks = bytes.as_chunks().0;
    for (block, out) in blocks.iter().zip(out.as_chunks_mut().0) {
        decode(block, out);
        end_of_block();
    }
}

/// Keeps the compiler from vectorising across blocks, with gathers and scatters, where it should within one: decoding
/// Q4_0 under AVX-512 is ten times faster with it.
#[inline(always)]
pub(crate) fn end_of_block() {
    std::hint::black_box(());
}

/// Encodes each run of `LEN` values into `BYTES` bytes.
pub(crate) fn encode<const BYTES: usize, const LEN: usize>(
    values: &[f32],
    encode: impl Fn(&[f32; LEN]) -> [u8; BYTES],
) -> Vec<u8> {
    values.as_chunks().0.iter().flat_map(encode).collect()
}

/// The `N` bytes at `bytes[at..]`.
#[inline(always)]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    &bytes[at..].as_chunks().0[0]
}

/// The little-endian half at `block[at..]`, as f32.
#[inline(always)]
pub(crate) fn f16_at(block: &[u8], at: usize) -> f32 {
    crate::float::f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// Writes `value` as a little-endian half at `block[at..]`.
pub(crate) fn put_f16(block: &mut [u8], at: usize, value: f32) {
    block[at..at + 2].copy_from_slice(&crate::float::f32_to_f16(value).to_le_bytes());
}

/// The value of largest magnitude, with its sign.
pub(crate) fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |best: f32, v| if v.abs() > best.abs() { *v } else { best })
}

/// The least and the largest value.
pub(crate) fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
}

/// `1 / step`, or 0 for a step of 0: a block of equal values has no steps.
pub(crate) fn inverse(step: f32) -> f32 {
    if step == 0.0 { 0.0 } else { 1.0 / step }
}
