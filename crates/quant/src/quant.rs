//! The formats and their table. Adding one is a file, a row here, and an arm in `dequantize`, `strip` and
//! `quantize`.

use std::fmt;

use base::{Error, Result};

use crate::{
    Encoded, Group, Planes, Row, Strip, block, fp8_b128, int4_g32, plain, q4_0, q4_1, q4_k, q5_0, q5_1, q5_k,
    q6_k, q8_0,
};

/// How rows of weights are spelled in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)]
pub enum Quant {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// GGML: 32 signed bytes and an f16 step, 8.5 bits a value.
    Q8_0,
    /// GGML: 32 nibbles and an f16 step, 4.5 bits.
    Q4_0,
    /// GGML: 32 nibbles, an f16 step and an f16 minimum, 5 bits.
    Q4_1,
    /// GGML: 32 five-bit codes and an f16 step, 5.5 bits.
    Q5_0,
    /// GGML: 32 five-bit codes, an f16 step and an f16 minimum, 6 bits.
    Q5_1,
    /// GGML: 256 nibbles in eight groups with six-bit steps and minima, 4.5 bits.
    Q4K,
    /// GGML: as `Q4K` with five-bit codes, 5.5 bits.
    Q5K,
    /// GGML: 256 six-bit codes in sixteen groups with eight-bit steps, 6.5625 bits.
    Q6K,
    /// compressed-tensors `pack-quantized`: nibbles, and a bf16 scale for 32 columns in a plane of its own, 4.5 bits.
    Int4G32,
    /// fp8 e4m3, and an f32 scale for each 128×128 block in a plane of its own.
    Fp8B128,
}

/// One row of the table of formats.
pub(crate) struct Format {
    quant: Quant,
    name: &'static str,
    /// Values in a block.
    block_len: usize,
    /// Bytes of a block in the value plane.
    pub block_bytes: usize,
    /// The scale plane, if there is one.
    pub scales: Option<Scales>,
    /// Columns that share a scale, where values are integers times a scale.
    group: Option<Group>,
    /// Whether such values have a minimum taken from them.
    minima: bool,
}

/// A plane of scales beside the values.
pub(crate) struct Scales {
    /// Rows of the matrix that one scale covers; it covers `block_len` columns.
    pub rows: usize,
    bytes: usize,
    /// Whether the last block of a row may be short.
    ragged: bool,
}

const fn format(quant: Quant, name: &'static str, block_len: usize, block_bytes: usize) -> Format {
    Format { quant, name, block_len, block_bytes, scales: None, group: None, minima: false }
}

/// Of integers, a scale for each `group` of columns.
const fn integers(format: Format, group: Group) -> Format {
    Format { group: Some(group), ..format }
}

/// Of integers, a scale and a minimum for each `group` of columns.
const fn with_minima(format: Format, group: Group) -> Format {
    Format { minima: true, ..integers(format, group) }
}

const fn scaled(format: Format, scales: Scales) -> Format {
    Format { scales: Some(scales), ..format }
}

/// In the order of the enum.
const FORMATS: [Format; 13] = [
    format(Quant::F32, "F32", 1, 4),
    format(Quant::F16, "F16", 1, 2),
    format(Quant::BF16, "BF16", 1, 2),
    integers(format(Quant::Q8_0, "Q8_0", 32, q8_0::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Q4_0, "Q4_0", 32, q4_0::BYTES), Group::ThirtyTwo),
    with_minima(format(Quant::Q4_1, "Q4_1", 32, q4_1::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Q5_0, "Q5_0", 32, q5_0::BYTES), Group::ThirtyTwo),
    with_minima(format(Quant::Q5_1, "Q5_1", 32, q5_1::BYTES), Group::ThirtyTwo),
    with_minima(format(Quant::Q4K, "Q4_K", 256, q4_k::BYTES), Group::ThirtyTwo),
    with_minima(format(Quant::Q5K, "Q5_K", 256, q5_k::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Q6K, "Q6_K", 256, q6_k::BYTES), Group::Sixteen),
    scaled(
        integers(format(Quant::Int4G32, "INT4_G32", 32, int4_g32::BYTES), Group::ThirtyTwo),
        Scales { rows: 1, bytes: 2, ragged: false },
    ),
    scaled(
        format(Quant::Fp8B128, "FP8_B128", fp8_b128::SIDE, fp8_b128::SIDE),
        Scales { rows: fp8_b128::SIDE, bytes: 4, ragged: true },
    ),
];

