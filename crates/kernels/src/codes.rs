//! Products of integer codes with activations in signed bytes: see `integer.rs` for what they are to the bit.
//!
//! With one or two tokens each row is multiplied as it streams by. With more, rows are spelled out once, a block at
//! a time, and multiplied with tokens laid side by side, where the instruction set can.

use std::sync::atomic::{AtomicUsize, Ordering};

use quant::{Matrix, Quant, Strip};

use crate::activations::{ActivationStrip, STRIP};
use crate::isa::check_codes;
use crate::product::{Columns, Compute, Weights, grown};
use crate::tiles::{ABREAST, Many, ROWS, Tiles, TokenTile, WIDTH};

/// Tokens up to which rows are multiplied as they stream by.
const FEW: usize = 2;

/// Strips that a thread spells out together: 1 MiB, in the second-level cache beside three token tiles.
const SPELLED: usize = 2688;

/// Rows of a block at most: more gain nothing.
const BLOCK: usize = 64;

/// Bytes of weights that a thread claims at a time when each is used once.
const CLAIM: usize = 64 << 10;

/// What these products need of memory.
#[derive(Default)]
pub(crate) struct CodesScratch {
    tokens: Vec<ActivationStrip>,
    tiles: Vec<TokenTile>,
    /// For each thread, rows spelled out.
    spelled: Vec<Strip>,
}

/// Bytes that products of `tokens` tokens keep from one to the next, with rows of up to `cols` columns.
pub fn codes_scratch_bytes(cols: usize, tokens: usize, threads: usize) -> usize {
    let strips = cols.div_ceil(STRIP);
    let laid = if tokens > FEW { tokens.div_ceil(WIDTH) * strips * size_of::<TokenTile>() } else { 0 };
    // Where there are no tiles, every token is kept so, which takes a fifth more than its part of a tile.
    let few = tokens.max(FEW) * strips * size_of::<ActivationStrip>();
    let spelled = SPELLED.min(2 * BLOCK * strips).max(2 * ROWS * strips) * size_of::<Strip>();
    let sums = 2 * BLOCK * ABREAST * WIDTH * size_of::<f32>();
    laid.max(few) + threads * (spelled + sums)
}

/// Whether products with these weights can go by their codes.
pub(crate) fn has_codes(weights: &Weights<'_>) -> bool {
    let has = |matrix: &Matrix<'_>| matrix.quant().strip_group().is_some();
    has(&weights.w) && weights.up.as_ref().is_none_or(has)
}

/// See [`crate::matmul`]; shapes are checked, and neither is empty.
pub(crate) fn product(
    compute: &Compute<'_>,
    weights: Weights<'_>,
    x: &[f32],
    out: &mut Columns<'_>,
    scratch: &mut CodesScratch,
) {
    let cols = weights.w.cols();
    let tokens = x.len() / cols;
    match compute.kernels.many() {
        Many::Tiles(tiles) if tokens > FEW => by_tiles(compute, tiles, weights, x, out, scratch),
        _ => by_rows(compute, weights, x, out, scratch),
    }
}

/// Each row with each token: as it streams by when there is one, else spelled out once.
fn by_rows(
    compute: &Compute<'_>,
    weights: Weights<'_>,
    x: &[f32],
    out: &Columns<'_>,
    scratch: &mut CodesScratch,
) {
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    let (tokens, strips) = (x.len() / cols, cols.div_ceil(STRIP));
    let CodesScratch { tokens: quantized, spelled, .. } = scratch;
    let quantized = grown(quantized, tokens * strips, ActivationStrip::ZERO);
    compute.threads.for_chunks(quantized, strips, &|token, strips| {
        compute.kernels.quantize(&x[token * cols..][..cols], strips);
    });
    let quantized = &*quantized;

    let lanes = weights.lanes(compute, x.len());
    let row_bytes = weights.w.row(0).values.len() * weights.matrices();
    let group = (CLAIM / row_bytes).min(rows.div_ceil(lanes * 4)).max(1);
    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(grown(spelled, lanes * strips, Strip::ZERO), strips, &|_, spelled| {
        let mut values = vec![0.0; 2 * tokens];
        let (values, ups) = values.split_at_mut(tokens);
        loop {
            let first = next.fetch_add(group, Ordering::Relaxed);
            if first >= rows {
                return;
            }
            for row in first..rows.min(first + group) {
                one_row(compute, weights.w, row, quantized, spelled, values);
                if let Some(up) = weights.up {
                    one_row(compute, up, row, quantized, spelled, ups);
                    weights.join(compute.kernels, values, ups);
                }
                for (token, value) in values.iter().enumerate() {
                    // SAFETY: `fetch_add` gives each group of rows to one thread.
                    unsafe { out.set(row, token, *value) };
                }
            }
        }
    });
}

