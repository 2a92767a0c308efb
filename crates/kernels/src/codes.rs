//! Products of integer codes with activations in signed bytes: see `integer.rs` for what they are to the bit.
//!
//! With one or two tokens each row is multiplied as it streams by. With more, rows are spelled out once, a block at
//! a time, and multiplied with tokens laid side by side, where the instruction set can.

use std::array;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use quant::{Matrix, Strip};

use crate::activations::{ActivationStrip, STRIP};
use crate::isa::check_codes;
use crate::product::{Columns, Compute, Weights, grown};
use crate::tiles::{
    ABREAST, Block, FEW, Many, Order, ROWS, RowTile, Sums, TILES, Tiles, TokenTile, WIDTH, lay_out_group,
};

/// Bytes of rows that a thread spells out together: half of a second-level cache, beside the tokens.
const SPELLED: usize = 1 << 20;

/// Tiles of twelve rows in a block at most.
const PANELS: usize = 4;

/// Tokens that are multiplied together.
const TOGETHER: usize = ABREAST * WIDTH;

/// Bytes of weights that a thread claims at a time when each is used once.
const CLAIM: usize = 64 << 10;

/// What these products need of memory.
#[derive(Default)]
pub(crate) struct CodesScratch {
    tokens: Vec<ActivationStrip>,
    tiles: Vec<TokenTile>,
    /// For each thread, a row spelled out.
    spelled: Vec<Strip>,
    /// For each thread, a block of rows.
    blocks: Vec<BlockScratch>,
}

/// A block of rows spelled out, and their sums with some tokens.
#[derive(Clone, Default)]
struct BlockScratch {
    tiles: Vec<RowTile>,
    sums: Vec<Sums>,
}

/// Bytes that products of `tokens` tokens keep from one to the next, with rows of up to `cols` columns.
pub fn codes_scratch_bytes(cols: usize, tokens: usize, threads: usize) -> usize {
    let strips = cols.div_ceil(STRIP);
    let one_by_one = strips * (tokens.max(2) * size_of::<ActivationStrip>() + threads * size_of::<Strip>());
    if tokens <= FEW / 2 {
        return one_by_one;
    }
    let laid = strips
        * (TILES * tokens.div_ceil(WIDTH) * size_of::<TokenTile>() + TOGETHER * size_of::<ActivationStrip>());
    let panel = strips * TILES * size_of::<RowTile>();
    let panels = (SPELLED / panel).clamp(2, 2 * PANELS);
    one_by_one.max(laid + threads * panels * (panel + size_of::<Sums>()))
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
    let order = Order::new(weights.w.quant(), cols.div_ceil(STRIP));
    match compute.kernels.many() {
        Many::Tiles(tiles) if x.len() / cols > order.few() && weights.same_groups() => {
            by_tiles(compute, tiles, order, weights, x, out, scratch)
        }
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
    check_codes(quant, row, spelled.len());
    // SAFETY: the tables were handed out for this CPU, and the row was checked.
    unsafe {
        match compute.kernels.many() {
            Many::OneByOne { spell, dot } if out.len() > 1 => {
                spell(quant, row, spelled);
                for (x, out) in x.chunks_exact(spelled.len()).zip(out) {
                    *out = dot(quant, spelled, x);
                }
            }
            Many::OneByOne { .. } => out[0] = compute.kernels.dot_codes(quant, row, x),
            Many::Tiles(tiles) => {
                for (x, out) in x.chunks(FEW * spelled.len()).zip(out.chunks_mut(FEW)) {
                    (tiles.few)(quant, row, x, out);
                }
            }
        }
    }
}

/// Blocks of rows, spelled out, with tokens side by side.
fn by_tiles(
    compute: &Compute<'_>,
    tiles: &Tiles,
    order: Order,
    weights: Weights<'_>,
    x: &[f32],
    out: &Columns<'_>,
    scratch: &mut CodesScratch,
) {
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    let tokens = x.len() / cols;
    let x = lay_out(compute, tiles, x, cols, order, &mut scratch.tokens, &mut scratch.tiles);

    let lanes = weights.lanes(compute, tokens * cols);
    let panel = order.tiles();
    let most = SPELLED / (panel * size_of::<RowTile>() * weights.matrices());
    let panels = most.min(PANELS).min(rows.div_ceil(ROWS * lanes * 2)).max(1);
    let next = AtomicUsize::new(0);
    compute.threads.for_chunks(
        grown(&mut scratch.blocks, lanes, BlockScratch::default()),
        1,
        &|_, scratch| {
            let BlockScratch { tiles: spelled, sums } = &mut scratch[0];
            let (w, up) = grown(spelled, panels * panel * weights.matrices(), RowTile::ZERO)
                .split_at_mut(panels * panel);
            let (sums, up_sums) = grown(sums, panels * weights.matrices(), Sums::ZERO).split_at_mut(panels);
            loop {
                let first = next.fetch_add(panels * ROWS, Ordering::Relaxed);
                if first >= rows {
                    return;
                }
                let block = spell(tiles, weights.w, first, order, w);
                let sums = &mut sums[..block.tiles.len() / panel];
                let up = weights.up.map(|matrix| spell(tiles, matrix, first, order, up));
                let mut after = x;
                for token in (0..tokens).step_by(TOGETHER) {
                    let (x, rest) = after.split_at(after.len().min(ABREAST * panel));
                    after = rest;
                    // SAFETY: `tiles` comes from a table that was handed out for this CPU.
                    unsafe { (tiles.multiply)(&block, x, rest, sums) };
                    if let Some(up) = &up {
                        // SAFETY: as above.
                        unsafe { (tiles.multiply)(up, x, rest, &mut up_sums[..sums.len()]) };
                        for (sums, ups) in sums.iter_mut().zip(&*up_sums) {
                            weights.join(
                                compute.kernels,
                                sums.0[0].as_flattened_mut(),
                                ups.0[0].as_flattened(),
                            );
                        }
                    }
                    write(sums, first, token..tokens.min(token + TOGETHER), out);
                }
            }
        },
    );
}

/// Spells `x`, [tokens, cols], as token tiles: those that are multiplied together lie together.
fn lay_out<'a>(
    compute: &Compute<'_>,
    tiles: &Tiles,
    x: &[f32],
    cols: usize,
    order: Order,
    strips: &mut Vec<ActivationStrip>,
    out: &'a mut Vec<TokenTile>,
) -> &'a [TokenTile] {
    let tokens = x.len() / cols;
    let out = grown(out, tokens.div_ceil(WIDTH) * order.tiles(), TokenTile::ZERO);
    let strips = grown(strips, tokens.min(TOGETHER) * order.strips, ActivationStrip::ZERO);
    for (x, out) in x.chunks(TOGETHER * cols).zip(out.chunks_mut(ABREAST * order.tiles())) {
        let strips = &mut strips[..x.len() / cols * order.strips];
        compute.threads.for_chunks(strips, order.strips, &|token, strips| {
            compute.kernels.quantize(&x[token * cols..][..cols], strips);
        });
        let strips = &*strips;
        compute.threads.for_chunks(out, out.len() / order.groups, &|g, out| {
            lay_out_group(order, g, tiles.offset, strips, out);
        });
    }
    out
}

