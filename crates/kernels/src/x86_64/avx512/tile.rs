//! Rows with many tokens: a lane is a token, four codes of a weight are broadcast.
//!
//! `R` rows by `C` tiles of tokens go along a whole row for one group of the canonical order, with the integer sums
//! and the f32 lane in registers. The tokens' part of that group stays in the first-level cache meanwhile, the rows
//! come from the second-level cache, and the tokens that are next are fetched there.

#![expect(clippy::needless_range_loop, reason = "several arrays are walked by one row or tile")]

use std::arch::x86_64::*;

use quant::{Quant, Row};

use super::dot::sums_of_groups;
use super::unpack::{Unpack, Unpacked, prefetch_next, spelled, whole_strips};
use crate::tiles::{
    ABREAST, ANCHOR, Block, LEAST_ANCHORED, MOST_ANCHORED, OFFSET, Order, ROWS, RowTile, Sums, TILES,
    TokenTile, WIDTH,
};

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
            let mut quads = [_mm512_setzero_si512(); 4];
            for i in 0..4 {
                let codes = _mm512_sub_epi8(strip.codes[i], offset);
                _mm512_store_si512(fields.codes.as_mut_ptr().add(4 * i).cast(), codes);
                quads[i] = _mm512_dpbusd_epi32(quads[i], _mm512_set1_epi8(1), codes);
            }
            let sums = _mm512_slli_epi32::<{ OFFSET.ilog2() }>(sums_of_groups::<U>(quads));
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

/// Multiplies a block of rows with one or two tiles of tokens; the first lane of the sums becomes the answer.
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
pub(super) unsafe fn multiply<const GROUPS: usize, const MINIMA: bool, const ANCHORED: bool>(
    block: &Block<'_>,
    x: &[TokenTile],
    ahead: &[TokenTile],
    out: &mut [Sums],
) {
    let Order { strips, groups } = block.order;
    let (panels, abreast) = (out.len(), x.len() / block.order.tiles());
    assert!(groups == GROUPS && block.tiles.len() == panels * block.order.tiles());
    assert!(x.len() == abreast * block.order.tiles());
    let per_group = strips * (TILES / GROUPS);
    let mut ahead = Ahead::new(&ahead[..ahead.len().min(x.len())], panels * GROUPS * strips);
    for g in 0..GROUPS {
        let x = &x[g * per_group * abreast..];
        for (rows, out) in block.tiles.chunks_exact(block.order.tiles()).zip(&mut *out) {
            let (rows, out) = (&rows[g * per_group..][..per_group], &mut out.0[g]);
            // SAFETY: the caller's promise; both are as long as `strips` says.
            unsafe {
                if abreast == ABREAST {
                    run::<GROUPS, MINIMA, ANCHORED, 6, 2>(rows, 0, x, &mut ahead, out);
                    run::<GROUPS, MINIMA, ANCHORED, 6, 2>(rows, 6, x, &mut ahead, out);
                } else {
                    run::<GROUPS, MINIMA, ANCHORED, 12, 1>(rows, 0, x, &mut ahead, out);
                }
            }
        }
    }
    for sums in out {
        // SAFETY: the caller's promise.
        unsafe { fold::<GROUPS>(sums) };
    }
}

/// Lines to fetch into the second-level cache, a few for each strip: more at once would stall.
struct Ahead {
    next: *const u8,
    end: *const u8,
    /// Bytes for each strip.
    share: usize,
}

impl Ahead {
    fn new(tiles: &[TokenTile], strips: usize) -> Self {
        let range = tiles.as_ptr_range();
        let share = size_of_val(tiles).div_ceil(strips).next_multiple_of(64);
        Self { next: range.start.cast(), end: range.end.cast(), share }
    }

    /// The next strip's share.
    #[inline(always)]
    fn fetch(&mut self) {
        let until = self.next.wrapping_add(self.share).min(self.end);
        while self.next < until {
            // SAFETY: a prefetch reads nothing, wherever it points; any x86-64 has it.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.cast()) };
            self.next = self.next.wrapping_add(64);
        }
    }
}