/// The formats, taken from their table.
const ALL: [Quant; FORMATS.len()] = {
    let mut all = [Quant::F32; FORMATS.len()];
    let mut i = 0;
    while i < all.len() {
        assert!(FORMATS[i].quant as usize == i, "the table follows the order of the enum");
        all[i] = FORMATS[i].quant;
        i += 1;
    }
    all
};

impl Quant {
    /// Every format.
    pub const ALL: &'static [Quant] = &ALL;

    /// The name people know it by, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.format().name
    }

    /// Values in one block along a row: the number a row's length must divide by, except for `Fp8B128`, whose last
    /// block may be short.
    pub fn block_len(self) -> usize {
        self.format().block_len
    }

    /// Bytes of one block in the value plane.
    pub fn block_bytes(self) -> usize {
        self.format().block_bytes
    }

    /// Columns of a row whose blocks are all there; `None` when its planes do not agree, or end within a block.
    pub fn row_len(self, row: Row<'_>) -> Option<usize> {
        let format = self.format();
        let ragged = format.scales.as_ref().is_some_and(|scales| scales.ragged);
        let cols =
            if ragged { row.values.len() } else { row.values.len() / format.block_bytes * format.block_len };
        let agrees = self.row_bytes(cols).ok() == Some(row.values.len())
            && self.scale_row_bytes(cols) == row.scales.len();
        agrees.then_some(cols)
    }

    /// Bytes of a [rows, cols] matrix.
    ///
    /// Fails when a row is not a whole number of blocks, and when the sizes overflow.
    pub fn plane_bytes(self, rows: usize, cols: usize) -> Result<Planes> {
        let values = self.row_bytes(cols)?.checked_mul(rows);
        let scales = match &self.format().scales {
            Some(scales) => self.scale_row_bytes(cols).checked_mul(rows.div_ceil(scales.rows)),
            None => Some(0),
        };
        match (values, scales) {
            (Some(values), Some(scales)) => Ok(Planes { values, scales }),
            _ => Err(err_too_large(self, rows, cols)),
        }
    }

    /// Decodes one row; `out` is as long as the row has columns. The truth for every kernel.
    ///
    /// Inlined into its caller, so that it is compiled for the caller's instruction set. There is no fused
    /// arithmetic in it, so the bits are the same under all of them.
    ///
    /// # Panics
    /// When the row's bytes are not those of `out.len()` columns.
    #[inline(always)]
    pub fn dequantize(self, row: Row<'_>, out: &mut [f32]) {
        self.check_row(row, out.len());
        match self {
            Quant::F32 => plain::dequantize_f32(row, out),
            Quant::F16 => plain::dequantize_f16(row, out),
            Quant::BF16 => plain::dequantize_bf16(row, out),
            Quant::Q8_0 => q8_0::dequantize(row, out),
            Quant::Q4_0 => q4_0::dequantize(row, out),
            Quant::Q4_1 => q4_1::dequantize(row, out),
            Quant::Q5_0 => q5_0::dequantize(row, out),
            Quant::Q5_1 => q5_1::dequantize(row, out),
            Quant::Q4K => q4_k::dequantize(row, out),
            Quant::Q5K => q5_k::dequantize(row, out),
            Quant::Q6K => q6_k::dequantize(row, out),
            Quant::Int4G32 => int4_g32::dequantize(row, out),
            Quant::Fp8B128 => fp8_b128::dequantize(row, out),
        }
    }

    /// Columns that share a scale in a [`Strip`]; `None` for formats that are not integers times a scale, which have no
    /// strips and are decoded by [`Quant::dequantize`].
    pub fn strip_group(self) -> Option<Group> {
        self.format().group
    }

    /// Whether a [`Strip`] of this format has minima.
    pub fn has_minima(self) -> bool {
        self.format().minima
    }

    /// Columns 256 * `index`.. of a row as integers. No arithmetic in it rounds but the product of a scale and its
    /// step, where the format has both; `scale * code - minimum` is then what [`Quant::dequantize`] gives, to the bit.
    ///
    /// Inlined into its caller, as [`Quant::dequantize`] is.
    ///
    /// # Panics
    /// When the row has no such strip, and when the format has none.
    #[inline(always)]
    pub fn strip(self, row: Row<'_>, index: usize, out: &mut Strip) {
        match self {
            Quant::Q8_0 => q8_0::strip(row, index, out),
            Quant::Q4_0 => q4_0::strip(row, index, out),
            Quant::Q4_1 => q4_1::strip(row, index, out),
            Quant::Q5_0 => q5_0::strip(row, index, out),
            Quant::Q5_1 => q5_1::strip(row, index, out),
            Quant::Q4K => q4_k::strip(row, index, out),
            Quant::Q5K => q5_k::strip(row, index, out),
            Quant::Q6K => q6_k::strip(row, index, out),
            Quant::Int4G32 => int4_g32::strip(row, index, out),
            Quant::F32 | Quant::F16 | Quant::BF16 | Quant::Fp8B128 => panic!("{self} has no strips"),
        }
    }

    /// Encodes whole blocks of `values`, one row or many; `None` for the formats whose scales lie in a plane of their
    /// own, and when `values` is not a whole number of blocks. Plain rounding, no search for a better fit.
    pub fn quantize(self, values: &[f32]) -> Option<Vec<u8>> {
        if !values.len().is_multiple_of(self.block_len()) {
            return None;
        }
        match self {
            Quant::F32 => Some(block::encode(values, plain::encode_f32)),
            Quant::F16 => Some(block::encode(values, plain::encode_f16)),
            Quant::BF16 => Some(block::encode(values, plain::encode_bf16)),
            Quant::Q8_0 => Some(block::encode(values, q8_0::encode)),
            Quant::Q4_0 => Some(block::encode(values, q4_0::encode)),
            Quant::Q4_1 => Some(block::encode(values, q4_1::encode)),
            Quant::Q5_0 => Some(block::encode(values, q5_0::encode)),
            Quant::Q5_1 => Some(block::encode(values, q5_1::encode)),
            Quant::Q4K => Some(block::encode(values, q4_k::encode)),
            Quant::Q5K => Some(block::encode(values, q5_k::encode)),
            Quant::Q6K => Some(block::encode(values, q6_k::encode)),
            Quant::Int4G32 | Quant::Fp8B128 => None,
        }
    }

    /// Encodes a [rows, cols] matrix in any format. Fails where [`Quant::plane_bytes`] does.
    ///
    /// # Panics
    /// When `values` is not rows·cols long.
    pub fn quantize_matrix(self, rows: usize, cols: usize, values: &[f32]) -> Result<Encoded> {
        self.plane_bytes(rows, cols)?;
        assert_eq!(Some(values.len()), rows.checked_mul(cols), "a value for each place of the matrix");
        Ok(match self {
            Quant::Int4G32 => {
                let (values, scales): (Vec<_>, Vec<_>) =
                    values.as_chunks().0.iter().map(int4_g32::encode).unzip();
                Encoded { values: values.concat(), scales: scales.concat() }
            }
            Quant::Fp8B128 => fp8_b128::encode(cols, values),
            _ => Encoded { values: self.quantize(values).unwrap_or_default(), scales: Vec::new() },
        })
    }

    pub(crate) fn format(self) -> &'static Format {
        &FORMATS[self as usize]
    }

    /// Bytes of one row in the value plane.
    pub(crate) fn row_bytes(self, cols: usize) -> Result<usize> {
        let Format { block_len, block_bytes, scales, .. } = self.format();
        if scales.as_ref().is_some_and(|scales| scales.ragged) {
            return Ok(cols);
        }
        if !cols.is_multiple_of(*block_len) {
            return Err(err_part_of_a_block(self, cols));
        }
        (cols / block_len).checked_mul(*block_bytes).ok_or_else(|| err_too_large(self, 1, cols))
    }

    /// Bytes of one row of the scale plane. Cannot overflow: a scale is smaller than the block it covers.
    pub(crate) fn scale_row_bytes(self, cols: usize) -> usize {
        let format = self.format();
        format.scales.as_ref().map_or(0, |scales| cols.div_ceil(format.block_len) * scales.bytes)
    }

    #[inline]
    fn check_row(self, row: Row<'_>, cols: usize) {
        let bytes = self.row_bytes(cols).ok();
        assert!(
            bytes == Some(row.values.len()) && self.scale_row_bytes(cols) == row.scales.len(),
            "{self}: a row of {} + {} bytes is not one of {cols} columns",
            row.values.len(),
            row.scales.len()
        );
    }
}

impl fmt::Display for Quant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn err_part_of_a_block(quant: Quant, cols: usize) -> Error {
    let block = quant.block_len();
    Error::corrupt(format!("{cols} columns of {quant} are not a whole number of blocks of {block}"))
}

fn err_too_large(quant: Quant, rows: usize, cols: usize) -> Error {
    Error::corrupt(format!("{rows} x {cols} values of {quant} are more bytes than memory can address"))
}
