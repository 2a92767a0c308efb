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

/// How rows of the KV cache are stored. Attention computes in f32 whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As computed.
    F32,
    /// Half the bytes; rounded to 11 bits, and what is past the largest half becomes it.
    F16,
    /// A little over a quarter: whole numbers up to 127, every 32 columns of a row with a scale of their own.
    Q8,
}

/// Columns of a row that share a scale in [`Precision::Q8`].
pub(crate) const Q8_GROUP: usize = 32;

impl Precision {
    /// Every precision, the exact one first.
    pub const ALL: &'static [Precision] = &[Precision::F32, Precision::F16, Precision::Q8];

    /// Its name, as people type it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }

    /// Bytes of a row of `cols` numbers.
    pub fn row_bytes(self, cols: usize) -> usize {
        match self {
            Self::F32 => cols * size_of::<f32>(),
            Self::F16 => cols * size_of::<u16>(),
            Self::Q8 => cols + cols.div_ceil(Q8_GROUP) * size_of::<f32>(),
        }
    }
}

/// Rows of the KV cache: `[rows, cols]`, read by attention. A position has the row of its number, counted round: when
/// there are fewer rows than positions, the latest ones are there.
pub struct KvRows {
    /// Tokens there is room for.
    pub rows: usize,
    /// What a mixer keeps of a token.
    pub cols: usize,
    /// How they are stored.
    pub precision: Precision,
    pub(crate) buffer: Box<dyn Buffer>,
}

impl KvRows {
    /// For backends: rows over their own memory.
    pub fn new(rows: usize, cols: usize, precision: Precision, buffer: Box<dyn Buffer>) -> Self {
        Self { rows, cols, precision, buffer }
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
    /// What all values are multiplied with, beyond what their bytes say; 1 for a vector.
    pub factor: f32,
    pub(crate) buffer: Box<dyn Buffer>,
}

impl Weight {
    /// For backends: a weight over their own memory, without a factor.
    pub fn new(quant: Quant, rows: usize, cols: usize, buffer: Box<dyn Buffer>) -> Self {
        Self { quant, rows, cols, factor: 1.0, buffer }
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
    /// Of no dimensions: for models that do not rotate.
    pub fn none() -> Self {
        Self { dims: 0, pairs: RopePairs::Halves, cos: Vec::new(), sin: Vec::new() }
    }

    /// The opposite rotation.
    pub fn back(&self) -> Self {
        let sin = self.sin.iter().map(|sin| -sin).collect();
        Self { dims: self.dims, pairs: self.pairs, cos: self.cos.clone(), sin }
    }

    /// The same angles for heads whose dimensions are paired in another way.
    pub fn with_pairs(&self, pairs: RopePairs) -> Self {
        Self { dims: self.dims, pairs, cos: self.cos.clone(), sin: self.sin.clone() }
    }

    /// The rotation of each token of a batch, by its position in its sequence and the angle per position of each pair.
    ///
    /// The angle is a product of two f32, as in the published implementations: at long contexts the rounding of the
    /// angle is part of the model.
    pub fn new(rope: &Rope, frequencies: &[f32], positions: &[usize]) -> Self {
        let angles = positions.iter().flat_map(|p| frequencies.iter().map(move |f| f64::from(*p as f32 * f)));
        let (sin, cos) = angles
            .map(|angle| ((angle.sin() * rope.magnitude()) as f32, (angle.cos() * rope.magnitude()) as f32))
            .unzip();
        Self { dims: rope.dims, pairs: rope.pairs, cos, sin }
    }
}
