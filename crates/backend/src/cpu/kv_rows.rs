//! Rows of the KV cache in memory, in each precision.

use std::any::Any;
use std::ops::Range;

use base::{Error, Result};
use kernels::Kernels;
use quant::float::f32_to_f16;

use crate::tensor::Q8_GROUP;
use crate::{Buffer, KvRows, Precision};

/// The rows, one after another.
enum HostRows {
    F32(Vec<f32>),
    F16(Vec<u16>),
    /// Codes `[rows, cols]`, and scales `[rows, groups]`.
    Q8(Vec<i8>, Vec<f32>),
}

impl Buffer for HostRows {}

/// The largest finite half.
const F16_MAX: f32 = 65_504.0;

/// Room for `rows` rows, of zeros.
pub(super) fn kv_rows(rows: usize, cols: usize, precision: Precision) -> Result<KvRows> {
    let room =
        || Error::budget(format!("the system has no memory for {rows} x {cols} numbers of the KV cache"));
    let numbers = rows.checked_mul(cols).ok_or_else(room)?;
    let buffer = match precision {
        Precision::F32 => HostRows::F32(zeros(numbers).ok_or_else(room)?),
        Precision::F16 => HostRows::F16(zeros(numbers).ok_or_else(room)?),
        Precision::Q8 => HostRows::Q8(
            zeros(numbers).ok_or_else(room)?,
            zeros(rows * cols.div_ceil(Q8_GROUP)).ok_or_else(room)?,
        ),
    };
    Ok(KvRows::new(rows, cols, precision, Box::new(buffer)))
}

/// Asks first, for `vec!` would abort; then lets the system zero the pages when they are first touched.
fn zeros<T: Clone + Default>(len: usize) -> Option<Vec<T>> {
    Vec::<T>::new().try_reserve_exact(len).ok()?;
    Some(vec![T::default(); len])
}

/// Stores `values`, whole rows, from position `at` on.
pub(super) fn store(rows: &mut KvRows, values: &[f32], at: usize) {
    let (cols, room) = (rows.cols, rows.rows);
    for (i, row) in values.chunks_exact(cols).enumerate() {
        let at = (at + i) % room;
        match buffer_mut(rows) {
            HostRows::F32(all) => all[at * cols..][..cols].copy_from_slice(row),
            HostRows::F16(all) => {
                for (half, value) in all[at * cols..][..cols].iter_mut().zip(row) {
                    *half = f32_to_f16(value.clamp(-F16_MAX, F16_MAX));
                }
            }
            HostRows::Q8(codes, scales) => {
                let groups = cols.div_ceil(Q8_GROUP);
                let codes = codes[at * cols..][..cols].chunks_mut(Q8_GROUP);
                let scales = scales[at * groups..][..groups].iter_mut();
                for ((group, codes), scale) in row.chunks(Q8_GROUP).zip(codes).zip(scales) {
                    *scale = quantize(group, codes);
                }
            }
        }
    }
}

