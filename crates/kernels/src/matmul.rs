//! The products a transformer is made of: a quantized matrix with a batch of tokens, and the gated unit of three.
//!
//! Each weight row is dequantized once, into a buffer that stays in the cache, and multiplied with all tokens. An
//! answer is one dot product in the canonical order, so its bits depend neither on the number of threads nor on the
//! other tokens of the batch.

use std::sync::atomic::{AtomicUsize, Ordering};

use quant::Matrix;

use crate::{Kernels, Threads};

/// Floats of dequantized rows that one thread works on: 256 KiB, within the second-level cache with room to spare.
const BUFFER: usize = 64 << 10;

/// The same for a single token, with which no row is used twice: it should not leave the first-level cache.
const BUFFER_FOR_ONE: usize = 4 << 10;

/// Rows dequantized together at most: each load of the tokens serves all of them.
const GROUP: usize = 16;

/// Tokens whose products with a group of rows are held at once.
const TILE: usize = 12;

/// Multiplications below which a product is not worth waking another thread: some ten microseconds of one core.
const WORTH_FORKING: usize = 1 << 16;

/// What the products need of memory; grows to the largest product it has seen and is kept from one to the next.
///
/// [`gated`] keeps tokens × (rows of gate) floats; each thread keeps 64 Ki floats, or one row of each weight matrix
/// when that is more.
#[derive(Default)]
pub struct MatmulScratch {
    /// For each thread, dequantized rows.
    rows: Vec<f32>,
    /// The hidden units of `gated`, [tokens, rows of gate].
    hidden: Vec<f32>,
}

impl MatmulScratch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

/// `out` = x·wᵀ: `x` is [tokens, w.cols], `out` is [tokens, w.rows].
///
/// # Panics
/// When the lengths do not agree.
pub fn matmul(
    kernels: &Kernels,
    threads: &Threads,
    w: Matrix<'_>,
    x: &[f32],
    out: &mut [f32],
    scratch: &mut MatmulScratch,
) {
    product(kernels, threads, Weights { w, up: None }, x, out, &mut scratch.rows);
}

/// `out` = down·(silu(gate·x) · (up·x)), the feed-forward unit: `x` and `out` are [tokens, gate.cols].
///
/// # Panics
/// When the shapes do not agree: gate and up alike, down their transpose.
pub fn gated(
    kernels: &Kernels,
    threads: &Threads,
    x: &[f32],
    gate: Matrix<'_>,
    up: Matrix<'_>,
    down: Matrix<'_>,
    out: &mut [f32],
    scratch: &mut MatmulScratch,
) {
    assert!(
        (gate.rows(), gate.cols()) == (up.rows(), up.cols()) && down.cols() == gate.rows(),
        "gate {gate:?}, up {up:?} and down {down:?} make a gated unit"
    );
    let tokens = x.len() / gate.cols().max(1);
    let MatmulScratch { rows, hidden } = scratch;
    let hidden = grown(hidden, tokens * gate.rows());
    product(kernels, threads, Weights { w: gate, up: Some(up) }, x, hidden, rows);
    product(kernels, threads, Weights { w: down, up: None }, hidden, out, rows);
}

/// One matrix, or the gate and up matrices whose products are joined by silu.
#[derive(Clone, Copy)]
struct Weights<'a> {
    w: Matrix<'a>,
    up: Option<Matrix<'a>>,
}

impl Weights<'_> {
    fn matrices(&self) -> usize {
        1 + usize::from(self.up.is_some())
    }
}

