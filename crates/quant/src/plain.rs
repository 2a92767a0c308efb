//! F32, F16 and BF16: numbers as they are.

use crate::Row;
use crate::float::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

#[inline(always)]
pub(crate) fn dequantize_f32(row: Row<'_>, out: &mut [f32]) {
    for (bytes, out) in row.values.as_chunks().0.iter().zip(out) {
        *out = f32::from_le_bytes(*bytes);
    }
}

#[inline(always)]
pub(crate) fn dequantize_f16(row: Row<'_>, out: &mut [f32]) {
    for (bytes, out) in row.values.as_chunks().0.iter().zip(out) {
        *out = f16_to_f32(u16::from_le_bytes(*bytes));
    }
}

#[inline(always)]
pub(crate) fn dequantize_bf16(row: Row<'_>, out: &mut [f32]) {
    for (bytes, out) in row.values.as_chunks().0.iter().zip(out) {
        *out = bf16_to_f32(u16::from_le_bytes(*bytes));
    }
}

pub(crate) fn encode_f32(value: &[f32; 1]) -> [u8; 4] {
    value[0].to_le_bytes()
}

pub(crate) fn encode_f16(value: &[f32; 1]) -> [u8; 2] {
    f32_to_f16(value[0]).to_le_bytes()
}

pub(crate) fn encode_bf16(value: &[f32; 1]) -> [u8; 2] {
    f32_to_bf16(value[0]).to_le_bytes()
}
