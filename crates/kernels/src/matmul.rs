//! The products a transformer is made of: a quantized matrix with a batch of tokens, and the gated unit of three.
//!
//! An answer is one dot product in a canonical order, so its bits depend neither on the number of threads nor on the
//! other tokens of the batch.

use quant::Matrix;

use crate::Activations;
use crate::codes::{self, CodesScratch};
use crate::floats;
use crate::product::{Columns, Compute, Weights, grown};

/// What the products need of memory; grows to the largest product it has seen and is kept from one to the next.
///
/// [`gated`] keeps tokens × (rows of gate) floats; each thread keeps 64 Ki floats, or one row of each weight matrix
/// when that is more, or 384 KiB of spelled codes; a batch in signed bytes takes two bytes for each of its floats.
#[derive(Default)]
pub struct MatmulScratch {
    /// For each thread, dequantized rows.
    rows: Vec<f32>,
    codes: CodesScratch,
    /// The hidden units of `gated`, [tokens, rows of gate].
    hidden: Vec<f32>,
    /// Where the up projections of `unit` wait for their gates, likewise.
    ups: Vec<f32>,
}

impl MatmulScratch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

/// `out` = x·wᵀ: `x` is [tokens, w.cols], `out` is [tokens, w.rows]. A matrix with a factor gives its products times that.
///
/// # Panics
/// When the lengths do not agree.
pub fn matmul(compute: &Compute<'_>, w: Matrix<'_>, x: &[f32], out: &mut [f32], scratch: &mut MatmulScratch) {
    let MatmulScratch { rows, codes, .. } = scratch;
    product(compute, Weights { w, up: None }, x, out, rows, codes);
}

/// `out` = down·(silu(gate·x) · (up·x)), the feed-forward unit: `x` and `out` are [tokens, gate.cols].
///
/// # Panics
/// When the shapes do not agree: gate and up alike, down their transpose.
pub fn gated(
    compute: &Compute<'_>,
    x: &[f32],
    [gate, up, down]: [Matrix<'_>; 3],
    out: &mut [f32],
    scratch: &mut MatmulScratch,
) {
    assert!(
        (gate.rows(), gate.cols()) == (up.rows(), up.cols()) && down.cols() == gate.rows(),
        "gate {gate:?}, up {up:?} and down {down:?} make a gated unit"
    );
    let tokens = x.len() / gate.cols().max(1);
    let MatmulScratch { rows, codes, hidden, .. } = scratch;
    let hidden = grown(hidden, tokens * gate.rows(), 0.0);
    product(compute, Weights { w: gate, up: Some(up) }, x, hidden, rows, codes);
    product(compute, Weights { w: down, up: None }, hidden, out, rows, codes);
}

/// A feed-forward unit other than that of [`gated`].
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Gate, up and down, in shapes as [`gated`] takes them.
    pub matrices: [Matrix<'a>; 3],
    /// What is added to the answers of each, one number a row.
    pub biases: Option<[&'a [f32]; 3]>,
    /// How gate and up are joined: over the rows of one token, the gate's being overwritten.
    pub join: Join,
}

/// How gate and up are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Join {
    /// [`Kernels::silu_mul`](crate::Kernels::silu_mul).
    Silu,
    /// [`Kernels::clamped_mul`](crate::Kernels::clamped_mul).
    Clamped {
        /// How steep the sigmoid is.
        alpha: f32,
        /// What is added to the up projection.
        shift: f32,
        /// What is clamped to.
        limit: f32,
    },
    /// [`Kernels::soft_mul`](crate::Kernels::soft_mul).
    Soft {
        /// What the gate stays below.
        beta: f32,
        /// What the up projection stays below.
        linear: f32,
    },
}

/// [`gated`] with biases, and another way to join. Keeps another tokens × (rows of gate) floats.
///
/// # Panics
/// When the shapes do not agree.
pub fn unit(compute: &Compute<'_>, x: &[f32], unit: Unit<'_>, out: &mut [f32], scratch: &mut MatmulScratch) {
    let Unit { matrices: [gate, up, down], biases, join } = unit;
    if (biases, join) == (None, Join::Silu) {
        return gated(compute, x, unit.matrices, out, scratch);
    }
    let tokens = x.len() / gate.cols().max(1);
    let inner = gate.rows();
    let MatmulScratch { rows, codes, hidden, ups } = scratch;
    let hidden = grown(hidden, tokens * inner, 0.0);
    let ups = grown(ups, tokens * inner, 0.0);
    product(compute, Weights { w: gate, up: None }, x, hidden, rows, codes);
    product(compute, Weights { w: up, up: None }, x, ups, rows, codes);
    let kernels = compute.kernels;
    if let Some([gate, up, _]) = biases {
        each_row(compute, hidden, inner, &|_, row| kernels.add(gate, row));
        each_row(compute, ups, inner, &|_, row| kernels.add(up, row));
    }
    let ups = &*ups;
    each_row(compute, hidden, inner, &|token, row| {
        let up = &ups[token * inner..][..inner];
        match join {
            Join::Silu => kernels.silu_mul(row, up),
            Join::Clamped { alpha, shift, limit } => kernels.clamped_mul(row, up, [alpha, shift], limit),
            Join::Soft { beta, linear } => kernels.soft_mul(row, up, beta, linear),
        }
    });
    product(compute, Weights { w: down, up: None }, hidden, out, rows, codes);
    if let Some([_, _, down]) = biases {
        each_row(compute, out, down.len(), &|_, row| kernels.add(down, row));
    }
}

/// Calls `work` with each row of `values` and its number; on other threads, too, when there are several.
fn each_row(
    compute: &Compute<'_>,
    values: &mut [f32],
    cols: usize,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    if values.len() == cols {
        return work(0, values);
    }
    compute.threads.for_chunks(values, cols, work);
}

/// Checks the shapes, and chooses between codes and floats.
fn product(
    compute: &Compute<'_>,
    weights: Weights<'_>,
    x: &[f32],
    out: &mut [f32],
    buffers: &mut Vec<f32>,
    codes: &mut CodesScratch,
) {
    let (rows, cols) = (weights.w.rows(), weights.w.cols());
    if rows == 0 || cols == 0 || x.is_empty() {
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
    let mut out = Columns::new(out, rows, weights.factor());
    if compute.activations == Activations::Int8 && codes::has_codes(&weights) {
        codes::product(compute, weights, x, &mut out, codes);
    } else {
        floats::product(compute, weights, x, &mut out, buffers);
    }
}
