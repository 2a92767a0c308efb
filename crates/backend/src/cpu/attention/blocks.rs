//! Blocks of queries that look back over the whole context.
//!
//! A few blocks share the context range by range, so that one token keeps every thread busy; many blocks each walk
//! through all of it. Both take the same sums in the same order.

use std::ops::Range;

use kernels::Factors;

use super::sums::{Sums, Width, join};
use super::tile::{self, Sight, Tile, look, ranges, tiles};
use super::{Machine, Space, grown, padded};
use crate::KvRows;
use crate::cpu::kv_rows;

/// Blocks of a group up to which the context is shared range by range.
pub(super) const FEW: usize = 2;

/// Where keys and values lie in a cached row: of group `g`, from column `g * (key | value, whichever ends last)` on.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Groups of heads with a key and a value of their own.
    pub(super) groups: usize,
    /// Width of a key, which comes first.
    pub(super) key: usize,
    /// Columns of the group before its value.
    pub(super) value_at: usize,
    /// Width of a value.
    pub(super) value: usize,
}

impl Layout {
    /// Columns of one group.
    fn width(&self) -> usize {
        self.key.max(self.value_at + self.value)
    }

    /// Floats from one widened row to the next.
    fn stride(&self) -> usize {
        padded(self.key.max(self.value_at + padded(self.value)))
    }
}

/// The queries of one call, and what they look at.
pub(super) struct Blocks<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) layout: Layout,
    /// What is looked at: the rows of one after those of another.
    pub(super) sources: &'a [Source<'a>],
    /// Queries of each group: tokens times `per_token`.
    pub(super) count: usize,
    /// Heads of a group.
    pub(super) per_token: usize,
    /// The sink of each head, those of a group side by side.
    pub(super) sinks: Option<&'a [f32]>,
}

/// Cached rows, and which of them are seen.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) kv: &'a KvRows,
    /// Position of the first token.
    pub(super) start: usize,
    /// As [`Sight::window`].
    pub(super) window: Option<usize>,
    /// As [`Sight::every`].
    pub(super) every: usize,
    /// The one token of the call attends to these, as if there were no others.
    pub(super) rows: Option<&'a [u32]>,
}

impl<'a> Source<'a> {
    /// Rows of the tokens from `start` on and of all before.
    pub(super) fn of(kv: &'a KvRows, start: usize) -> Self {
        Self { kv, start, window: None, every: 1, rows: None }
    }

    /// These rows, of the only token.
    pub(super) fn chosen(kv: &'a KvRows, rows: &'a [u32]) -> Self {
        Self { rows: Some(rows), ..Self::of(kv, rows.len() - 1) }
    }
}

/// A range of a source.
#[derive(Clone)]
struct Part<'a> {
    source: &'a Source<'a>,
    range: Range<usize>,
}

/// One block.
#[derive(Clone, Copy)]
struct Place<'a> {
    group: usize,
    /// Its number within the group.
    block: usize,
    /// `[depth, lanes]`
    queries: &'a [f32],
}

/// What was looked up, query by query.
pub(super) struct Answers<'a> {
    floats: &'a [f32],
    width: usize,
    /// Rows of one group.
    rows: usize,
}

impl Answers<'_> {
    /// The answer to a query of a group.
    pub(super) fn row(&self, group: usize, query: usize) -> &[f32] {
        &self.floats[(group * self.rows + query) * self.width..][..self.width]
    }
}

