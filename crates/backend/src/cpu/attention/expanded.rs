//! The expanded form: keys and values of each head spelled out, tile by tile, for all the queries of the call.

use std::ops::Range;

use kernels::{Factors, Size};
use quant::Matrix;

use super::latent::Task;
use super::sums::{Sums, Width};
use super::tile::{self, Sight, Tile, look, ranges, tiles};
use super::{SIXTEEN, Space, TILE, grown, padded};
use crate::LatentUp;
use crate::cpu::kv_rows;
use crate::cpu::memory::matrix;

impl Task<'_> {
    /// Answers of one head to all queries, `[tokens, value]`.
    pub(super) fn expanded(&self, up: &LatentUp, head: usize, out: &mut [f32], space: &mut Space) {
        let (mla, kernels) = (self.mla, self.machine.kernels);
        let Space { tile: cached, scores, sums, keys, values, weights, queries } = space;
        let tokens = out.len() / mla.value;
        let width = Width { lanes: tile::lanes(tokens), value: mla.value };
        let blocks = tokens.div_ceil(width.lanes);
        let sight = |block: usize| {
            let first = block * width.lanes;
            let count = width.lanes.min(tokens - first);
            Sight {
                start: self.start,
                first,
                count,
                per_token: 1,
                window: None,
                every: 1,
                chosen: self.chosen,
            }
        };

        let weights = grown(weights, mla.latent * (padded(mla.nope) + padded(mla.value)));
        let (key_up, value_up) = weights.split_at_mut(mla.latent * padded(mla.nope));
        self.spell(up, head, key_up, value_up, scores);
        let queries = grown(queries, blocks * mla.head() * width.lanes);
        for (block, out) in queries.chunks_exact_mut(mla.head() * width.lanes).enumerate() {
            let sight = sight(block);
            let rows = (sight.first..sight.first + sight.count).map(|token| self.query(token, head));
            tile::turn(rows, width.lanes, out);
            out.iter_mut().for_each(|q| *q *= mla.scale);
        }
        let queries = &*queries;

        let stride = padded(mla.row());
        let key_stride = padded(mla.nope).max(padded(mla.head()));
        let cached = grown(cached, TILE * stride);
        let (keys, values) = (grown(keys, TILE * key_stride), grown(values, TILE * padded(mla.value)));
        let scores = grown(scores, tile::score_floats(width.lanes));
        // Those of all tokens, then those of the range at work.
        let (merged, parts) = grown(sums, 2 * blocks * width.floats()).split_at_mut(blocks * width.floats());
        merged.chunks_exact_mut(width.floats()).for_each(|floats| Sums::of(floats, width).clear());

        for range in ranges(self.start + tokens) {
            parts.chunks_exact_mut(width.floats()).for_each(|floats| Sums::of(floats, width).clear());
            for rows in tiles(range) {
                kv_rows::widen(kernels, self.kv, rows.clone(), 0..mla.row(), cached, stride);
                self.expand(cached, rows.len(), (key_up, keys, key_stride), (value_up, values));
                let factors = Factors { values: keys, row: key_stride, step: 1 };
                let values = (&*values, padded(mla.value));
                let tile = Tile { rows, keys: factors, key: mla.head(), values };
                for (block, floats) in parts.chunks_exact_mut(width.floats()).enumerate() {
                    let sight = sight(block);
                    if tile.rows.start < sight.all().end {
                        let queries =
                            &queries[block * mla.head() * width.lanes..][..mla.head() * width.lanes];
                        look(kernels, &tile, queries, &sight, &mut Sums::of(floats, width), scores);
                    }
                }
            }
            for (all, part) in
                merged.chunks_exact_mut(width.floats()).zip(parts.chunks_exact_mut(width.floats()))
            {
                Sums::of(all, width).merge(kernels, &Sums::of(part, width));
            }
        }

        for (floats, out) in
            merged.chunks_exact_mut(width.floats()).zip(out.chunks_mut(width.lanes * mla.value))
        {
            let sums = Sums::of(floats, width);
            let rows = sums.mixed.chunks_exact(padded(mla.value)).zip(&*sums.total);
            for (out, (row, total)) in out.chunks_exact_mut(mla.value).zip(rows) {
                out.iter_mut().zip(row).for_each(|(out, value)| *out = value / total);
            }
        }
    }

    /// The projections of one head, each turned: `[latent, padded(nope)]` and `[latent, padded(value)]`.
    fn spell(&self, up: &LatentUp, head: usize, keys: &mut [f32], values: &mut [f32], group: &mut Vec<f32>) {
        let mla = self.mla;
        keys.fill(0.0);
        values.fill(0.0);
        match up {
            LatentUp::Joint(joint) => {
                let first = head * (mla.nope + mla.value);
                self.spell_turned(matrix(joint), first..first + mla.nope, keys, group);
                self.spell_turned(
                    matrix(joint),
                    first + mla.nope..first + mla.nope + mla.value,
                    values,
                    group,
                );
            }
            LatentUp::Split { key, value } => {
                let key = matrix(key);
                for (l, out) in keys.chunks_exact_mut(padded(mla.nope)).enumerate() {
                    let row = head * mla.latent + l;
                    self.machine.kernels.dequantize_row(&key, row, &mut out[..mla.nope]);
                }
                self.spell_turned(matrix(value), head * mla.value..(head + 1) * mla.value, values, group);
            }
        }
    }

    /// `rows` of `weights` as columns.
    fn spell_turned(&self, weights: Matrix<'_>, rows: Range<usize>, out: &mut [f32], group: &mut Vec<f32>) {
        let (stride, cols) = (padded(rows.len()), weights.cols());
        // Sixteen at a time, so that whole cache lines are written.
        let spelled = grown(group, SIXTEEN * cols);
        for first in rows.clone().step_by(SIXTEEN) {
            let count = SIXTEEN.min(rows.end - first);
            for (i, row) in spelled.chunks_exact_mut(cols).take(count).enumerate() {
                self.machine.kernels.dequantize_row(&weights, first + i, row);
            }
            for (col, out) in out.chunks_exact_mut(stride).enumerate() {
                let out = &mut out[first - rows.start..][..count];
                out.iter_mut().zip(spelled.chunks_exact(cols)).for_each(|(out, row)| *out = row[col]);
            }
        }
    }

    /// One head's keys and values of a tile of cached rows.
    fn expand(
        &self,
        cached: &[f32],
        rows: usize,
        (key_up, keys, key_stride): (&[f32], &mut [f32], usize),
        (value_up, values): (&[f32], &mut [f32]),
    ) {
        let (mla, kernels) = (self.mla, self.machine.kernels);
        let stride = padded(mla.row());
        let latents = Factors { values: cached, row: stride, step: 1 };
        keys.fill(0.0);
        values.fill(0.0);
        let (key_cols, value_cols) = (padded(mla.nope), padded(mla.value));
        let size = Size { rows, depth: mla.latent, cols: key_cols };
        kernels.accumulate(latents, (key_up, key_cols), (keys, key_stride), size);
        let size = Size { cols: value_cols, ..size };
        kernels.accumulate(latents, (value_up, value_cols), (values, value_cols), size);
        for (key, cached) in keys.chunks_exact_mut(key_stride).zip(cached.chunks_exact(stride)).take(rows) {
            key[mla.nope..mla.head()].copy_from_slice(&cached[mla.latent..mla.row()]);
        }
    }
}
