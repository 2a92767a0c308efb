//! Rows spelled out as row tiles.

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::beside::Sixteen;
use super::dot::sums_of_groups;
use super::unpack::{Unpack, Unpacked, prefetch_next, spelled, whole_strips};
use crate::beside::Beside;
use crate::tiles::{ANCHOR, LEAST_ANCHORED, MOST_ANCHORED, Order, ROWS, RowTile, TILES};

/// Spells up to twelve rows; whether all scales may be anchored. Strip by strip, so that tiles are written while they
/// lie in the first-level cache.
///
/// # Safety
/// As [`Unpack::strip`], of every strip of every row.
#[inline(always)]
pub(super) unsafe fn spell<U: Unpack>(
    quant: Quant,
    rows: &[Row<'_>],
    order: Order,
    out: &mut [RowTile],
) -> bool {
    let groups = if U::SIXTEEN { 16 } else { 8 };
    assert!(order.groups == groups && out.len() == order.tiles() && rows.len() <= ROWS);
    let whole = rows.first().map_or(0, |row| whole_strips(quant, *row));
    let mut anchored = (1 << groups) - 1;
    for index in 0..order.strips {
        for (place, row) in rows.iter().enumerate() {
            let per_strip = row.values.len() / order.strips;
            prefetch_next(
                row.values.as_ptr().wrapping_add(ROWS * row.values.len() + index * per_strip),
                per_strip,
            );
            // SAFETY: the caller's promise; tiles of strips below `order.strips` lie within `out` by the assertion.
            unsafe {
                let strip = if index < whole {
                    U::strip(quant, *row, index)
                } else {
                    spelled::<U>(quant, *row, index)
                };
                anchored &= may_anchor(strip.scales);
                let fields = Fields::of::<U>(&strip);
                for g in 0..groups {
                    let out = out.as_mut_ptr().add(order.place(g, index));
                    for t in 0..TILES / groups {
                        (*out.add(t)).codes[place] = fields.codes[g * (TILES / groups) + t];
                    }
                    let out = &mut *out;
                    out.starts[place] = fields.starts[g];
                    out.scales[place] = fields.scales[g];
                    out.anchors[place] = fields.anchors[g];
                    if U::MINIMA {
                        out.minima[place] = fields.minima[g];
                    }
                }
            }
        }
    }
    anchored == (1 << groups) - 1
}

/// What the tiles have of a strip of one row.
#[repr(C, align(64))]
struct Fields {
    codes: [[i8; 16]; TILES],
    starts: [i32; 16],
    scales: [f32; 16],
    anchors: [f32; 16],
    minima: [f32; 16],
}

impl Fields {
    #[inline(always)]
    unsafe fn of<U: Unpack>(strip: &Unpacked) -> Self {
        let mut fields = Self {
            codes: [[0; 16]; TILES],
            starts: [0; 16],
            scales: [0.0; 16],
            anchors: [0.0; 16],
            minima: [0.0; 16],
        };
        // SAFETY: the caller's promise; the stores fill whole arrays.
        unsafe {
            let offset = _mm512_set1_epi8(U::OFFSET.map_or(0, |log2| (1_u8 << log2) as i8));
            let mut quads = strip.codes;
            for (i, quads) in quads.iter_mut().enumerate() {
                let codes = _mm512_sub_epi8(*quads, offset);
                _mm512_store_si512(fields.codes.as_mut_ptr().add(4 * i).cast(), codes);
                *quads = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), codes);
            }
            let sums = _mm512_slli_epi32::<{ Sixteen::OFFSET.ilog2() }>(sums_of_groups::<U>(quads));
            let starts = _mm512_sub_epi32(_mm512_set1_epi32(ANCHOR.to_bits() as i32), sums);
            _mm512_store_si512(fields.starts.as_mut_ptr().cast(), starts);
            _mm512_store_ps(fields.scales.as_mut_ptr(), strip.scales);
            _mm512_store_ps(
                fields.anchors.as_mut_ptr(),
                _mm512_mul_ps(strip.scales, _mm512_set1_ps(-ANCHOR)),
            );
            if U::MINIMA {
                _mm512_store_ps(fields.minima.as_mut_ptr(), strip.minima);
            }
        }
        fields
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
