//! Rows with many tokens, for every instruction set: a lane is a token, four codes of a weight are broadcast.
//!
//! `R` rows by `C` registers of tokens go along a whole row for one group of the canonical order, with the integer
//! sums and the f32 lane in registers. The tokens' part of that group stays in the first-level cache meanwhile, the
//! rows come from the second-level cache, and the tokens that are next are fetched there.

#![expect(clippy::needless_range_loop, reason = "several arrays are walked by one row or register")]

use quant::{Quant, Row, Strip};

use crate::beside::{Ahead, Beside};
use crate::tiles::{
    ABREAST, ANCHOR, Block, LEAST_ANCHORED, MOST_ANCHORED, Order, ROWS, RowTile, Sums, TILES, TokenTile,
    WIDTH,
};

/// Spells up to twelve rows by way of `strip`, which is [`Quant::strip`]; whether all scales may be anchored.
///
/// # Safety
/// That of `strip`, for every strip of every row.
#[inline(always)]
pub(crate) unsafe fn spell<V: Beside>(
    quant: Quant,
    rows: &[Row<'_>],
    order: Order,
    out: &mut [RowTile],
    strip: unsafe fn(Quant, Row<'_>, usize, &mut Strip),
) -> bool {
    assert!(out.len() == order.tiles() && rows.len() <= ROWS);
    let (mut spelled, mut anchored) = (Strip::ZERO, true);
    for index in 0..order.strips {
        for (place, row) in rows.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { strip(quant, *row, index, &mut spelled) };
            let groups = spelled.codes.chunks_exact(spelled.codes.len() / order.groups);
            for (g, codes) in groups.enumerate() {
                let out = &mut out[order.place(g, index)..][..order.per_group()];
                for (out, codes) in out.iter_mut().zip(codes.as_chunks().0) {
                    out.codes[place] = *codes;
                }
                let sum: i32 = codes.iter().map(|code| i32::from(*code)).sum();
                let (out, scale) = (&mut out[0], spelled.scales[g]);
                out.starts[place] = ANCHOR.to_bits() as i32 - V::OFFSET * sum;
                out.scales[place] = scale;
                out.anchors[place] = scale * -ANCHOR;
                out.minima[place] = spelled.minima[g];
                anchored &= may_anchor(scale);
            }
        }
    }
    anchored
}

/// See [`ANCHOR`].
fn may_anchor(scale: f32) -> bool {
    scale == 0.0 || scale.to_bits() & 3 == 0 && (LEAST_ANCHORED..=MOST_ANCHORED).contains(&scale.abs())
}

/// Multiplies a block of rows with one or two tiles of tokens; [`fold`] makes answers of the sums.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn multiply<V: Beside>(
    block: &Block<'_>,
    x: &[TokenTile],
    ahead: &[TokenTile],
    out: &mut [Sums],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (block.order.groups == 16, block.minima, block.anchored) {
            (false, false, true) => by_groups::<V, 8, false, true>(block, x, ahead, out),
            (false, true, true) => by_groups::<V, 8, true, true>(block, x, ahead, out),
            (true, false, true) => by_groups::<V, 16, false, true>(block, x, ahead, out),
            (true, true, true) => by_groups::<V, 16, true, true>(block, x, ahead, out),
            (false, false, false) => by_groups::<V, 8, false, false>(block, x, ahead, out),
            (false, true, false) => by_groups::<V, 8, true, false>(block, x, ahead, out),
            (true, false, false) => by_groups::<V, 16, false, false>(block, x, ahead, out),
            (true, true, false) => by_groups::<V, 16, true, false>(block, x, ahead, out),
        }
    }
}

#[inline(always)]
unsafe fn by_groups<V: Beside, const GROUPS: usize, const MINIMA: bool, const ANCHORED: bool>(
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
            let rows = &rows[g * per_group..][..per_group];
            // SAFETY: the caller's promise.
            unsafe { V::panel::<GROUPS, MINIMA, ANCHORED>(rows, x, abreast, &mut ahead, &mut out.0[g]) };
        }
    }
}

/// The sums of one group over all strips, of `R` rows from `first` on with `C` registers of tokens, from token tile
/// `which` of those abreast on.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn run<
    V: Beside,
    const GROUPS: usize,
    const MINIMA: bool,
    const ANCHORED: bool,
    const R: usize,
    const C: usize,
