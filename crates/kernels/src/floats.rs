//! Products in f32: parts of weight rows are dequantized into a buffer that stays in the cache, and multiplied with as
//! many tokens as their sums leave room for beside them.

use std::sync::atomic::{AtomicUsize, Ordering};

use quant::Matrix;

use crate::Kernels;
use crate::float_tile::{PART, Part, Sum};
use crate::lanes::LANES;
use crate::product::{Columns, Compute, Job, Weights, grown};

/// Rows dequantized together at most, for a single token, for a few, and for more: each load of a token serves all of
/// them. With a single one no row is used twice, and they should not leave the first-level cache.
const ROWS: [usize; 3] = [6, 12, 48];

/// What is a few.
const FEW: usize = 8;

/// Tokens whose products with these rows are held at once.
const TOKENS: usize = 48;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Bytes that products in f32 of up to `tokens` tokens keep from one to the next, but for tokens that lie apart.
pub fn floats_scratch_bytes(tokens: usize, threads: usize) -> usize {
    let (rows, held) = (most_rows(tokens), tokens.min(TOKENS));
    let floats = threads * ((rows + held) * PART + rows * held * LANES);
    floats * size_of::<f32>() + 2 * LINE
}

/// What products in f32 need of memory.
#[derive(Default)]
pub(crate) struct FloatsScratch {
    /// For each thread, parts of dequantized rows and of tokens.
    parts: Vec<f32>,
    /// For each thread, the sums of a group of rows, 32 lanes each.
    sums: Vec<f32>,
    /// Tokens that lay apart.
    gathered: Vec<f32>,
}

/// One product, in floats.
pub(crate) fn product(
    compute: &Compute<'_>,
    Job { weights, x, out }: &Job<'_>,
    FloatsScratch { parts, sums, gathered }: &mut FloatsScratch,
) {
    let (weights, x) = (*weights, x.together(gathered));
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    let lanes = weights.lanes(compute, x.len());
    let tokens = x.len() / cols;
    // So few that every lane gets some.
    let group = most_rows(tokens).min(rows.div_ceil(lanes));
    let held = tokens.min(TOKENS);
    let parts = aligned(parts, lanes * (group + held) * PART);
    let sums = aligned(sums, lanes * group * held * LANES).as_chunks_mut().0;
    let buffers = parts.chunks_exact_mut((group + held) * PART).zip(sums.chunks_exact_mut(group * held));
    let mut buffers: Vec<_> = buffers.map(|(parts, sums)| Buffers { parts, sums }).collect();

    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(&mut buffers, 1, &|_, buffers| {
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
            rows_by_tokens(compute.kernels, weights, first, count, x, &mut buffers[0], out);
        }
    });
}

/// `len` floats of `buffer`, from where a line of the cache begins: two lines for each load would cost three tenths.
fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let buffer = grown(buffer, len + LINE / size_of::<f32>(), 0.0);
    let first = buffer.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
    &mut buffer[first..][..len]
}

/// What one thread works in.
struct Buffers<'a> {
    /// Of rows, then of tokens.
    parts: &'a mut [f32],
    sums: &'a mut [Sum],
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

/// Rows of a group at most.
fn most_rows(tokens: usize) -> usize {
    match tokens {
        0 | 1 => ROWS[0],
        2..=FEW => ROWS[1],
        _ => ROWS[2],
    }
}

/// Multiplies `count` rows from `first` on, which the caller has claimed, with all tokens of `x`.
fn rows_by_tokens(
    kernels: &Kernels,
    weights: Weights<'_>,
    first: usize,
    count: usize,
    x: &[f32],
    buffers: &mut Buffers<'_>,
    out: &Columns<'_>,
) {
    let cols = weights.w.cols();
    for (tile, x) in x.chunks(TOKENS * cols).enumerate() {
        let tokens = x.len() / cols;
        let (mut values, mut ups) = ([0.0; ROWS[2] * TOKENS], [0.0; ROWS[2] * TOKENS]);
        let values = &mut values[..count * tokens];
        let ups = &mut ups[..count * tokens];
        multiply(kernels, weights.w, first, x, buffers, values);
        if let Some(up) = weights.up {
            multiply(kernels, up.w, first, x, buffers, ups);
        }
        weights.finish(kernels, first, tokens, values, ups);
        // SAFETY: the caller has claimed these rows.
        unsafe { out.set_block(first, tile * TOKENS, tokens, values) };
    }
}

/// `out`, [rows, tokens] = the products of rows of `w` from `first` on with the tokens of `x`, but for the factor of `w`.
fn multiply(
    kernels: &Kernels,
    w: Matrix<'_>,
    first: usize,
    x: &[f32],
    buffers: &mut Buffers<'_>,
    out: &mut [f32],
) {
    let cols = w.cols();
    let tokens = x.len() / cols;
    let sums = &mut buffers.sums[..out.len()];
    sums.fill([0.0; LANES]);
    let count = out.len() / tokens;
    let (rows, rest) = buffers.parts.split_at_mut(count * PART);
    let held = &mut rest[..tokens * PART];
    for start in (0..cols).step_by(PART) {
        let columns = PART.min(cols - start);
        for (row, out) in rows.chunks_exact_mut(PART).enumerate() {
            let row = w.row(first + row);
            let part = w.quant().part(row, start..start + columns);
            kernels.dequantize(w.quant(), part, &mut out[..columns]);
        }
        for (token, out) in x.chunks_exact(cols).zip(held.chunks_exact_mut(PART)) {
            let part = &token[start..][..columns];
            out[..columns].copy_from_slice(part);
        }
        let part = |values| Part { values, columns };
        kernels.add_products(part(rows), part(held), sums);
    }
    kernels.folded(sums, out);
}
