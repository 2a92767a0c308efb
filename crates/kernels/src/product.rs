//! What both kinds of product share: what computes them, their weights, their output, and growing memory.

use std::marker::PhantomData;

use quant::Matrix;

use crate::{Activations, Kernels, Threads};

/// Multiplications below which a product is not worth waking another thread: some ten microseconds of one core.
pub(crate) const WORTH_FORKING: usize = 1 << 16;

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

/// A matrix and what its answers are joined with.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub w: Matrix<'a>,
    /// What is added to its answers, a number a row.
    pub bias: Option<&'a [f32]>,
    /// Of a gate, the up matrix.
    pub up: Option<Up<'a>>,
}

/// The up matrix of a feed-forward unit.
#[derive(Clone, Copy)]
pub(crate) struct Up<'a> {
    pub w: Matrix<'a>,
    /// As [`Weights::bias`].
    pub bias: Option<&'a [f32]>,
    /// How its answers meet those of the gate.
    pub join: Join,
}

impl Weights<'_> {
    /// One or two.
    pub(crate) fn matrices(&self) -> usize {
        1 + usize::from(self.up.is_some())
    }

    /// Makes answers of what rows from `first` on summed up to: `values` and `ups` are [rows, tokens], of the second
    /// nothing but its place is used when there is no up matrix. Rows past the last are anything, before and after.
    pub(crate) fn finish(
        &self,
        kernels: &Kernels,
        first: usize,
        tokens: usize,
        values: &mut [f32],
        ups: &mut [f32],
    ) {
        adjust(self.w, self.bias, first, tokens, values);
        let Some(up) = self.up else { return };
        adjust(up.w, up.bias, first, tokens, ups);
        match up.join {
            Join::Silu => kernels.silu_mul(values, ups),
            Join::Clamped { alpha, shift, limit } => kernels.clamped_mul(values, ups, [alpha, shift], limit),
            Join::Soft { beta, linear } => kernels.soft_mul(values, ups, beta, linear),
        }
    }

    /// Whether all have the same columns in a group.
    pub(crate) fn same_groups(&self) -> bool {
        self.up.is_none_or(|up| up.w.quant().strip_group() == self.w.quant().strip_group())
    }

    /// Threads worth waking for a product with `floats` activations.
    pub(crate) fn lanes(&self, compute: &Compute<'_>, floats: usize) -> usize {
        if self.multiplications(floats) < WORTH_FORKING { 1 } else { compute.threads.count() }
    }

    /// Multiplications of a product with `floats` activations.
    pub(crate) fn multiplications(&self, floats: usize) -> usize {
        self.matrices().saturating_mul(self.w.rows()).saturating_mul(floats)
    }
}

/// What rows of `w` from `first` on summed up to, [rows, tokens], times its factor, and the bias added.
fn adjust(w: Matrix<'_>, bias: Option<&[f32]>, first: usize, tokens: usize, sums: &mut [f32]) {
    let factor = w.factor();
    if factor != 1.0 {
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
    for (sums, bias) in sums.chunks_exact_mut(tokens).zip(bias.map_or(&[][..], |bias| &bias[first..])) {
        sums.iter_mut().for_each(|sum| *sum += bias);
    }
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

/// A product: weights, the tokens they meet, and where the answers go.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub weights: Weights<'a>,
    pub x: Inputs<'a>,
    pub out: Columns<'a>,
}

impl<'a> Job<'a> {
    /// Panics unless the shapes agree.
    pub(crate) fn new(weights: Weights<'a>, x: Inputs<'a>, out: Columns<'a>) -> Self {
        let (w, rows) = (weights.w, weights.w.rows());
        assert!(
            x.cols == w.cols() && out.rows == rows && out.tokens() == x.len(),
            "{w:?} takes x [tokens, {}] to out [tokens, {rows}], found [{}, {}] and [{}, {}]",
            w.cols(),
            x.len(),
            x.cols,
            out.tokens(),
            out.rows
        );
        let biases = [weights.bias, weights.up.and_then(|up| up.bias)];
        assert!(biases.iter().flatten().all(|bias| bias.len() == rows), "a number of bias for each row");
        assert!(
            weights.up.is_none_or(|up| (up.w.rows(), up.w.cols()) == (rows, w.cols())),
            "gate and up alike"
        );
        Self { weights, x, out }
    }
}

/// Activations of some tokens, a row each.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    values: &'a [f32],
    cols: usize,
    /// Which rows of `values`; `None` has all of them.
    which: Option<&'a [usize]>,
}