/// Cuts the rows into groups, and lets each thread claim groups until none is left.
fn product(
    kernels: &Kernels,
    threads: &Threads,
    weights: Weights<'_>,
    x: &[f32],
    out: &mut [f32],
    buffers: &mut Vec<f32>,
) {
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    if rows == 0 || cols == 0 {
        out.fill(0.0);
        return;
    }
    let tokens = x.len() / cols;
    assert!(
        x.len() == tokens * cols && out.len() == tokens * rows,
        "{:?} takes x [tokens, {cols}] to out [tokens, {rows}], found {} and {} floats",
        weights.w,
        x.len(),
        out.len()
    );

    let multiplications = weights.matrices().saturating_mul(rows).saturating_mul(x.len());
    let lanes = if multiplications < WORTH_FORKING { 1 } else { threads.count() };
    let group = group_rows(tokens, cols, weights.matrices(), rows.div_ceil(lanes));
    let buffer_len = group * cols * weights.matrices();
    let buffers = grown(buffers, lanes * buffer_len);

    let columns = Columns { start: out.as_mut_ptr(), rows, tokens };
    let next = AtomicUsize::new(0);
    threads.for_chunks(buffers, buffer_len, &|_, buffer| {
        loop {
            let first = next.fetch_add(group, Ordering::Relaxed);
            if first >= rows {
                return;
            }
            let count = group.min(rows - first);
            // SAFETY: `fetch_add` gives each group of rows to one thread, and `out` is borrowed for all of this.
            let mut sink =
                |row: usize, token: usize, value| unsafe { columns.set(first + row, token, value) };
            rows_by_tokens(kernels, weights, first, count, x, buffer, &mut sink);
        }
    });
}

/// Rows of a group: as many as the buffer holds, but so that every lane gets some.
fn group_rows(tokens: usize, cols: usize, matrices: usize, rows_per_lane: usize) -> usize {
    let buffer = if tokens == 1 { BUFFER_FOR_ONE } else { BUFFER };
    (buffer / (cols * matrices)).min(GROUP).min(rows_per_lane).max(1)
}

/// Multiplies `count` rows from `first` on with all tokens of `x`; `sink` gets (row − first, token, value).
fn rows_by_tokens(
    kernels: &Kernels,
    weights: Weights<'_>,
    first: usize,
    count: usize,
    x: &[f32],
    buffer: &mut [f32],
    sink: &mut impl FnMut(usize, usize, f32),
) {
    let cols = weights.w.cols();
    let (rows, up_rows) = buffer.split_at_mut(count * cols);
    dequantize_rows(kernels, weights.w, first, rows);
    if let Some(up) = weights.up {
        dequantize_rows(kernels, up, first, &mut up_rows[..count * cols]);
    }
    for (tile, x) in x.chunks(TILE * cols).enumerate() {
        let (mut values, mut ups) = ([0.0; TILE], [0.0; TILE]);
        let values = &mut values[..x.len() / cols];
        let ups = &mut ups[..x.len() / cols];
        for row in 0..count {
            kernels.dot_rows(&rows[row * cols..][..cols], x, values);
            if weights.up.is_some() {
                kernels.dot_rows(&up_rows[row * cols..][..cols], x, ups);
                kernels.silu_mul(values, ups);
            }
            for (t, value) in values.iter().enumerate() {
                sink(row, tile * TILE + t, *value);
            }
        }
    }
}

/// Decodes the rows of `w` from `first` on, as many as `out` holds.
fn dequantize_rows(kernels: &Kernels, w: Matrix<'_>, first: usize, out: &mut [f32]) {
    for (r, out) in out.chunks_exact_mut(w.cols()).enumerate() {
        kernels.dequantize(w.quant(), w.row(first + r), out);
    }
}

/// The first `len` floats of `buffer`, grown when it is shorter.
fn grown(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.reserve_exact(len - buffer.len());
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// The columns of `out`, [tokens, rows], written by many threads, each its own columns.
struct Columns {
    start: *mut f32,
    rows: usize,
    tokens: usize,
}

// SAFETY: `set` is told by its callers that no two threads write the same column.
unsafe impl Sync for Columns {}

impl Columns {
    /// Writes the answer of `row` for `token`.
    ///
    /// # Safety
    /// `out` is still borrowed, and no other thread writes this `row`.
    unsafe fn set(&self, row: usize, token: usize, value: f32) {
        assert!(row < self.rows && token < self.tokens);
        // SAFETY: the place lies inside `out`, [tokens, rows], by the line above; the rest is the caller's duty.
        unsafe { self.start.add(token * self.rows + row).write(value) };
    }
}
