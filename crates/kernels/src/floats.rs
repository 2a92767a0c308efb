//! Products in f32: each weight row is dequantized once, into a buffer that stays in the cache, and multiplied with
//! all tokens.

use std::sync::atomic::{AtomicUsize, Ordering};

use quant::Matrix;

use crate::Kernels;
use crate::product::{Columns, Compute, Job, Weights, grown};

/// Floats of dequantized rows that one thread works on: 256 KiB, within the second-level cache with room to spare.
const BUFFER: usize = 64 << 10;

/// The same for a single token, with which no row is used twice: it should not leave the first-level cache.
const BUFFER_FOR_ONE: usize = 4 << 10;

/// Rows dequantized together at most: each load of the tokens serves all of them.
const GROUP: usize = 16;

/// Tokens whose products with a group of rows are held at once.
const TILE: usize = 24;

/// What products in f32 need of memory.
#[derive(Default)]
pub(crate) struct FloatsScratch {
    /// For each thread, dequantized rows.
    rows: Vec<f32>,
    /// Tokens that lay apart.
    gathered: Vec<f32>,
}

/// One product, in floats.
pub(crate) fn product(
    compute: &Compute<'_>,
    Job { weights, x, out }: &Job<'_>,
    FloatsScratch { rows: buffers, gathered }: &mut FloatsScratch,
) {
    let (weights, x) = (*weights, x.together(gathered));
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    let lanes = weights.lanes(compute, x.len());
    let group = group_rows(x.len() / cols, cols, weights.matrices(), rows.div_ceil(lanes));
    let buffer_len = group * cols * weights.matrices();
    let buffers = grown(buffers, lanes * buffer_len, 0.0);

    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(buffers, buffer_len, &|_, buffer| {
        loop {
            let first = next.fetch_add(group, Ordering::Relaxed);
            if first >= rows {
                return;
            }
            let count = group.min(rows - first);
            let at_once =
                (x.len() == cols).then(|| dots_at_once(compute.kernels, weights, first, count, x, out));
            if at_once == Some(true) {
                continue;
            }
            rows_by_tokens(compute.kernels, weights, first, count, x, buffer, out);
        }
    });
}

/// Multiplies `count` rows from `first` on with the only token as they stream by; whether all of them could be.
fn dots_at_once(
    kernels: &Kernels,
    weights: Weights<'_>,
    first: usize,
    count: usize,
    x: &[f32],
    out: &Columns<'_>,
) -> bool {
    let dot = |w: &Matrix<'_>, row| kernels.dot_floats(w.quant(), w.row(row), x);
    (first..first + count).all(|row| {
        let Some(mut value) = dot(&weights.w, row) else { return false };
        let mut joined = 0.0;
        if let Some(up) = &weights.up {
            let Some(sum) = dot(&up.w, row) else { return false };
            joined = sum;
        }
        weights.finish(kernels, row, 1, std::slice::from_mut(&mut value), std::slice::from_mut(&mut joined));
        // SAFETY: the caller has claimed these rows.
        unsafe { out.set_rows(row, 0, &[value]) };
        true
    })
}

/// Rows of a group: as many as the buffer holds, but so that every lane gets some.
fn group_rows(tokens: usize, cols: usize, matrices: usize, rows_per_lane: usize) -> usize {
    let buffer = if tokens == 1 { BUFFER_FOR_ONE } else { BUFFER };
    (buffer / (cols * matrices)).min(GROUP).min(rows_per_lane).max(1)
}

/// Multiplies `count` rows from `first` on, which the caller has claimed, with all tokens of `x`.
fn rows_by_tokens(
    kernels: &Kernels,
    weights: Weights<'_>,
    first: usize,
    count: usize,
    x: &[f32],
    buffer: &mut [f32],
    out: &Columns<'_>,
) {
    let cols = weights.w.cols();
    let (rows, up_rows) = buffer.split_at_mut(count * cols);
    dequantize_rows(kernels, weights.w, first, rows);
    if let Some(up) = weights.up {
        dequantize_rows(kernels, up.w, first, &mut up_rows[..count * cols]);
    }
    for (tile, x) in x.chunks(TILE * cols).enumerate() {
        let tokens = x.len() / cols;
        let (mut values, mut ups) = ([0.0; GROUP * TILE], [0.0; GROUP * TILE]);
        let values = &mut values[..count * tokens];
        let ups = &mut ups[..count * tokens];
        kernels.dot_block(rows, x, cols, values);
        if weights.up.is_some() {
            kernels.dot_block(&up_rows[..count * cols], x, cols, ups);
        }
        weights.finish(kernels, first, tokens, values, ups);
        // SAFETY: the caller has claimed these rows.
        unsafe { out.set_block(first, tile * TILE, tokens, values) };
    }
}

/// Decodes the rows of `w` from `first` on, as many as `out` holds.
fn dequantize_rows(kernels: &Kernels, w: Matrix<'_>, first: usize, out: &mut [f32]) {
    for (r, out) in out.chunks_exact_mut(w.cols()).enumerate() {
        kernels.dequantize(w.quant(), w.row(first + r), out);
    }
}
