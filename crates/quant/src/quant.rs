//! The formats and their table. Adding one is a file, a row here, and an arm in `dequantize`, `strip` and
//! `quantize`.

use std::fmt;
use std::ops::Range;

use base::{Error, Result};

use crate::{
    Encoded, Group, Planes, Row, Strip, block, fp8, int4_g32, iq1_m, iq1_s, iq2_s, iq2_xs, iq2_xxs, iq3_s,
    iq3_xxs, iq4_nl, iq4_xs, mxfp4, mxfp4_g32, nvfp4, nvfp4_g16, plain, planes, q1_0, q2_0, q2_k, q3_k, q4_0,
    q4_1, q4_k, q5_0, q5_1, q5_k, q6_k, q8_0, tq1_0, tq2_0,
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
    /// GGML: 256 two-bit codes in sixteen groups with four-bit steps and minima, 2.625 bits.
    Q2K,
    /// GGML: 256 three-bit codes in sixteen groups with six-bit steps, 3.4375 bits.
    Q3K,
    /// GGML: 128 signs and an f16 magnitude, 1.125 bits.
    Q1_0,
    /// GGML: 64 two-bit codes and an f16 step, 2.25 bits.
    Q2_0,
    /// GGML: 256 ternary digits, five to a byte, and an f16 step, 1.6875 bits.
    Tq1_0,
    /// GGML: 256 ternary digits in bit pairs and an f16 step, 2.0625 bits.
    Tq2_0,
    /// GGML: eights out of a codebook of 2048, 1.5625 bits.
    Iq1S,
    /// GGML: as `Iq1S` with a step for 16 values, 1.75 bits.
    Iq1M,
    /// GGML: signed eights out of a codebook of 256, 2.0625 bits.
    Iq2Xxs,
    /// GGML: signed eights out of a codebook of 512, 2.3125 bits.
    Iq2Xs,
    /// GGML: signed eights out of a codebook of 1024, 2.5625 bits.
    Iq2S,
    /// GGML: signed fours out of a codebook of 256, 3.0625 bits.
    Iq3Xxs,
    /// GGML: signed fours out of a codebook of 512, 3.4375 bits.
    Iq3S,
    /// GGML: 32 nibbles that stand for the values of a table, and an f16 step, 4.5 bits.
    Iq4Nl,
    /// GGML: as `Iq4Nl` in eight groups with six-bit steps, 4.25 bits.
    Iq4Xs,
    /// GGML: 32 four-bit floats and a power of two, 4.25 bits.
    Mxfp4,
    /// GGML: 64 four-bit floats in four groups with e4m3 scales, 4.5 bits.
    Nvfp4,
    /// MXFP4 in order, and its powers of two in a plane of their own, 4.25 bits.
    Mxfp4G32,
    /// NVFP4 in order, and its e4m3 scales in a plane of their own, 4.5 bits.
    Nvfp4G16,
    /// fp8 e4m3, and a power of two for each 128×128 block in a plane of its own.
    Fp8B128E8m0,
    /// fp8 e4m3, and a power of two for each 32×32 block in a plane of its own.
    Fp8B32E8m0,
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
const FORMATS: [Format; 34] = [
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
    scaled(format(Quant::Fp8B128, "FP8_B128", 128, 128), Scales { rows: 128, bytes: 4, ragged: true }),
    with_minima(format(Quant::Q2K, "Q2_K", 256, q2_k::BYTES), Group::Sixteen),
    integers(format(Quant::Q3K, "Q3_K", 256, q3_k::BYTES), Group::Sixteen),
    integers(format(Quant::Q1_0, "Q1_0", 128, q1_0::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Q2_0, "Q2_0", 64, q2_0::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Tq1_0, "TQ1_0", 256, tq1_0::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Tq2_0, "TQ2_0", 256, tq2_0::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq1S, "IQ1_S", 256, iq1_s::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq1M, "IQ1_M", 256, iq1_m::BYTES), Group::Sixteen),
    integers(format(Quant::Iq2Xxs, "IQ2_XXS", 256, iq2_xxs::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq2Xs, "IQ2_XS", 256, iq2_xs::BYTES), Group::Sixteen),
    integers(format(Quant::Iq2S, "IQ2_S", 256, iq2_s::BYTES), Group::Sixteen),
    integers(format(Quant::Iq3Xxs, "IQ3_XXS", 256, iq3_xxs::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq3S, "IQ3_S", 256, iq3_s::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq4Nl, "IQ4_NL", 32, iq4_nl::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Iq4Xs, "IQ4_XS", 256, iq4_xs::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Mxfp4, "MXFP4", 32, mxfp4::BYTES), Group::ThirtyTwo),
    integers(format(Quant::Nvfp4, "NVFP4", 64, nvfp4::BYTES), Group::Sixteen),
    scaled(
        integers(format(Quant::Mxfp4G32, "MXFP4_G32", 32, mxfp4_g32::BYTES), Group::ThirtyTwo),
        Scales { rows: 1, bytes: 1, ragged: false },
    ),
    scaled(
        integers(format(Quant::Nvfp4G16, "NVFP4_G16", 32, nvfp4_g16::BYTES), Group::Sixteen),
        Scales { rows: 1, bytes: 2, ragged: false },
    ),
    scaled(
        format(Quant::Fp8B128E8m0, "FP8_B128_E8M0", 128, 128),
        Scales { rows: 128, bytes: 1, ragged: true },
    ),
    scaled(format(Quant::Fp8B32E8m0, "FP8_B32_E8M0", 32, 32), Scales { rows: 32, bytes: 1, ragged: true }),
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

    /// Values in one block along a row: the number a row's length must divide by, except for the FP8 formats, whose
    /// last block may be short.
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

    /// These columns of a row, which begin with a block, and end with one or with the row.
    ///
    /// # Panics
    /// When they do not, and when the row has no such columns.
    pub fn part(self, row: Row<'_>, columns: Range<usize>) -> Row<'_> {
        let Format { block_len, block_bytes, .. } = *self.format();
        assert!(columns.start.is_multiple_of(block_len), "{self}: a part from column {}", columns.start);
        let first = columns.start / block_len * block_bytes;
        // A block may be short at the end of a row, and then has a byte for each column.
        let short = columns.end % block_len;
        let end = columns.end / block_len * block_bytes + short;
        let scales = self.scale_row_bytes(columns.start)..self.scale_row_bytes(columns.end);
        Row { values: &row.values[first..end], scales: &row.scales[scales] }
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
            Quant::Fp8B128 => fp8::dequantize::<128>(row, out),
            Quant::Q2K => q2_k::dequantize(row, out),
            Quant::Q3K => q3_k::dequantize(row, out),
            Quant::Q1_0 => q1_0::dequantize(row, out),
            Quant::Q2_0 => q2_0::dequantize(row, out),
            Quant::Tq1_0 => tq1_0::dequantize(row, out),
            Quant::Tq2_0 => tq2_0::dequantize(row, out),
            Quant::Iq1S => iq1_s::dequantize(row, out),
            Quant::Iq1M => iq1_m::dequantize(row, out),
            Quant::Iq2Xxs => iq2_xxs::dequantize(row, out),
            Quant::Iq2Xs => iq2_xs::dequantize(row, out),
            Quant::Iq2S => iq2_s::dequantize(row, out),
            Quant::Iq3Xxs => iq3_xxs::dequantize(row, out),
            Quant::Iq3S => iq3_s::dequantize(row, out),
            Quant::Iq4Nl => iq4_nl::dequantize(row, out),
            Quant::Iq4Xs => iq4_xs::dequantize(row, out),
            Quant::Mxfp4 => mxfp4::dequantize(row, out),
            Quant::Nvfp4 => nvfp4::dequantize(row, out),
            Quant::Mxfp4G32 => mxfp4_g32::dequantize(row, out),
            Quant::Nvfp4G16 => nvfp4_g16::dequantize(row, out),
            Quant::Fp8B128E8m0 => fp8::dequantize_e8m0::<128>(row, out),
            Quant::Fp8B32E8m0 => fp8::dequantize_e8m0::<32>(row, out),
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
            Quant::Q2K => q2_k::strip(row, index, out),
            Quant::Q3K => q3_k::strip(row, index, out),
            Quant::Q1_0 => q1_0::strip(row, index, out),
            Quant::Q2_0 => q2_0::strip(row, index, out),
            Quant::Tq1_0 => tq1_0::strip(row, index, out),
            Quant::Tq2_0 => tq2_0::strip(row, index, out),
            Quant::Iq1S => iq1_s::strip(row, index, out),
            Quant::Iq1M => iq1_m::strip(row, index, out),
            Quant::Iq2Xxs => iq2_xxs::strip(row, index, out),
            Quant::Iq2Xs => iq2_xs::strip(row, index, out),
            Quant::Iq2S => iq2_s::strip(row, index, out),
            Quant::Iq3Xxs => iq3_xxs::strip(row, index, out),
            Quant::Iq3S => iq3_s::strip(row, index, out),
            Quant::Iq4Nl => iq4_nl::strip(row, index, out),
            Quant::Iq4Xs => iq4_xs::strip(row, index, out),
            Quant::Mxfp4 => mxfp4::strip(row, index, out),
            Quant::Nvfp4 => nvfp4::strip(row, index, out),
            Quant::Mxfp4G32 => mxfp4_g32::strip(row, index, out),
            Quant::Nvfp4G16 => nvfp4_g16::strip(row, index, out),
            Quant::F32
            | Quant::F16
            | Quant::BF16
            | Quant::Fp8B128
            | Quant::Fp8B128E8m0
            | Quant::Fp8B32E8m0 => panic!("{self} has no strips"),
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
            Quant::Q2K => Some(block::encode(values, q2_k::encode)),
            Quant::Q3K => Some(block::encode(values, q3_k::encode)),
            Quant::Q1_0 => Some(block::encode(values, q1_0::encode)),
            Quant::Q2_0 => Some(block::encode(values, q2_0::encode)),
            Quant::Tq1_0 => Some(block::encode(values, tq1_0::encode)),
            Quant::Tq2_0 => Some(block::encode(values, tq2_0::encode)),
            Quant::Iq1S => Some(block::encode(values, iq1_s::encode)),
            Quant::Iq1M => Some(block::encode(values, iq1_m::encode)),
            Quant::Iq2Xxs => Some(block::encode(values, iq2_xxs::encode)),
            Quant::Iq2Xs => Some(block::encode(values, iq2_xs::encode)),
            Quant::Iq2S => Some(block::encode(values, iq2_s::encode)),
            Quant::Iq3Xxs => Some(block::encode(values, iq3_xxs::encode)),
            Quant::Iq3S => Some(block::encode(values, iq3_s::encode)),
            Quant::Iq4Nl => Some(block::encode(values, iq4_nl::encode)),
            Quant::Iq4Xs => Some(block::encode(values, iq4_xs::encode)),
            Quant::Mxfp4 => Some(block::encode(values, mxfp4::encode)),
            Quant::Nvfp4 => Some(block::encode(values, nvfp4::encode)),
            Quant::Int4G32
            | Quant::Mxfp4G32
            | Quant::Nvfp4G16
            | Quant::Fp8B128
            | Quant::Fp8B128E8m0
            | Quant::Fp8B32E8m0 => None,
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
            Quant::Int4G32 => planes::encode(values, int4_g32::encode),
            Quant::Mxfp4G32 => planes::encode(values, mxfp4_g32::encode),
            Quant::Nvfp4G16 => planes::encode(values, nvfp4_g16::encode),
            Quant::Fp8B128 => fp8::encode(128, cols, values),
            Quant::Fp8B128E8m0 => fp8::encode_e8m0(128, cols, values),
            Quant::Fp8B32E8m0 => fp8::encode_e8m0(32, cols, values),
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
