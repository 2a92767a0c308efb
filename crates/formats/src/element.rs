//! What the numbers of a stored tensor are, as the file names them.

use quant::Quant;

/// The element type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Weights in a format that can be computed with as it is.
    Weight(Quant),
    /// 8-bit floats that need the scales of another tensor.
    F8E4M3,
    /// Powers of two, as scales.
    E8M0,
    /// 32-bit integers; also eight packed 4-bit weights.
    I32,
    /// 64-bit integers.
    I64,
    /// Signed bytes; also pairs of packed 4-bit floats.
    I8,
    /// Bytes; also pairs of packed 4-bit weights, and scales that are powers of two.
    U8,
    /// Anything else, by the name it has in the file; to be refused by that name when it is needed.
    Other(String),
}

impl Element {
    /// The name of the type, as file formats spell it.
    pub fn name(&self) -> &str {
        match self {
            Self::Weight(quant) => quant.name(),
            Self::F8E4M3 => "F8_E4M3",
            Self::E8M0 => "F8_E8M0",
            Self::I32 => "I32",
            Self::I64 => "I64",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Other(name) => name,
        }
    }
}