/// A row with each of the tokens `x`, [tokens, strips]; `spelled` holds one row.
fn one_row(
    compute: &Compute<'_>,
    matrix: Matrix<'_>,
    row: usize,
    x: &[ActivationStrip],
    spelled: &mut [Strip],
    out: &mut [f32],
) {
    let (quant, row) = (matrix.quant(), matrix.row(row));
    let tokens = x.chunks_exact(spelled.len()).zip(out);
    match compute.kernels.many() {
        Many::OneByOne { spell, dot } if tokens.len() > 1 => {
            check_codes(quant, row, spelled.len());
            // SAFETY: the table was handed out for this CPU, and the row was checked.
            unsafe { spell(quant, row, spelled) };
            for (x, out) in tokens {
                // SAFETY: as above.
                *out = unsafe { dot(quant, spelled, x) };
            }
        }
        _ => tokens.for_each(|(x, out)| *out = compute.kernels.dot_codes(quant, row, x)),
    }
}

/// Blocks of rows, spelled out, with tokens side by side.
fn by_tiles(
    compute: &Compute<'_>,
    tiles: &Tiles,
    weights: Weights<'_>,
    x: &[f32],
    out: &Columns<'_>,
    scratch: &mut CodesScratch,
) {
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    let (tokens, strips) = (x.len() / cols, cols.div_ceil(STRIP));
    let CodesScratch { tiles: laid, spelled, .. } = scratch;
    let laid = lay_out(compute, x, cols, grown(laid, tokens.div_ceil(WIDTH) * strips, TokenTile::ZERO));

    let lanes = weights.lanes(compute, x.len());
    let block = (SPELLED / (strips * weights.matrices())).min(rows.div_ceil(lanes * 2)).min(BLOCK);
    let block = block.next_multiple_of(ROWS).min(rows);
    let part = block * strips * weights.matrices();
    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(grown(spelled, lanes * part, Strip::ZERO), part, &|_, spelled| {
        loop {
            let first = next.fetch_add(block, Ordering::Relaxed);
            if first >= rows {
                return;
            }
            let count = block.min(rows - first);
            let (w, up) = spelled.split_at_mut(block * strips);
            let w = spell(tiles, weights.w, first, &mut w[..count * strips], strips);
            let up = weights.up.map(|matrix| {
                (matrix.quant(), spell(tiles, matrix, first, &mut up[..count * strips], strips))
            });
            for (at, x) in laid.chunks(ABREAST * strips).enumerate() {
                let mut sums = Sums::of(tiles, (weights.w.quant(), w), x, strips);
                if let Some(up) = up {
                    let up = Sums::of(tiles, up, x, strips);
                    weights.join(compute.kernels, &mut sums.values, &up.values);
                }
                sums.write(first, at * ABREAST * WIDTH, tokens, out);
            }
        }
    });
}

/// Spells `x`, [tokens, cols], as token tiles.
fn lay_out<'a>(compute: &Compute<'_>, x: &[f32], cols: usize, out: &'a mut [TokenTile]) -> &'a [TokenTile] {
    let strips = cols.div_ceil(STRIP);
    compute.threads.for_chunks(out, strips, &|tile, out| {
        let first = tile * WIDTH * cols;
        let tokens = || x[first..].chunks_exact(cols).take(WIDTH);
        for (s, out) in out.iter_mut().enumerate() {
            let mut strip = [ActivationStrip::ZERO];
            let columns = s * STRIP..cols.min((s + 1) * STRIP);
            for (place, token) in tokens().enumerate() {
                compute.kernels.quantize(&token[columns.clone()], &mut strip);
                out.put(place, &strip[0]);
            }
            for place in tokens().count()..WIDTH {
                out.put(place, &ActivationStrip::ZERO);
            }
        }
    });
    out
}

/// Spells rows from `first` on, as many as `out` holds.
fn spell<'a>(
    tiles: &Tiles,
    matrix: Matrix<'_>,
    first: usize,
    out: &'a mut [Strip],
    strips: usize,
) -> &'a [Strip] {
    for (r, out) in out.chunks_exact_mut(strips).enumerate() {
        let row = matrix.row(first + r);
        check_codes(matrix.quant(), row, strips);
        // SAFETY: `tiles` comes from a table that was handed out for this CPU, and the row was checked.
        unsafe { (tiles.spell)(matrix.quant(), row, out) };
    }
    out
}

/// The products of a block of rows with some tiles, [rows, tokens of the tiles].
struct Sums {
    values: Vec<f32>,
    width: usize,
}

impl Sums {
    fn of(tiles: &Tiles, (quant, rows): (Quant, &[Strip]), x: &[TokenTile], strips: usize) -> Self {
        let width = x.len() / strips * WIDTH;
        let mut values = vec![0.0; rows.len() / strips * width];
        // SAFETY: `tiles` comes from a table that was handed out for this CPU.
        unsafe { (tiles.multiply)(quant, rows, x, strips, &mut values) };
        Self { values, width }
    }

    /// Writes what belongs to one of `tokens`; the first row and token have these numbers.
    fn write(&self, first_row: usize, first_token: usize, tokens: usize, out: &Columns<'_>) {
        let rows = self.values.len() / self.width;
        for token in 0..self.width.min(tokens - first_token) {
            for row in 0..rows {
                // SAFETY: blocks of rows are claimed by one thread each.
                unsafe {
                    out.set(first_row + row, first_token + token, self.values[row * self.width + token])
                };
            }
        }
    }
}