impl Blocks<'_> {
    /// The weighted mean of the values that each query sees. `queries` is `[groups, blocks, depth, lanes]`, scaled.
    pub(super) fn answers<'b>(
        &self,
        queries: &[f32],
        depth: usize,
        sums: &mut Vec<f32>,
        answers: &'b mut Vec<f32>,
    ) -> Answers<'b> {
        let width = self.width();
        let blocks = self.count.div_ceil(width.lanes);
        let all = self.layout.groups * blocks;
        let of_source = |source| {
            let seen = self.sight(source, 0).all().start..self.sight(source, blocks - 1).all().end;
            let seen = ranges(seen.end).filter(move |range| overlap(range, &seen));
            seen.map(move |range| Part { source, range })
        };
        let ranges: Vec<Part<'_>> = self.sources.iter().flat_map(of_source).collect();
        let shared = blocks <= FEW;
        let parts = if shared { ranges.len() } else { 1 };
        let of_block = |block: usize| &queries[block * depth * width.lanes..][..depth * width.lanes];

        let sums = grown(sums, all * parts * width.floats());
        self.machine.threads.for_chunks(sums, width.floats(), &|task, floats| {
            let (block, mut sums) = (task / parts, Sums::of(floats, width));
            let at = Place { group: block / blocks, block: block % blocks, queries: of_block(block) };
            self.machine.memory.with_space(|space| match shared {
                true => self.range(at, &ranges[task % parts], &mut sums, space),
                false => self.walk(at, &ranges, &mut sums, space),
            });
        });
        self.gather(sums, parts, answers)
    }

    /// The sums of one block over `ranges`, merged in order.
    fn walk(&self, at: Place<'_>, ranges: &[Part<'_>], sums: &mut Sums<'_>, space: &mut Space) {
        let width = self.width();
        let mut floats = std::mem::take(&mut space.sums);
        let mut part = Sums::of(grown(&mut floats, width.floats()), width);
        sums.clear();
        let seen = |part: &&Part<'_>| overlap(&part.range, &self.sight(part.source, at.block).all());
        for range in ranges.iter().filter(seen) {
            self.range(at, range, &mut part, space);
            sums.merge(self.machine.kernels, &part);
        }
        space.sums = floats;
    }

    /// The sums of one block over one range.
    fn range(&self, at: Place<'_>, part: &Part<'_>, sums: &mut Sums<'_>, space: &mut Space) {
        let Part { source, range } = part;
        let (kernels, layout, sight) = (self.machine.kernels, self.layout, self.sight(source, at.block));
        let stride = layout.stride();
        let scores = grown(&mut space.scores, tile::score_floats(self.width().lanes));
        let floats = grown(&mut space.tile, super::TILE * stride);
        sums.clear();
        for rows in tiles(range.clone()).filter(|rows| overlap(rows, &sight.all())) {
            let cols = at.group * layout.width()..(at.group + 1) * layout.width();
            match source.rows {
                None => kv_rows::widen(kernels, source.kv, rows.clone(), cols, floats, stride),
                Some(chosen) => {
                    let rows = chosen[rows.clone()].iter().map(|row| *row as usize);
                    kv_rows::widen(kernels, source.kv, rows, cols, floats, stride);
                }
            }
            let keys = Factors { values: floats, row: stride, step: 1 };
            let values = (&floats[layout.value_at..], stride);
            look(kernels, &Tile { rows, keys, key: layout.key, values }, at.queries, &sight, sums, scores);
        }
    }

    /// Merges the sums of ranges, in order, and divides by the totals.
    fn gather<'b>(&self, sums: &[f32], parts: usize, answers: &'b mut Vec<f32>) -> Answers<'b> {
        let (kernels, width) = (self.machine.kernels, self.width());
        let (lanes, blocks) = (width.lanes, self.count.div_ceil(width.lanes));
        let of =
            |block: usize, part: usize| &sums[(block * parts + part) * width.floats()..][..width.floats()];
        let all = self.layout.groups * blocks;
        // [blocks, parts, fade and weight, lanes], and what sums are at last multiplied by, [blocks, lanes]
        let mut factors = vec![0.0; all * parts * 2 * lanes];
        let mut shares = vec![0.0; all * lanes];
        for (block, share) in shares.chunks_exact_mut(lanes).enumerate() {
            let mut total = vec![0.0; lanes];
            let mut most = vec![f32::NEG_INFINITY; lanes];
            for part in 0..parts {
                let next = of(block, part);
                let factors = &mut factors[(block * parts + part) * 2 * lanes..][..2 * lanes];
                let (fade, weight) = factors.split_at_mut(lanes);
                let next = (&next[..lanes], &next[lanes..2 * lanes]);
                join(kernels, (&mut most, &mut total), next, (fade, weight));
            }
            self.sink(block, (&mut most, &mut total), share);
            share.iter_mut().zip(total).for_each(|(share, total)| *share /= total);
        }

        let value = padded(width.value);
        let out = super::zeroed(answers, all * lanes * value);
        self.machine.threads.for_chunks(out, value, &|row, out| {
            let (block, lane) = (row / lanes, row % lanes);
            for part in 0..parts {
                let factors = &factors[(block * parts + part) * 2 * lanes..][..2 * lanes];
                let mixed = &of(block, part)[(2 * lanes + lane * value)..][..value];
                kernels.blend(factors[lane], out, factors[lanes + lane], mixed);
            }
            out.iter_mut().for_each(|value| *value *= shares[row]);
        });
        Answers { floats: out, width: value, rows: blocks * lanes }
    }

    /// Takes the sinks of a block's lanes in, each one more key without a value. `fade` is what the sums before are to be
    /// multiplied by: 1, where there are no sinks.
    fn sink(&self, block: usize, sums: (&mut [f32], &mut [f32]), fade: &mut [f32]) {
        fade.fill(1.0);
        let Some(sinks) = self.sinks else { return };
        let (lanes, blocks) = (fade.len(), self.count.div_ceil(fade.len()));
        let (group, first) = (block / blocks, block % blocks * lanes);
        let head = |lane: usize| group * self.per_token + (first + lane) % self.per_token;
        let scores: Vec<f32> = (0..lanes).map(|lane| sinks[head(lane)]).collect();
        let (ones, mut weight) = (vec![1.0; lanes], vec![0.0; lanes]);
        join(self.machine.kernels, sums, (&scores, &ones), (fade, &mut weight));
    }

    fn width(&self) -> Width {
        Width { lanes: tile::lanes(self.count), value: self.layout.value }
    }

    fn sight(&self, source: &Source<'_>, block: usize) -> Sight<'static> {
        let lanes = tile::lanes(self.count);
        let first = block * lanes;
        Sight {
            start: source.start,
            first,
            count: lanes.min(self.count - first),
            per_token: self.per_token,
            window: source.window,
            every: source.every,
            chosen: None,
        }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