/// The sums of one group over all strips, of `R` rows from `first` on with `C` tiles of tokens.
#[inline(always)]
unsafe fn run<
    const GROUPS: usize,
    const MINIMA: bool,
    const ANCHORED: bool,
    const R: usize,
    const C: usize,
>(
    rows: &[RowTile],
    first: usize,
    x: &[TokenTile],
    ahead: &mut Ahead,
    out: &mut [[f32; ABREAST * WIDTH]; ROWS],
) {
    let per_group = TILES / GROUPS;
    assert!(first + R <= ROWS && x.len() >= rows.len() * C && rows.len().is_multiple_of(per_group));
    // SAFETY: the caller's promise; the pointers stay within the slices by the line above.
    unsafe {
        let mut lanes = [[_mm512_setzero_ps(); C]; R];
        let (mut w, mut x) = (rows.as_ptr(), x.as_ptr());
        let end = w.add(rows.len());
        while w < end {
            ahead.fetch();
            let sums = sum_codes::<R, C>(w, first, x, per_group);
            add_sums::<MINIMA, ANCHORED, R, C>(&*w, first, x, &sums, &mut lanes);
            (w, x) = (w.add(per_group), x.add(per_group * C));
        }
        for r in 0..R {
            for c in 0..C {
                _mm512_store_ps(out[first + r].as_mut_ptr().add(c * WIDTH), lanes[r][c]);
            }
        }
    }
}

/// The products of a group of a strip, which is so many tiles, as integers from [`RowTile::starts`] on.
#[inline(always)]
unsafe fn sum_codes<const R: usize, const C: usize>(
    w: *const RowTile,
    first: usize,
    x: *const TokenTile,
    tiles: usize,
) -> [[__m512i; C]; R] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); C]; R];
        for r in 0..R {
            sums[r] = [_mm512_set1_epi32((*w).starts[first + r]); C];
        }
        for t in 0..tiles {
            let codes = (*w.add(t)).codes.as_ptr().add(first);
            for quad in 0..4 {
                let mut tokens = [_mm512_setzero_si512(); C];
                for c in 0..C {
                    tokens[c] = _mm512_load_si512((*x.add(t * C + c)).codes[quad].as_ptr().cast());
                }
                for r in 0..R {
                    let w = _mm512_set1_epi32(codes.add(r).cast::<i32>().add(quad).read());
                    for c in 0..C {
                        sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], tokens[c], w);
                    }
                }
            }
        }
        sums
    }
}

/// Adds the sums of a group of a strip, scaled, to its lane.
#[inline(always)]
unsafe fn add_sums<const MINIMA: bool, const ANCHORED: bool, const R: usize, const C: usize>(
    w: &RowTile,
    first: usize,
    x: *const TokenTile,
    sums: &[[__m512i; C]; R],
    lanes: &mut [[__m512; C]; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        for r in 0..R {
            let scale = _mm512_set1_ps(w.scales[first + r]);
            for c in 0..C {
                let scaled = if ANCHORED {
                    let anchor = _mm512_set1_ps(w.anchors[first + r]);
                    _mm512_fmadd_ps(_mm512_castsi512_ps(sums[r][c]), scale, anchor)
                } else {
                    let sum = _mm512_sub_epi32(sums[r][c], _mm512_set1_epi32(ANCHOR.to_bits() as i32));
                    _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale)
                };
                let scales = _mm512_load_ps((*x.add(c)).scales.as_ptr());
                lanes[r][c] = _mm512_fmadd_ps(scaled, scales, lanes[r][c]);
                if MINIMA {
                    let minimum = _mm512_set1_ps(w.minima[first + r]);
                    let totals = _mm512_load_ps((*x.add(c)).totals.as_ptr());
                    lanes[r][c] = _mm512_fnmadd_ps(minimum, totals, lanes[r][c]);
                }
            }
        }
    }
}

/// Folds the lanes in halves.
#[inline(always)]
unsafe fn fold<const GROUPS: usize>(sums: &mut Sums) {
    let mut half = GROUPS / 2;
    while half > 0 {
        let (low, high) = sums.0.split_at_mut(half);
        for (low, high) in low.as_flattened_mut().iter_mut().zip(high.as_flattened()) {
            for (low, high) in low.iter_mut().zip(high) {
                *low += high;
            }
        }
        half /= 2;
    }
}
