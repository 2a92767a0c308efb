//! The absorbed form: queries carried into the latent space meet the cached rows as they are.
//!
//! All heads share the rows, so a block is the heads of one token (or of a few, where heads are few). The weights that
//! carry queries in and answers out are decoded once a call, a few rows at a time, in the cache.

use std::ops::Range;

use kernels::{Factors, Size};
use quant::Matrix;

use super::blocks::{Blocks, Layout, Source};
use super::latent::Task;
use super::sums::Width;
use super::{SIXTEEN, Space, WAVE, grown, padded, tile, zeroed};
use crate::LatentUp;
use crate::cpu::memory::matrix;

/// Rows of weights that are decoded together.
pub(super) const GROUP: usize = 16;

impl Task<'_> {
    /// Answers of the tokens `wave` into `out`, `[heads, tokens, value]`; of one token where each attends to rows of its
    /// own choice.
    pub(super) fn absorbed(&self, up: &LatentUp, wave: Range<usize>, out: &mut [f32]) {
        let (mla, threads, tokens) = (self.mla, self.machine.threads, wave.len());
        let stride = padded(mla.row());
        let mut shared = self.machine.memory.shared();
        let shared = &mut *shared;

        // [heads, tokens, stride]
        let lifted = grown(&mut shared.lifted, mla.heads * tokens * stride);
        threads.for_chunks(lifted, tokens * stride, &|head, out| {
            self.machine.memory.with_space(|space| self.lift(up, head, wave.clone(), out, space));
        });

        let lifted = &*lifted;

        // [blocks, stride, lanes]
        let count = tokens * mla.heads;
        let width = Width { lanes: tile::lanes(count), value: mla.latent };
        let blocks = count.div_ceil(width.lanes);
        let turned = grown(&mut shared.turned, blocks * stride * width.lanes);
        let chunks = stride / SIXTEEN;
        threads.for_chunks(turned, SIXTEEN * width.lanes, &|chunk, out| {
            let first = chunk / chunks * width.lanes;
            let rows = (first..count.min(first + width.lanes)).map(|lane| {
                let (token, head) = (lane / mla.heads, lane % mla.heads);
                &lifted[(head * tokens + token) * stride + chunk % chunks * SIXTEEN..][..SIXTEEN]
            });
            tile::turn(rows, width.lanes, out);
        });

        let layout = Layout { groups: 1, key: mla.row(), value_at: 0, value: mla.latent };
        let rows = self.chosen.map(|chosen| chosen.of(wave.start));
        let source = match rows {
            Some(rows) => Source::chosen(self.kv, rows),
            None => Source::of(self.kv, self.start + wave.start),
        };
        let blocks = Blocks {
            machine: self.machine,
            layout,
            sources: &[source],
            count,
            per_token: mla.heads,
            sinks: None,
        };
        let mixed = blocks.answers(turned, stride, &mut shared.sums, &mut shared.answers);

        threads.for_chunks(out, tokens * mla.value, &|head, out| {
            let rows = (0..tokens).map(|token| mixed.row(0, token * mla.heads + head));
            self.machine.memory.with_space(|space| self.lower(up, head, rows, out, space));
        });
    }

    /// The queries of one head in the latent space, and their rotated parts behind: `[tokens, padded(row)]`, scaled.
    fn lift(&self, up: &LatentUp, head: usize, wave: Range<usize>, out: &mut [f32], space: &mut Space) {
        let (mla, stride, tokens) = (self.mla, padded(self.mla.row()), wave.len());
        let Space { queries, weights, scores: sums, .. } = space;
        let plain = grown(queries, tokens * mla.nope);
        for (out, token) in plain.chunks_exact_mut(mla.nope).zip(wave.clone()) {
            let query = &self.query(token, head)[..mla.nope];
            out.iter_mut().zip(query).for_each(|(out, q)| *out = q * mla.scale);
        }
        out.fill(0.0);
        match up {
            LatentUp::Joint(joint) => {
                let first = head * (mla.nope + mla.value);
                self.lift_by_rows(matrix(joint), first, plain, out, weights);
            }
            LatentUp::Split { key, .. } => {
                self.lift_by_columns(matrix(key), head * mla.latent, plain, out, [weights, sums]);
            }
        }
        for (out, token) in out.chunks_exact_mut(stride).zip(wave) {
            let rotated = self.query(token, head)[mla.nope..].iter().map(|q| q * mla.scale);
            out[mla.latent..mla.row()].iter_mut().zip(rotated).for_each(|(out, q)| *out = q);
            out[mla.row()..].fill(0.0);
        }
    }

    /// Adds up rows of keys, `[nope, latent]`.
    fn lift_by_rows(
        &self,
        keys: Matrix<'_>,
        first: usize,
        plain: &[f32],
        out: &mut [f32],
        weights: &mut Vec<f32>,
    ) {
        let (mla, kernels, stride) = (self.mla, self.machine.kernels, padded(self.mla.row()));
        let width = padded(mla.latent);
        let weights = zeroed(weights, GROUP * width);
        for done in (0..mla.nope).step_by(GROUP) {
            let count = GROUP.min(mla.nope - done);
            for (i, row) in weights.chunks_exact_mut(width).take(count).enumerate() {
                kernels.dequantize_row(&keys, first + done + i, &mut row[..mla.latent]);
            }
            let queries = Factors { values: &plain[done..], row: mla.nope, step: 1 };
            let size = Size { rows: plain.len() / mla.nope, depth: count, cols: width };
            kernels.accumulate(queries, (weights, width), (out, stride), size);
        }
    }

    /// The same of transposed keys, `[latent, nope]`: each row is multiplied with the queries.
    fn lift_by_columns(
        &self,
        keys: Matrix<'_>,
        first: usize,
        plain: &[f32],
        out: &mut [f32],
        [weights, sums]: [&mut Vec<f32>; 2],
    ) {
        let (mla, kernels, stride) = (self.mla, self.machine.kernels, padded(self.mla.row()));
        let weights = grown(weights, mla.nope);
        let sums = grown(sums, plain.len() / mla.nope);
        for l in 0..mla.latent {
            kernels.dequantize_row(&keys, first + l, weights);
            kernels.dot_rows(weights, plain, sums);
            out.iter_mut().skip(l).step_by(stride).zip(sums.iter()).for_each(|(out, sum)| *out = *sum);
        }
    }

    /// One head's answers from the latent space: `[tokens, value]`.
    fn lower<'a>(
        &self,
        up: &LatentUp,
        head: usize,
        mixed: impl Iterator<Item = &'a [f32]>,
        out: &mut [f32],
        space: &mut Space,
    ) {
        let (mla, kernels) = (self.mla, self.machine.kernels);
        let (values, first) = match up {
            LatentUp::Joint(joint) => (matrix(joint), head * (mla.nope + mla.value) + mla.nope),
            LatentUp::Split { value, .. } => (matrix(value), head * mla.value),
        };
        let tokens = out.len() / mla.value;
        let rows = grown(&mut space.queries, tokens * mla.latent);
        for (row, mixed) in rows.chunks_exact_mut(mla.latent).zip(mixed) {
            row.copy_from_slice(&mixed[..mla.latent]);
        }
        let weights = grown(&mut space.weights, mla.latent);
        let answers = grown(&mut space.scores, tokens);
        for v in 0..mla.value {
            kernels.dequantize_row(&values, first + v, weights);
            kernels.dot_rows(weights, rows, answers);
            out.iter_mut().skip(v).step_by(mla.value).zip(answers.iter()).for_each(|(out, sum)| *out = *sum);
        }
    }
}

/// Floats kept for a wave of `tokens`, beside those of its blocks.
pub(super) fn lifted_floats(mla: &spec::Mla, tokens: usize) -> usize {
    let tokens = tokens.min(WAVE);
    let lanes = tile::lanes(tokens * mla.heads);
    let stride = padded(mla.row());
    stride * (tokens * mla.heads + (tokens * mla.heads).next_multiple_of(lanes))
}
