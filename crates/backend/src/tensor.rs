//! Shapes with opaque memory behind them.

use std::any::Any;

use quant::Quant;
use spec::{Rope, RopePairs};

/// Memory of some backend, which alone knows what is inside.
pub trait Buffer: Any + Send + Sync {}

/// Activations: f32, `[rows, cols]`, row-major.
pub struct Tensor {
    /// Tokens, mostly.
    pub rows: usize,
    /// Width of a row.
    pub cols: usize,
    pub(crate) buffer: Box<dyn Buffer>,
}

impl Tensor {
    /// For backends: a tensor over their own memory.
    pub fn new(rows: usize, cols: usize, buffer: Box<dyn Buffer>) -> Self {
        Self { rows, cols, buffer }
    }
}

/// An immutable matrix `[rows, cols]` (a vector has one row), as it is spelled in the files.
pub struct Weight {
    /// How it is spelled.
    pub quant: Quant,
    /// Output width.
    pub rows: usize,
    /// Input width.
    pub cols: usize,
    pub(crate) buffer: Box<dyn Buffer>,
}

impl Weight {
    /// For backends: a weight over their own memory.
    pub fn new(quant: Quant, rows: usize, cols: usize, buffer: Box<dyn Buffer>) -> Self {
        Self { quant, rows, cols, buffer }
    }
}

/// Where the columns of one part of each head lie in a row: head `h` has them at `h * width + offset`.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Columns from one head to the next.
    pub width: usize,
    /// Columns before the part within its head.
    pub offset: usize,
}

/// Cosines and sines for the positions of one batch; the same for every layer.
pub struct Rotation {
    /// Number of rotated dimensions.
    pub dims: usize,
    /// Which dimensions rotate together.
    pub pairs: RopePairs,
    /// `[tokens, dims / 2]`.
    pub cos: Vec<f32>,
    /// `[tokens, dims / 2]`.
    pub sin: Vec<f32>,
}

impl Rotation {
    /// The rotation of each token of a batch, by its position in its sequence.
    ///
    /// The angle is a product of two f32, as in the published implementations: at long contexts the rounding of the
    /// angle is part of the model.
    pub fn new(rope: &Rope, positions: &[usize]) -> Self {
        let frequencies: Vec<f32> =
            rope.frequencies().into_iter().map(|frequency| frequency as f32).collect();
        let angles = positions.iter().flat_map(|p| frequencies.iter().map(move |f| f64::from(*p as f32 * f)));
        let (sin, cos) = angles
            .map(|angle| ((angle.sin() * rope.magnitude()) as f32, (angle.cos() * rope.magnitude()) as f32))
            .unzip();
        Self { dims: rope.dims, pairs: rope.pairs, cos, sin }
    }
}