/// Spells rows from `first` on, as many as there are or `out` holds; what is left of the last twelve is anything.
fn spell<'a>(
    tiles: &Tiles,
    matrix: Matrix<'_>,
    first: usize,
    order: Order,
    out: &'a mut [RowTile],
) -> Block<'a> {
    let (quant, mut anchored) = (matrix.quant(), true);
    let count = (matrix.rows() - first).min(out.len() / order.tiles() * ROWS);
    let out = &mut out[..count.div_ceil(ROWS) * order.tiles()];
    for (p, out) in out.chunks_exact_mut(order.tiles()).enumerate() {
        let few = (count - p * ROWS).min(ROWS);
        let rows: [_; ROWS] = array::from_fn(|r| matrix.row(first + p * ROWS + r.min(few - 1)));
        rows.iter().for_each(|row| check_codes(quant, *row, order.strips));
        // SAFETY: `tiles` comes from a table that was handed out for this CPU, and the rows were checked.
        anchored &= unsafe { (tiles.spell)(quant, &rows[..few], order, out) };
    }
    Block { tiles: out, order, minima: quant.has_minima(), anchored }
}

/// Writes the first lane of the sums of rows from `first_row` on with `tokens`.
fn write(sums: &[Sums], first_row: usize, tokens: Range<usize>, out: &Columns<'_>) {
    for (p, sums) in sums.iter().enumerate() {
        let first = first_row + p * ROWS;
        let rows = &sums.0[0][..(out.rows() - first).min(ROWS)];
        for (place, token) in tokens.clone().enumerate() {
            // SAFETY: blocks of rows are claimed by one thread each.
            unsafe { out.set_rows(first, token, rows.iter().map(|sums| sums[place])) };
        }
    }
}
