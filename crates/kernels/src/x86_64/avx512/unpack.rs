//! How the codes of a strip come into registers.

use std::arch::x86_64::*;

use quant::{Quant, Row, Strip};

use crate::activations::STRIP;

/// 256 columns of a row in registers.
#[derive(Clone, Copy)]
pub(super) struct Unpacked {
    /// Codes plus the format's offset, as unsigned bytes.
    pub codes: [__m512i; 4],
    /// The scale of each group; formats with groups of 32 use the first eight.
    pub scales: __m512,
    /// The minimum of each group; not read where the format has none.
    pub minima: __m512,
}

/// A format's way into registers.
pub(super) trait Unpack {
    /// Whether scales belong to 16 columns, rather than 32.
    const SIXTEEN: bool;
    /// Whether groups have minima.
    const MINIMA: bool;
    /// What is added to a code to make it unsigned: 0, or 1 shifted by this.
    const OFFSET: Option<u32>;

    /// The strip of number `index`, which is whole.
    ///
    /// # Safety
    /// The CPU has the instruction set of this folder, and `row`, of format `quant`, has a strip `index` of 256
    /// columns.
    unsafe fn strip(quant: Quant, row: Row<'_>, index: usize) -> Unpacked;
}

/// Any format, by way of its plain spelling.
pub(super) struct Spelled<const SIXTEEN: bool, const MINIMA: bool>;

impl<const SIXTEEN: bool, const MINIMA: bool> Unpack for Spelled<SIXTEEN, MINIMA> {
    const SIXTEEN: bool = SIXTEEN;
    const MINIMA: bool = MINIMA;
    const OFFSET: Option<u32> = Some(7);

    #[inline(always)]
    unsafe fn strip(quant: Quant, row: Row<'_>, index: usize) -> Unpacked {
        // SAFETY: the caller's promise.
        unsafe { spelled::<Self>(quant, row, index) }
    }
}

/// The strip of number `index` by way of memory; it may be the short one at the end of a row.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
pub(super) unsafe fn spelled<U: Unpack>(quant: Quant, row: Row<'_>, index: usize) -> Unpacked {
    let mut strip = Strip::ZERO;
    // SAFETY: the caller's promise; the loads read whole arrays.
    unsafe {
        spell_plainly(quant, row, index, &mut strip);
        let offset = _mm512_set1_epi8(U::OFFSET.map_or(0, |log2| (1_u8 << log2) as i8));
        let code =
            |i: usize| _mm512_add_epi8(_mm512_loadu_si512(strip.codes.as_ptr().add(64 * i).cast()), offset);
        Unpacked {
            codes: [code(0), code(1), code(2), code(3)],
            scales: _mm512_loadu_ps(strip.scales.as_ptr()),
            minima: _mm512_loadu_ps(strip.minima.as_ptr()),
        }
    }
}

/// [`Quant::strip`], compiled for this instruction set, once for all formats.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
#[inline(never)]
fn spell_plainly(quant: Quant, row: Row<'_>, index: usize, out: &mut Strip) {
    quant.strip(row, index, out);
}

/// Strips of the row that are whole.
pub(super) fn whole_strips(quant: Quant, row: Row<'_>) -> usize {
    row.values.len() / quant.block_bytes() * quant.block_len() / STRIP
}

/// How far ahead of its use a weight is asked for, in bytes.
pub(super) const AHEAD: usize = 2048;

/// Asks for the `bytes` bytes at `at` to come to the first-level cache, be they there or not.
#[inline(always)]
pub(super) fn prefetch(at: *const u8, bytes: usize) {
    for line in 0..bytes.div_ceil(64) {
        // SAFETY: a prefetch reads nothing, wherever it points; any x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64 * line).cast()) };
    }
}

/// Asks for the `bytes` bytes at `at` to come to the second-level cache, be they there or not.
#[inline(always)]
pub(super) fn prefetch_next(at: *const u8, bytes: usize) {
    for line in 0..bytes.div_ceil(64) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(64 * line).cast()) };
    }
}

/// The `BYTES` bytes of the value plane that spell strip `index`.
///
/// # Safety
/// `row` is that long.
#[inline(always)]
pub(super) unsafe fn strip_of<const BYTES: usize>(row: Row<'_>, index: usize) -> *const u8 {
    debug_assert!((index + 1) * BYTES <= row.values.len());
    // SAFETY: the caller's promise.
    unsafe { row.values.as_ptr().add(index * BYTES) }
}

/// Where the nibbles of two blocks of `BLOCK` bytes lie, `FIRST` bytes into each; each block twice: for its low and for
/// its high halves.
struct Pair<const BLOCK: usize, const FIRST: usize>;

impl<const BLOCK: usize, const FIRST: usize> Pair<BLOCK, FIRST> {
    const PLACES: [u8; 64] = {
        let mut at = [0; 64];
        let mut i = 0;
        while i < 64 {
            at[i] = (i / 32 * BLOCK + FIRST + i % 16) as u8;
            i += 1;
        }
        at
    };
}

/// The nibbles of two blocks of `BLOCK` bytes, of each the low halves of 16 bytes, from `FIRST` on, then the high ones.
///
/// # Safety
/// The CPU has the instruction set of this folder; two blocks lie at `at`, of together less than 64 bytes.
#[inline(always)]
pub(super) unsafe fn two_blocks<const BLOCK: usize, const FIRST: usize>(at: *const u8) -> __m512i {
    const FOUR: i64 = 0x0004_0004_0004_0004;
    const { assert!(BLOCK < 32) };
    // SAFETY: the caller's promise.
    unsafe {
        let places = _mm512_loadu_si512(Pair::<BLOCK, FIRST>::PLACES.as_ptr().cast());
        let shifts = _mm512_setr_epi64(0, 0, FOUR, FOUR, 0, 0, FOUR, FOUR);
        let bytes = _mm512_maskz_loadu_epi8((1 << (2 * BLOCK)) - 1, at.cast());
        let nibbles = _mm512_srlv_epi16(_mm512_permutexvar_epi8(places, bytes), shifts);
        _mm512_and_si512(nibbles, _mm512_set1_epi8(15))
    }
}

/// 32 bytes at `at` as 64 nibbles: the low halves, then the high ones.
///
/// # Safety
/// The CPU has the instruction set of this folder; 32 bytes lie at `at`.
#[inline(always)]
pub(super) unsafe fn nibble_pairs(at: *const u8) -> __m512i {
    const FOUR: i64 = 0x0004_0004_0004_0004;
    // SAFETY: the caller's promise.
    unsafe {
        let twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(at.cast()));
        let shifted = _mm512_srlv_epi16(twice, _mm512_setr_epi64(0, 0, 0, 0, FOUR, FOUR, FOUR, FOUR));
        _mm512_and_si512(shifted, _mm512_set1_epi8(15))
    }
}
