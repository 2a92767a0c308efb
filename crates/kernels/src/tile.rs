//! Rows with many tokens, for every instruction set: a lane is a token, four codes of a weight are broadcast.
//!
//! `R` rows by `C` registers of tokens go along a whole row for one group of the canonical order, with the integer
//! sums and the f32 lane in registers. The tokens' part of that group stays in the first-level cache meanwhile, the
//! rows come from the second-level cache, and the tokens that are next are fetched there.

#![expect(clippy::needless_range_loop, reason = "several arrays are walked by one row or register")]

use quant::{Quant, Row, Strip};

use crate::beside::{Ahead, Beside};
use crate::tiles::{
    ABREAST, ANCHOR, Block, LEAST_ANCHORED, Lane, MOST_ANCHORED, Order, ROWS, RowGroup, Rows, Sums, TILES,
    TokenGroup, TokenTile, Tokens, Twelve, WIDTH,
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
    Twelve { tiles, groups: out }: Twelve<'_>,
    strip: unsafe fn(Quant, Row<'_>, usize, &mut Strip),
) -> bool {
    assert!(tiles.len() == order.tiles() && out.len() == order.all_groups() && rows.len() <= ROWS);
    let (mut spelled, mut anchored) = (Strip::ZERO, true);
    for index in 0..order.strips {
        for (place, row) in rows.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { strip(quant, *row, index, &mut spelled) };
            let groups = spelled.codes.chunks_exact(spelled.codes.len() / order.groups);
            for (g, codes) in groups.enumerate() {
                let at = order.place(g, index);
                let tiles = &mut tiles[at * order.per_group()..][..order.per_group()];
                for (t, codes) in codes.as_chunks::<16>().0.iter().enumerate() {
                    let sixteen = place * order.per_group() + t;
                    // To add 128, or nothing, is to flip a bit.
                    tiles[sixteen / ROWS].0[sixteen % ROWS] = codes.map(|code| code as u8 ^ V::OFFSET);
                }
                let (out, scale) = (&mut out[at], spelled.scales[g]);
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
    x: Tokens<'_>,
    ahead: Tokens<'_>,
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
    x: Tokens<'_>,
    ahead: Tokens<'_>,
    out: &mut [Sums],
) {
    let Order { strips, groups } = block.order;
    let (panels, abreast) = (out.len(), x.groups.len() / block.order.all_groups());
    assert!(groups == GROUPS && block.rows.tiles.len() == panels * block.order.tiles());
    let (ahead, _) = ahead.split_at(abreast, block.order);
    let mut ahead = Ahead::new(ahead, panels * GROUPS * strips);
    let panel = (block.order.tiles(), block.order.all_groups());
    for g in 0..GROUPS {
        let group = |all: usize| g * (all / GROUPS)..(g + 1) * (all / GROUPS);
        let x = Tokens { tiles: &x.tiles[group(x.tiles.len())], groups: &x.groups[group(x.groups.len())] };
        let (tiles, scales) =
            (block.rows.tiles.chunks_exact(panel.0), block.rows.groups.chunks_exact(panel.1));
        for ((tiles, groups), out) in tiles.zip(scales).zip(&mut *out) {
            let rows = Rows { tiles: &tiles[group(panel.0)], groups: &groups[group(panel.1)] };
            let (half, add) = (g % (GROUPS / 2), g >= GROUPS / 2);
            // SAFETY: the caller's promise.
            unsafe { V::panel::<GROUPS, MINIMA, ANCHORED>(rows, x, &mut ahead, add, &mut out.0[half]) };
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
    rows: Rows<'_>,
    first: usize,
    x: Tokens<'_>,
    which: usize,
    ahead: &mut Ahead,
    add: bool,
    out: &mut Lane,
) {
    let (per_group, strips) = (TILES / GROUPS, rows.groups.len());
    let abreast = x.groups.len() / strips;
    assert!(first + R <= ROWS && which * WIDTH + C * V::TOKENS <= abreast * WIDTH && abreast <= ABREAST);
    assert!(rows.tiles.len() == strips * per_group && x.tiles.len() == rows.tiles.len() * abreast);
    // SAFETY: the caller's promise; the pointers stay within the slices by the lines above.
    unsafe {
        let mut lanes = [[V::zero(); C]; R];
        let (mut w, mut x_tiles) = (rows.tiles.as_ptr(), x.tiles.as_ptr().add(which * per_group));
        let mut x_groups = x.groups.as_ptr().add(which);
        for group in rows.groups {
            ahead.fetch::<V>();
            let sums = sum_codes::<V, R, C>((w.cast(), per_group), first, (x_tiles, x_groups));
            add_sums::<V, MINIMA, ANCHORED, R, C>(group, first, x_groups, &sums, &mut lanes);
            (w, x_tiles) = (w.add(per_group), x_tiles.add(per_group * abreast));
            x_groups = x_groups.add(abreast);
        }
        for r in 0..R {
            for c in 0..C {
                let out = out[first + r].as_mut_ptr().add(which * WIDTH + c * V::TOKENS);
                V::store(if add { V::plus(V::load(out), lanes[r][c]) } else { lanes[r][c] }, out);
            }
        }
    }
}

/// Where the tokens of register `c` begin: in which tile, and as which of its tokens.
#[inline(always)]
const fn begin<V: Beside>(c: usize) -> (usize, usize) {
    (c * V::TOKENS / WIDTH, c * V::TOKENS % WIDTH)
}

/// The products of a group of a strip, which is so many tiles, as integers from [`TokenGroup::starts`] on.
#[inline(always)]
unsafe fn sum_codes<V: Beside, const R: usize, const C: usize>(
    (w, tiles): (*const u8, usize),
    first: usize,
    (x, groups): (*const TokenTile, *const TokenGroup),
) -> [[V::Sums; C]; R] {
    // SAFETY: the caller's promise.
    unsafe {
        let start = |c| {
            let (tile, token) = begin::<V>(c);
            V::sums((*groups.add(tile)).starts.as_ptr().add(token))
        };
        let mut starts = [start(0); C];
        for c in 1..C {
            starts[c] = start(c);
        }
        let mut sums = [starts; R];
        for t in 0..tiles {
            for quad in 0..4 {
                let mut tokens = [V::codes((*x.add(t)).0[quad].as_ptr().cast()); C];
                for c in 1..C {
                    let (tile, token) = begin::<V>(c);
                    tokens[c] = V::codes((*x.add(tile * tiles + t)).0[quad].as_ptr().add(token).cast());
                }
                for r in 0..R {
                    let w = V::quad(w.add(((first + r) * tiles + t) * 16 + 4 * quad));
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
    w: &RowGroup,
    first: usize,
    x: *const TokenGroup,
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

/// Folds the lanes of all sums in halves, but for the first time. In a function of its own, lest it take registers from the loops of [`multiply`].
#[inline(always)]
pub(crate) fn fold(groups: usize, sums: &mut [Sums]) {
    for sums in sums {
        let mut half = groups / 4;
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
