//! Strips: 256 columns of a row as integers and their scales, which is what integer arithmetic wants of a format.
//!
//! A format fills a strip from whole runs of its blocks; the last, shorter run of a row is first padded with zero bytes,
//! so that there is one path, without a bound that depends on the row.

use crate::Row;
use crate::float::f16_to_f32;

/// Columns of a strip.
pub(crate) const COLS: usize = 256;

/// 256 columns of a row as integers: value `i` is `scales[g] * codes[i] - minima[g]` where g = i / columns of a group.
///
/// The last strip of a row may hold fewer columns; what lies past them is zero.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Strip {
    /// One for each column.
    pub codes: [i8; COLS],
    /// One for each group; of groups of 32 only the first eight mean anything.
    pub scales: [f32; 16],
    /// As the scales; never written by formats without minima.
    pub minima: [f32; 16],
}

/// Columns that share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Sixteen groups to a strip.
    Sixteen,
    /// Eight groups to a strip.
    ThirtyTwo,
}

impl Group {
    /// Columns in a group.
    pub fn cols(self) -> usize {
        match self {
            Group::Sixteen => 16,
            Group::ThirtyTwo => 32,
        }
    }
}

impl Strip {
    /// One of zeros.
    pub const ZERO: Self = Self { codes: [0; COLS], scales: [0.0; 16], minima: [0.0; 16] };

    /// Fills the strip by `fill`, a function item marked `#[inline(always)]` and not a closure, from the `N` blocks of
    /// `BYTES` bytes that make strip `index`, or from as many as there are.
    ///
    /// # Panics
    /// When there are none.
    #[inline(always)]
    pub(crate) fn of_blocks<const GROUP: usize, const BYTES: usize, const N: usize>(
        &mut self,
        values: &[u8],
        index: usize,
        fill: impl Fn(&[[u8; BYTES]; N], &mut Strip),
    ) {
        let mut spare = [[0; BYTES]; N];
        let (blocks, len) = run(values, index, &mut spare);
        fill(blocks, self);
        self.cut::<GROUP, N>(len);
    }

    /// As [`Strip::of_blocks`], for a scale of `SCALE` bytes in a plane of its own for each block.
    #[inline(always)]
    pub(crate) fn of_planes<const GROUP: usize, const BYTES: usize, const SCALE: usize, const N: usize>(
        &mut self,
        row: Row<'_>,
        index: usize,
        fill: impl Fn(&[[u8; BYTES]; N], &[[u8; SCALE]; N], &mut Strip),
    ) {
        let (mut spare, mut spare_scales) = ([[0; BYTES]; N], [[0; SCALE]; N]);
        let (blocks, len) = run(row.values, index, &mut spare);
        let (scales, _) = run(row.scales, index, &mut spare_scales);
        fill(blocks, scales, self);
        self.cut::<GROUP, N>(len);
    }

    /// Zeroes what lies past `len` blocks of `N`, of `GROUP` columns to a scale.
    #[inline(always)]
    fn cut<const GROUP: usize, const N: usize>(&mut self, len: usize) {
        if len < N {
            let cols = len * (COLS / N);
            self.codes[cols..].fill(0);
            self.scales[cols / GROUP..].fill(0.0);
        }
    }
}

/// Blocks `index * N..` of `bytes`, `N` of them, and how many there are; the last few lie in `spare`, which is zero.
#[inline(always)]
fn run<'a, const BYTES: usize, const N: usize>(
    bytes: &'a [u8],
    index: usize,
    spare: &'a mut [[u8; BYTES]; N],
) -> (&'a [[u8; BYTES]; N], usize) {
    let rest = &bytes.as_chunks::<BYTES>().0[index * N..];
    match rest.first_chunk::<N>() {
        Some(blocks) => (blocks, N),
        None => {
            assert!(!rest.is_empty(), "a row has no strip {index}");
            spare[..rest.len()].copy_from_slice(rest);
            (spare, rest.len())
        }
    }
}

/// Decodes a row by its strips, of `GROUP` columns to a scale.
#[inline(always)]
pub(crate) fn dequantize<const GROUP: usize, const MINIMA: bool>(
    row: Row<'_>,
    out: &mut [f32],
    strip: impl Fn(Row<'_>, usize, &mut Strip),
) {
    let mut held = Strip::ZERO;
    for (index, out) in out.chunks_mut(COLS).enumerate() {
        strip(row, index, &mut held);
        let groups = out.as_chunks_mut::<GROUP>().0.iter_mut().zip(held.codes.as_chunks::<GROUP>().0);
        for (g, (out, codes)) in groups.enumerate() {
            for (out, code) in out.iter_mut().zip(codes) {
                let product = held.scales[g] * f32::from(*code);
                *out = if MINIMA { product - held.minima[g] } else { product };
            }
        }
    }
}

/// Block `index` of a format whose blocks are strips.
///
/// # Panics
/// When there is no such block.
#[inline(always)]
pub(crate) fn block<const BYTES: usize>(values: &[u8], index: usize) -> &[u8; BYTES] {
    let blocks = values.as_chunks().0;
    assert!(index < blocks.len(), "a row has no strip {index}");
    &blocks[index]
}

/// The little-endian halves at `at` of each block, as f32. Together, so that they are converted by vectors.
#[inline(always)]
pub(crate) fn f16s<const BYTES: usize, const N: usize>(blocks: &[[u8; BYTES]; N], at: usize) -> [f32; N] {
    let bits: [u16; N] = std::array::from_fn(|b| u16::from_le_bytes([blocks[b][at], blocks[b][at + 1]]));
    let mut out = [0.0; N];
    for (out, bits) in out.iter_mut().zip(bits) {
        *out = f16_to_f32(bits);
    }
    out
}

/// Writes the first scales, or minima.
#[inline(always)]
pub(crate) fn put<const N: usize>(to: &mut [f32; 16], values: [f32; N]) {
    to[..N].copy_from_slice(&values);
}

/// The 32 nibbles of 16 bytes less `bias`, those in low halves first.
#[inline(always)]
pub(crate) fn halves(bytes: &[u8; 16], bias: u8, codes: &mut [i8; 32]) {
    for j in 0..16 {
        codes[j] = (bytes[j] & 15).wrapping_sub(bias) as i8;
        codes[16 + j] = (bytes[j] >> 4).wrapping_sub(bias) as i8;
    }
}