/// Whole numbers up to 127, and what they must be multiplied by. A scale that is no number makes the group none.
fn quantize(values: &[f32], codes: &mut [i8]) -> f32 {
    let largest =
        values.iter().fold(0.0f32, |most, value| if value.abs() > most { value.abs() } else { most });
    let scale = if values.iter().any(|value| value.is_nan()) { f32::NAN } else { largest / 127.0 };
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, value) in codes.iter_mut().zip(values) {
        *code = (value * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    scale
}

/// Copies the rows of these positions.
pub(super) fn copy(from: &KvRows, positions: Range<usize>, to: &mut KvRows) {
    assert_eq!((from.cols, from.precision), (to.cols, to.precision), "rows are copied between equal widths");
    let (cols, groups) = (from.cols, from.cols.div_ceil(Q8_GROUP));
    let (room, to_room) = (from.rows, to.rows);
    for position in positions {
        let (row, to_row) = (position % room, position % to_room);
        let (numbers, to_numbers) = (row * cols..(row + 1) * cols, to_row * cols..(to_row + 1) * cols);
        match (buffer(from), buffer_mut(to)) {
            (HostRows::F32(from), HostRows::F32(to)) => to[to_numbers].copy_from_slice(&from[numbers]),
            (HostRows::F16(from), HostRows::F16(to)) => to[to_numbers].copy_from_slice(&from[numbers]),
            (HostRows::Q8(codes, scales), HostRows::Q8(to_codes, to_scales)) => {
                to_codes[to_numbers].copy_from_slice(&codes[numbers]);
                to_scales[to_row * groups..][..groups].copy_from_slice(&scales[row * groups..][..groups]);
            }
            _ => unreachable!("equal precisions have equal buffers"),
        }
    }
}

/// Rows as bytes, one after another, little-endian: numbers, or codes and then their scales.
pub(super) fn bytes(rows: &KvRows, which: Range<usize>) -> Vec<u8> {
    let (cols, groups) = (rows.cols, rows.cols.div_ceil(Q8_GROUP));
    let numbers = which.start * cols..which.end * cols;
    match buffer(rows) {
        HostRows::F32(all) => all[numbers].iter().flat_map(|number| number.to_le_bytes()).collect(),
        HostRows::F16(all) => all[numbers].iter().flat_map(|half| half.to_le_bytes()).collect(),
        HostRows::Q8(codes, scales) => {
            let mut bytes = Vec::with_capacity(which.len() * rows.precision.row_bytes(cols));
            for row in which {
                bytes.extend(codes[row * cols..][..cols].iter().map(|code| *code as u8));
                bytes.extend(scales[row * groups..][..groups].iter().flat_map(|scale| scale.to_le_bytes()));
            }
            bytes
        }
    }
}

/// The opposite of [`bytes`], whole rows, from row `at` on.
pub(super) fn set_bytes(bytes: &[u8], rows: &mut KvRows, at: usize) {
    let (cols, groups) = (rows.cols, rows.cols.div_ceil(Q8_GROUP));
    let row_bytes = rows.precision.row_bytes(cols).max(1);
    assert!(bytes.len().is_multiple_of(row_bytes), "whole rows of {row_bytes} bytes");
    let numbers = at * cols..(at + bytes.len() / row_bytes) * cols;
    match buffer_mut(rows) {
        HostRows::F32(all) => {
            for (number, bytes) in all[numbers].iter_mut().zip(bytes.as_chunks().0) {
                *number = f32::from_le_bytes(*bytes);
            }
        }
        HostRows::F16(all) => {
            for (half, bytes) in all[numbers].iter_mut().zip(bytes.as_chunks().0) {
                *half = u16::from_le_bytes(*bytes);
            }
        }
        HostRows::Q8(codes, scales) => {
            for (row, bytes) in (at..).zip(bytes.chunks_exact(row_bytes)) {
                let (of_codes, of_scales) = bytes.split_at(cols);
                for (code, byte) in codes[row * cols..][..cols].iter_mut().zip(of_codes) {
                    *code = *byte as i8;
                }
                for (scale, bytes) in scales[row * groups..][..groups].iter_mut().zip(of_scales.as_chunks().0)
                {
                    *scale = f32::from_le_bytes(*bytes);
                }
            }
        }
    }
}

/// Columns `cols` of the rows `positions`, as floats, into rows of `out` that are `stride` apart.
pub(super) fn widen(
    kernels: &Kernels,
    rows: &KvRows,
    positions: impl Iterator<Item = usize>,
    cols: Range<usize>,
    out: &mut [f32],
    stride: usize,
) {
    for (position, out) in positions.zip(out.chunks_mut(stride)) {
        let position = position % rows.rows;
        let (start, out) = (position * rows.cols, &mut out[..cols.len()]);
        match buffer(rows) {
            HostRows::F32(all) => out.copy_from_slice(&all[start + cols.start..start + cols.end]),
            HostRows::F16(all) => kernels.widen(&all[start + cols.start..start + cols.end], out),
            HostRows::Q8(codes, scales) => {
                let scales = &scales[position * rows.cols.div_ceil(Q8_GROUP)..];
                let mut col = cols.start;
                while col < cols.end {
                    let group = col / Q8_GROUP;
                    let end = cols.end.min((group + 1) * Q8_GROUP);
                    let out = &mut out[col - cols.start..end - cols.start];
                    kernels.scale_codes(&codes[start + col..start + end], scales[group], out);
                    col = end;
                }
            }
        }
    }
}

fn buffer(rows: &KvRows) -> &HostRows {
    let buffer: &dyn Any = rows.buffer.as_ref();
    buffer.downcast_ref().expect("KV rows are used with the backend that made them")
}

fn buffer_mut(rows: &mut KvRows) -> &mut HostRows {
    let buffer: &mut dyn Any = rows.buffer.as_mut();
    buffer.downcast_mut().expect("KV rows are used with the backend that made them")
}
