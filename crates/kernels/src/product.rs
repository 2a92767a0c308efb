//! What both kinds of product share: what computes them, their weights, their output, and growing memory.

use std::marker::PhantomData;

use quant::Matrix;

use crate::{Activations, Kernels, Threads};

/// Multiplications below which a product is not worth waking another thread: some ten microseconds of one core.
const WORTH_FORKING: usize = 1 << 16;

/// What computes a product, and how.
#[derive(Clone, Copy)]
pub struct Compute<'a> {
    /// The instruction set.
    pub kernels: &'static Kernels,
    /// The threads.
    pub threads: &'a Threads,
    /// How activations meet quantized weights.
    pub activations: Activations,
}

/// One matrix, or the gate and up matrices whose products are joined by silu.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub w: Matrix<'a>,
    pub up: Option<Matrix<'a>>,
}

impl Weights<'_> {
    /// One or two.
    pub(crate) fn matrices(&self) -> usize {
        1 + usize::from(self.up.is_some())
    }

    /// What answers are multiplied with, once gate and up are joined.
    pub(crate) fn factor(&self) -> f32 {
        self.up.unwrap_or(self.w).factor()
    }

    /// gate = silu(gate · its factor) · up: the hidden units but for the factor of up.
    pub(crate) fn join(&self, kernels: &Kernels, gate: &mut [f32], up: &[f32]) {
        let factor = self.w.factor();
        if factor != 1.0 {
            gate.iter_mut().for_each(|gate| *gate *= factor);
        }
        kernels.silu_mul(gate, up);
    }

    /// Whether all have the same columns in a group.
    pub(crate) fn same_groups(&self) -> bool {
        self.up.is_none_or(|up| up.quant().strip_group() == self.w.quant().strip_group())
    }

    /// Threads worth waking for a product with `floats` activations.
    pub(crate) fn lanes(&self, compute: &Compute<'_>, floats: usize) -> usize {
        let multiplications = self.matrices().saturating_mul(self.w.rows()).saturating_mul(floats);
        if multiplications < WORTH_FORKING { 1 } else { compute.threads.count() }
    }
}

/// The first `len` items of `buffer`, grown with `fill` when it is shorter.
pub(crate) fn grown<T: Clone>(buffer: &mut Vec<T>, len: usize, fill: T) -> &mut [T] {
    if buffer.len() < len {
        buffer.reserve_exact(len - buffer.len());
        buffer.resize(len, fill);
    }
    &mut buffer[..len]
}

/// The columns of an output, [tokens, rows], written by many threads, each its own columns.
pub(crate) struct Columns<'a> {
    start: *mut f32,
    rows: usize,
    tokens: usize,
    factor: f32,
    out: PhantomData<&'a mut [f32]>,
}

// SAFETY: `set` is told by its callers that no two threads write the same column.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// The columns of `out`, [tokens, rows], whose answers are yet to be multiplied with `factor`.
    pub(crate) fn new(out: &'a mut [f32], rows: usize, factor: f32) -> Self {
        Self { start: out.as_mut_ptr(), rows, tokens: out.len() / rows, factor, out: PhantomData }
    }

    /// How many columns there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the answers of rows from `first` on for `token`, times the factor.
    ///
    /// # Safety
    /// No other thread writes these rows.
    pub(crate) unsafe fn set_rows(
        &self,
        first: usize,
        token: usize,
        values: impl ExactSizeIterator<Item = f32>,
    ) {
        assert!(first < self.rows && values.len() <= self.rows - first && token < self.tokens);
        for (r, value) in values.enumerate() {
            // SAFETY: the places lie inside the output, [tokens, rows], by the line above; the rest is the caller's
            // duty.
            unsafe { self.start.add(token * self.rows + first + r).write(value * self.factor) };
        }
    }

    /// Writes the answer of `row` for `token`, times the factor.
    ///
    /// # Safety
    /// No other thread writes this `row`.
    pub(crate) unsafe fn set(&self, row: usize, token: usize, value: f32) {
        assert!(row < self.rows && token < self.tokens);
        // SAFETY: the place lies inside the output, [tokens, rows], by the line above; the rest is the caller's duty.
        unsafe { self.start.add(token * self.rows + row).write(value * self.factor) };
    }
}
