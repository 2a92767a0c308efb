//! Rows spelled out as row tiles.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::beside::Sixteen;
use super::unpack::{Unpack, Unpacked, prefetch_next, spelled, whole_strips};
use crate::beside::Beside;
use crate::tiles::{ANCHOR, LEAST_ANCHORED, MOST_ANCHORED, Order, ROWS, TILES, Twelve};

/// Rows that are laid out together.
const FOUR: usize = 4;

/// Spells up to twelve rows; whether all scales may be anchored. Strip by strip, so that tiles are written while they
/// lie in the first-level cache, and four rows at a time, so that they are written in whole lines.
///
/// # Safety
/// As [`Unpack::strip`], of every strip of every row.
#[inline(always)]
pub(super) unsafe fn spell<U: Unpack>(
    quant: Quant,
    rows: &[Row<'_>],
    order: Order,
    mut out: Twelve<'_>,
) -> bool {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    assert!(order.groups == groups && rows.len() <= ROWS);
    assert!(out.tiles.len() == order.tiles() && out.groups.len() == order.all_groups());
    let whole = rows.first().map_or(0, |row| whole_strips(quant, *row));
    let per_strip = rows.first().map_or(0, |row| row.values.len() / order.strips);
    let mut anchored = (1 << groups) - 1;
    // Of fewer than four rows, what is there from before goes where nobody looks.
    let mut fields = [Fields::ZERO; FOUR];
    for index in 0..order.strips {
        for (which, rows) in rows.chunks(FOUR).enumerate() {
            for (fields, row) in fields.iter_mut().zip(rows) {
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
                    fields.take::<U>(&strip);
                }
            }
            // SAFETY: the caller's promise; there are three times four rows.
            unsafe { lay_out::<U>(&fields, which * FOUR, order, index, &mut out) };
        }
    }
    anchored == (1 << groups) - 1
}

/// What the tiles have of a strip of one row.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Fields {
    codes: [[u8; 16]; TILES],
    scales: [f32; 16],
    minima: [f32; 16],
}

impl Fields {
    const ZERO: Self = Self { codes: [[0; 16]; TILES], scales: [0.0; 16], minima: [0.0; 16] };

    #[inline(always)]
    unsafe fn take<U: Unpack>(&mut self, strip: &Unpacked) {
        // SAFETY: the caller's promise; the stores fill whole arrays.
        unsafe {
            let more =
                _mm512_set1_epi8(Sixteen::OFFSET.wrapping_sub(U::OFFSET.map_or(0, |log2| 1 << log2)) as i8);
            for (i, codes) in strip.codes.into_iter().enumerate() {
                let codes = _mm512_add_epi8(codes, more);
                _mm512_store_si512(self.codes.as_mut_ptr().add(4 * i).cast(), codes);
            }
            _mm512_store_ps(self.scales.as_mut_ptr(), strip.scales);
            if U::MINIMA {
                _mm512_store_ps(self.minima.as_mut_ptr(), strip.minima);
            }
        }
    }
}

/// Writes strip `index` of four rows to their tiles, from row `place` on, which is a multiple of four.
///
/// # Safety
/// The CPU has the instruction set of this folder, and `place` leaves room for four rows.
#[inline(always)]
unsafe fn lay_out<U: Unpack>(
    fields: &[Fields; FOUR],
    place: usize,
    order: Order,
    index: usize,
    out: &mut Twelve<'_>,
) {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    let per_group = TILES / groups;
    let end = order.place(groups - 1, index) + 1;
    assert!(
        order.groups == groups
            && end <= out.groups.len()
            && end * per_group <= out.tiles.len()
            && place + FOUR <= ROWS
    );
    // SAFETY: the places lie within both by the assertion, lines are aligned as tiles are.
    unsafe {
        let (tiles, out) = (out.tiles.as_mut_ptr(), out.groups.as_mut_ptr());
        for quarter in 0..TILES / FOUR {
            let codes = turn_tiles(fields.each_ref().map(|row| row.codes.as_ptr().add(FOUR * quarter)));
            for (t, codes) in codes.into_iter().enumerate() {
                let (g, t) = ((FOUR * quarter + t) / per_group, (FOUR * quarter + t) % per_group);
                let tile = tiles.add(order.place(g, index) * per_group + t);
                _mm512_store_si512((*tile).0.as_mut_ptr().add(place).cast(), codes);
            }
        }
        let scales = turn(fields.each_ref().map(|row| row.scales.as_ptr()));
        let minima = turn(fields.each_ref().map(|row| row.minima.as_ptr()));
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

/// Four times 16 codes of each of four rows: the first of each row, then the second, and so on.
///
/// # Safety
/// The CPU has the instruction set of this folder; 64 aligned bytes may be read at each place.
#[inline(always)]
unsafe fn turn_tiles(rows: [*const [u8; 16]; FOUR]) -> [__m512i; FOUR] {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (_mm512_load_si512(rows[0].cast()), _mm512_load_si512(rows[1].cast()));
        let (c, d) = (_mm512_load_si512(rows[2].cast()), _mm512_load_si512(rows[3].cast()));
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
        let (ab_high, cd_high) = (_mm512_shuffle_i32x4::<0xee>(a, b), _mm512_shuffle_i32x4::<0xee>(c, d));
        [
            _mm512_shuffle_i32x4::<0x88>(ab, cd),
            _mm512_shuffle_i32x4::<0xdd>(ab, cd),
            _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high),
            _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high),
        ]
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