impl<'a> Inputs<'a> {
    /// All rows of `values`, [tokens, cols].
    pub(crate) fn all(values: &'a [f32], cols: usize) -> Self {
        assert!(cols > 0 && values.len().is_multiple_of(cols), "whole rows of {cols} activations");
        Self { values, cols, which: None }
    }

    /// These rows of `values`.
    pub(crate) fn some(values: &'a [f32], cols: usize, which: &'a [usize]) -> Self {
        let all = Self::all(values, cols);
        assert!(which.iter().all(|row| *row < all.len()), "rows that are there");
        Self { which: Some(which), ..all }
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.which.map_or(self.values.len() / self.cols, <[usize]>::len)
    }

    /// Activations of all of them.
    pub(crate) fn floats(&self) -> usize {
        self.len() * self.cols
    }

    /// The activations of one token.
    pub(crate) fn row(&self, token: usize) -> &'a [f32] {
        let row = self.which.map_or(token, |which| which[token]);
        &self.values[row * self.cols..][..self.cols]
    }

    /// All of them, one after the other; `room` is for those that do not lie so.
    pub(crate) fn together<'r>(&self, room: &'r mut Vec<f32>) -> &'r [f32]
    where
        'a: 'r,
    {
        let Some(which) = self.which else { return self.values };
        if which.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            let first = which.first().map_or(0, |first| first * self.cols);
            return &self.values[first..][..self.floats()];
        }
        let room = grown(room, self.floats(), 0.0);
        for (token, out) in room.chunks_exact_mut(self.cols).enumerate() {
            out.copy_from_slice(self.row(token));
        }
        room
    }

    /// Whether these are the very same rows.
    pub(crate) fn same(&self, other: &Self) -> bool {
        std::ptr::eq(self.values, other.values) && self.which == other.which && self.cols == other.cols
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
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    start: *mut f32,
    rows: usize,
    /// Rows of the output.
    held: usize,
    /// Where the answers for each token go; `None` has them in order.
    places: Option<&'a [usize]>,
    out: PhantomData<&'a mut [f32]>,
}

// SAFETY: `set` is told by its callers that no two threads write the same column.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// The columns of `out`, [tokens, rows].
    pub(crate) fn new(out: &'a mut [f32], rows: usize) -> Self {
        assert!(rows > 0 && out.len().is_multiple_of(rows), "whole rows of {rows} answers");
        Self { start: out.as_mut_ptr(), rows, held: out.len() / rows, places: None, out: PhantomData }
    }

    /// The same with the answers for each token in a row of its own choice.
    pub(crate) fn at(self, places: &'a [usize]) -> Self {
        assert!(places.iter().all(|place| *place < self.held), "places in the output");
        Self { places: Some(places), ..self }
    }

    /// How many columns there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// For how many tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.places.map_or(self.held, <[usize]>::len)
    }

    /// Writes the answers of rows from `first` on for `token`.
    ///
    /// # Safety
    /// No other thread writes these rows of this token's place.
    #[inline(always)]
    pub(crate) unsafe fn set_rows(&self, first: usize, token: usize, values: &[f32]) {
        let place = self.places.map_or(token, |places| places[token]);
        assert!(first < self.rows && values.len() <= self.rows - first && place < self.held);
        // SAFETY: the places lie inside the output, [tokens, rows], by the line above; the rest is the caller's duty.
        unsafe {
            let to = self.start.add(place * self.rows + first);
            to.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
    }

    /// Writes `values`, [rows, count], the answers of rows from `first` on for `count` tokens from `token` on.
    ///
    /// # Safety
    /// No other thread writes these rows of these tokens' places.
    pub(crate) unsafe fn set_block(&self, first: usize, token: usize, count: usize, values: &[f32]) {
        if count == 1 {
            // SAFETY: the caller's promise.
            return unsafe { self.set_rows(first, token, values) };
        }
        for (row, values) in values.chunks_exact(count).enumerate() {
            for (at, value) in values.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { self.set_rows(first + row, token + at, std::slice::from_ref(value)) };
            }
        }
    }
}
