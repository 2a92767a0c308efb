//! Rows spelled out as row tiles.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::beside::Sixteen;
use super::unpack::{Unpack, Unpacked, prefetch_next, spelled, whole_strips};
use crate::beside::Beside;
use crate::tiles::{ANCHOR, LEAST_ANCHORED, MOST_ANCHORED, Order, ROWS, RowGroup, RowTile, TILES, Twelve};

/// Rows whose groups are written together.
const FOUR: usize = 4;

/// Spells up to twelve rows, [`Beside::OFFSET`] added to their codes; whether all scales may be anchored. Strip by strip, so that tiles
/// are written while they lie in the first-level cache.
///
/// # Safety
/// As [`Unpack::strip`], of every strip of every row.
#[inline(always)]
pub(super) unsafe fn spell<U: Unpack>(quant: Quant, rows: &[Row<'_>], order: Order, out: Twelve<'_>) -> bool {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    assert!(order.groups == groups && rows.len() <= ROWS);
    assert!(out.tiles.len() == order.tiles() && out.groups.len() == order.all_groups());
    let whole = rows.first().map_or(0, |row| whole_strips(quant, *row));
    let per_strip = rows.first().map_or(0, |row| row.values.len() / order.strips);
    let mut anchored = (1 << groups) - 1;
    // Of fewer than four rows, what is there from before goes where nobody looks.
    let mut belonging = [Groups::ZERO; FOUR];
    for index in 0..order.strips {
        for (which, rows) in rows.chunks(FOUR).enumerate() {
            for (r, row) in rows.iter().enumerate() {
                prefetch_next(
                    row.values.as_ptr().wrapping_add(ROWS * row.values.len() + index * per_strip),
                    per_strip,
                );
                // SAFETY: the caller's promise.
                unsafe {
                    let strip = if index < whole {
                        U::strip(quant, *row, index)
                    } else {
                        spelled::<U>(quant, *row, index)
                    };
                    anchored &= may_anchor(strip.scales);
                    belonging[r].take::<U>(&strip);
                    write_codes::<U>(strip.codes, which * FOUR + r, order, index, out.tiles);
                }
            }
            // SAFETY: the caller's promise; there are three times four rows.
            unsafe { write_groups::<U>(&belonging, which * FOUR, order, index, out.groups) };
        }
    }
    anchored == (1 << groups) - 1
}

/// What belongs to the groups of a strip of one row.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Groups {
    scales: [f32; 16],
    minima: [f32; 16],
}

impl Groups {
    const ZERO: Self = Self { scales: [0.0; 16], minima: [0.0; 16] };

    #[inline(always)]
    unsafe fn take<U: Unpack>(&mut self, strip: &Unpacked) {
        // SAFETY: the caller's promise; the stores fill whole arrays.
        unsafe {
            _mm512_store_ps(self.scales.as_mut_ptr(), strip.scales);
            if U::MINIMA {
                _mm512_store_ps(self.minima.as_mut_ptr(), strip.minima);
            }
        }
    }
}

/// Writes the codes of strip `index` of row `place` to its tiles.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
unsafe fn write_codes<U: Unpack>(
    codes: [__m512i; 4],
    place: usize,
    order: Order,
    index: usize,
    tiles: &mut [RowTile],
) {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    let per_group = TILES / groups;
    assert!(order.groups == groups && place < ROWS && tiles.len() == order.tiles() && index < order.strips);
    // SAFETY: the caller's promise; what is written are the `per_group` sixteens of row `place` of each group.
    unsafe {
        let more =
            _mm512_set1_epi8(Sixteen::OFFSET.wrapping_sub(U::OFFSET.map_or(0, |log2| 1 << log2)) as i8);
        let first = tiles.as_mut_ptr().cast::<__m128i>().add(place * per_group);
        let of_group = |g: usize| first.add(order.place(g, index) * per_group * ROWS);
        for (i, codes) in codes.into_iter().enumerate() {
            let codes = _mm512_add_epi8(codes, more);
            if U::SIXTEEN {
                _mm_store_si128(of_group(4 * i), _mm512_castsi512_si128(codes));
                _mm_store_si128(of_group(4 * i + 1), _mm512_extracti32x4_epi32::<1>(codes));
                _mm_store_si128(of_group(4 * i + 2), _mm512_extracti32x4_epi32::<2>(codes));
                _mm_store_si128(of_group(4 * i + 3), _mm512_extracti32x4_epi32::<3>(codes));
            } else {
                _mm256_store_si256(of_group(2 * i).cast(), _mm512_castsi512_si256(codes));
                _mm256_store_si256(of_group(2 * i + 1).cast(), _mm512_extracti64x4_epi64::<1>(codes));
            }
        }
    }
}

