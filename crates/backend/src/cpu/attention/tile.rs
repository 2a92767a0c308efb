//! One tile of keys and values, and a block of queries that looks at it.

use std::ops::Range;

use kernels::{Factors, Kernels, Size};

use super::sums::Sums;
use super::{TILE, padded};
use crate::Chosen;

/// Positions up to which ranges are [`NEAR`] long, so that short contexts are shared among threads as well.
const NEAR_END: usize = 4096;
const NEAR: usize = 256;
/// Length of the ranges beyond.
const FAR: usize = 1024;

/// The ranges of a context of `len` rows. They begin at the same positions however long it is.
pub(super) fn ranges(len: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let near = len.min(NEAR_END).div_ceil(NEAR);
    let far = len.saturating_sub(NEAR_END).div_ceil(FAR);
    (0..near + far).map(move |i| {
        let (start, length) = if i < near { (i * NEAR, NEAR) } else { (NEAR_END + (i - near) * FAR, FAR) };
        start..len.min(start + length)
    })
}

/// The tiles of a range.
pub(super) fn tiles(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(TILE).map(move |start| start..range.end.min(start + TILE))
}

/// Which cached rows each lane of a block sees.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    /// Position of the first query of the call.
    pub(super) start: usize,
    /// The block's first lane among all lanes of the call.
    pub(super) first: usize,
    /// Lanes that are queries; those behind them are padding.
    pub(super) count: usize,
    /// Lanes that belong to one token: its heads.
    pub(super) per_token: usize,
    /// Rows a token sees at most, its own among them; `None` sees all before it.
    pub(super) window: Option<usize>,
    /// Tokens to a row, which is seen once all of them are; 1 mostly.
    pub(super) every: usize,
    /// Rows that each token of the call attends to; `None` attends to all it sees.
    pub(super) chosen: Option<&'a Chosen>,
}

impl Sight<'_> {
    /// Rows that `lane` sees.
    fn of(&self, lane: usize) -> Range<usize> {
        let lane = lane.min(self.count - 1);
        let end = (self.start + (self.first + lane) / self.per_token + 1) / self.every;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// Rows that any lane sees.
    pub(super) fn all(&self) -> Range<usize> {
        self.of(0).start..self.of(self.count - 1).end
    }

    /// Hides from each lane what it does not see of a tile's `scores`, `[tile, lanes]`.
    fn hide(&self, tile: Range<usize>, scores: &mut [f32], lanes: usize) {
        if let Some(chosen) = self.chosen {
            return self.hide_all_but(chosen, tile, scores, lanes);
        }
        if self.of(0).end >= tile.end && self.of(self.count - 1).start <= tile.start {
            return;
        }
        for lane in 0..lanes {
            let seen = self.of(lane);
            for (key, row) in tile.clone().zip(scores.chunks_exact_mut(lanes)) {
                if !seen.contains(&key) {
                    row[lane] = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// Hides from each lane what its token has not chosen.
    fn hide_all_but(&self, chosen: &Chosen, tile: Range<usize>, scores: &mut [f32], lanes: usize) {
        for lane in 0..lanes {
            let rows = chosen.of((self.first + lane.min(self.count - 1)) / self.per_token);
            let first = rows.partition_point(|row| (*row as usize) < tile.start);
            let mut rows = rows[first..].iter().peekable();
            for (key, row) in tile.clone().zip(scores.chunks_exact_mut(lanes)) {
                if rows.next_if(|next| **next as usize == key).is_none() {
                    row[lane] = f32::NEG_INFINITY;
                }
            }
        }
    }
}

/// A tile of the context, in f32.
pub(super) struct Tile<'a> {
    /// Its positions.
    pub(super) rows: Range<usize>,
    /// Its keys.
    pub(super) keys: Factors<'a>,
    /// Width of a key.
    pub(super) key: usize,
    /// Its values, and floats from one to the next.
    pub(super) values: (&'a [f32], usize),
}

/// Lets a block of queries look at a tile. `queries` is `[key, lanes]`, scaled; `scores` has room for `[TILE, lanes]`
/// and one row more.
pub(super) fn look(
    kernels: &Kernels,
    tile: &Tile<'_>,
    queries: &[f32],
    sight: &Sight<'_>,
    sums: &mut Sums<'_>,
    scores: &mut [f32],
) {
    let (lanes, count) = (sums.most.len(), tile.rows.len());
    let (fade, scores) = scores.split_at_mut(lanes);
    let scores = &mut scores[..count * lanes];
    scores.fill(0.0);
    let size = Size { rows: count, depth: tile.key, cols: lanes };
    kernels.accumulate(tile.keys, (queries, lanes), (scores, lanes), size);
    sight.hide(tile.rows.clone(), scores, lanes);
    kernels.soften(scores, sums.most, sums.total, fade);

    let width = sums.mixed.len() / lanes;
    for (row, fade) in sums.mixed.chunks_exact_mut(width).zip(fade.iter().take(sight.count)) {
        if *fade != 1.0 {
            row.iter_mut().for_each(|value| *value *= fade);
        }
    }
    let weights = Factors { values: scores, row: 1, step: lanes };
    let size = Size { rows: sight.count, depth: count, cols: width };
    kernels.accumulate(weights, tile.values, (sums.mixed, width), size);
}

/// Floats of the scores that [`look`] needs.
pub(super) fn score_floats(lanes: usize) -> usize {
    (TILE + 1) * lanes
}

/// Queries as [`look`] takes them: `[key, lanes]`, from one row of `width` floats a lane. Rows of the answer from
/// `key` on, as many as padding makes, are 0.
pub(super) fn turn<'a>(rows: impl Iterator<Item = &'a [f32]>, lanes: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (lane, row) in rows.enumerate() {
        for (out, value) in out.chunks_exact_mut(lanes).zip(row) {
            out[lane] = *value;
        }
    }
}

/// Lanes of the blocks of a call with `count` queries.
pub(super) fn lanes(count: usize) -> usize {
    padded(count.min(super::BLOCK))
}
