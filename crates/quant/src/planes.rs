//! The two planes a matrix is stored in.

/// Bytes of the value plane and of the scale plane of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Bytes of values; of whole blocks where a format keeps scales among them.
    pub values: usize,
    /// Bytes of scales kept apart; 0 where there is no such plane.
    pub scales: usize,
}

/// A quantized matrix, as [`crate::Quant::quantize_matrix`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The value plane.
    pub values: Vec<u8>,
    /// The scale plane; empty where there is none.
    pub scales: Vec<u8>,
}

/// Encodes each run of `LEN` values into `BYTES` bytes of values and `SCALE` of scales.
pub(crate) fn encode<const BYTES: usize, const SCALE: usize, const LEN: usize>(
    values: &[f32],
    encode: impl Fn(&[f32; LEN]) -> ([u8; BYTES], [u8; SCALE]),
) -> Encoded {
    let (values, scales): (Vec<_>, Vec<_>) = values.as_chunks().0.iter().map(encode).unzip();
    Encoded { values: values.concat(), scales: scales.concat() }
}