>(
    rows: &[RowTile],
    first: usize,
    x: &[TokenTile],
    (which, abreast): (usize, usize),
    ahead: &mut Ahead,
    out: &mut [[f32; ABREAST * WIDTH]; ROWS],
) {
    let per_group = TILES / GROUPS;
    assert!(first + R <= ROWS && which * WIDTH + C * V::TOKENS <= abreast * WIDTH && abreast <= ABREAST);
    assert!(x.len() >= rows.len() * abreast && rows.len().is_multiple_of(per_group));
    // SAFETY: the caller's promise; the pointers stay within the slices by the lines above.
    unsafe {
        let mut lanes = [[V::zero(); C]; R];
        let (mut w, mut x) = (rows.as_ptr(), x.as_ptr().add(which));
        let end = w.add(rows.len());
        while w < end {
            ahead.fetch::<V>();
            let sums = sum_codes::<V, R, C>(w, first, x, abreast, per_group);
            add_sums::<V, MINIMA, ANCHORED, R, C>(&*w, first, x, &sums, &mut lanes);
            (w, x) = (w.add(per_group), x.add(per_group * abreast));
        }
        for r in 0..R {
            for c in 0..C {
                V::store(lanes[r][c], out[first + r].as_mut_ptr().add(which * WIDTH + c * V::TOKENS));
            }
        }
    }
}

/// Where the tokens of register `c` begin: in which tile, and as which of its tokens.
#[inline(always)]
const fn begin<V: Beside>(c: usize) -> (usize, usize) {
    (c * V::TOKENS / WIDTH, c * V::TOKENS % WIDTH)
}

/// The products of a group of a strip, which is so many tiles, as integers from [`RowTile::starts`] on.
#[inline(always)]
unsafe fn sum_codes<V: Beside, const R: usize, const C: usize>(
    w: *const RowTile,
    first: usize,
    x: *const TokenTile,
    abreast: usize,
    tiles: usize,
) -> [[V::Sums; C]; R] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::sums(0); C]; R];
        for r in 0..R {
            sums[r] = [V::sums((*w).starts[first + r]); C];
        }
        for t in 0..tiles {
            let codes = (*w.add(t)).codes.as_ptr().add(first);
            for quad in 0..4 {
                let mut tokens = [V::codes((*x.add(t * abreast)).codes[quad].as_ptr().cast()); C];
                for c in 1..C {
                    let (tile, token) = begin::<V>(c);
                    tokens[c] = V::codes((*x.add(t * abreast + tile)).codes[quad].as_ptr().add(token).cast());
                }
                for r in 0..R {
                    let w = V::quad(codes.add(r).cast::<i8>().add(4 * quad));
                    for c in 0..C {
                        sums[r][c] = V::dot(sums[r][c], tokens[c], w);
                    }
                }
            }
        }
        sums
    }
}

/// Adds the sums of a group of a strip, scaled, to its lane.
#[inline(always)]
unsafe fn add_sums<V: Beside, const MINIMA: bool, const ANCHORED: bool, const R: usize, const C: usize>(
    w: &RowTile,
    first: usize,
    x: *const TokenTile,
    sums: &[[V::Sums; C]; R],
    lanes: &mut [[V::Floats; C]; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        for r in 0..R {
            let scale = w.scales[first + r];
            for c in 0..C {
                let scaled = if ANCHORED {
                    V::anchored(sums[r][c], scale, w.anchors[first + r])
                } else {
                    V::scaled(sums[r][c], scale)
                };
                let (tile, token) = begin::<V>(c);
                let scales = V::load((*x.add(tile)).scales.as_ptr().add(token));
                lanes[r][c] = V::add_product(lanes[r][c], scaled, scales);
                if MINIMA {
                    let totals = V::load((*x.add(tile)).totals.as_ptr().add(token));
                    lanes[r][c] = V::take_product(lanes[r][c], w.minima[first + r], totals);
                }
            }
        }
    }
}

/// Folds the lanes of all sums in halves. In a function of its own, lest it take registers from the loops of [`multiply`].
#[inline(always)]
pub(crate) fn fold(groups: usize, sums: &mut [Sums]) {
    for sums in sums {
        let mut half = groups / 2;
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
}