/// Writes what belongs to the groups of strip `index` of four rows, from row `place` on, which is a multiple of four.
///
/// # Safety
/// The CPU has the instruction set of this folder, and `place` leaves room for four rows.
#[inline(always)]
unsafe fn write_groups<U: Unpack>(
    rows: &[Groups; FOUR],
    place: usize,
    order: Order,
    index: usize,
    out: &mut [RowGroup],
) {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    assert!(order.groups == groups && order.place(groups - 1, index) < out.len() && place + FOUR <= ROWS);
    // SAFETY: the places lie within `out` by the assertion, and four floats from a multiple of four on are aligned.
    unsafe {
        let out = out.as_mut_ptr();
        let scales = turn(rows.each_ref().map(|row| row.scales.as_ptr()));
        let minima = turn(rows.each_ref().map(|row| row.minima.as_ptr()));
        for i in 0..FOUR {
            let anchors = fours(_mm512_mul_ps(scales[i], _mm512_set1_ps(-ANCHOR)));
            let (scales, minima) = (fours(scales[i]), fours(minima[i]));
            for l in 0..groups / FOUR {
                let out = out.add(order.place(FOUR * l + i, index));
                _mm_store_ps((*out).scales.as_mut_ptr().add(place), scales[l]);
                _mm_store_ps((*out).anchors.as_mut_ptr().add(place), anchors[l]);
                if U::MINIMA {
                    _mm_store_ps((*out).minima.as_mut_ptr().add(place), minima[l]);
                }
            }
        }
    }
}

/// 16 floats of each of four rows: register `i` has as its quarter `l` those of place 4·l + i.
///
/// # Safety
/// The CPU has the instruction set of this folder; 16 aligned floats may be read at each place.
#[inline(always)]
unsafe fn turn(rows: [*const f32; FOUR]) -> [__m512; FOUR] {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (_mm512_load_ps(rows[0]), _mm512_load_ps(rows[1]));
        let (c, d) = (_mm512_load_ps(rows[2]), _mm512_load_ps(rows[3]));
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        [
            _mm512_shuffle_ps::<0x44>(ab, cd),
            _mm512_shuffle_ps::<0xee>(ab, cd),
            _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm512_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    }
}

/// The quarters of a register.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
unsafe fn fours(floats: __m512) -> [__m128; FOUR] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            _mm512_castps512_ps128(floats),
            _mm512_extractf32x4_ps::<1>(floats),
            _mm512_extractf32x4_ps::<2>(floats),
            _mm512_extractf32x4_ps::<3>(floats),
        ]
    }
}

/// Which scales may be anchored.
#[inline(always)]
unsafe fn may_anchor(scales: __m512) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        let size = _mm512_abs_ps(scales);
        let short = _mm512_testn_epi32_mask(_mm512_castps_si512(scales), _mm512_set1_epi32(3));
        let large = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(size, _mm512_set1_ps(LEAST_ANCHORED));
        let small = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(size, _mm512_set1_ps(MOST_ANCHORED));
        let zero = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(size, _mm512_setzero_ps());
        (short & large & small | zero).into()
    }
}
