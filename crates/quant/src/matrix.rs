//! A borrowed quantized matrix, cut into rows.

use std::fmt;

use base::{Error, Result};

use crate::{Quant, Row};

/// A quantized matrix, [rows, cols], row-major, over borrowed bytes.
///
/// Formats that keep their scales apart have them in a second plane; for all others it is empty.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    quant: Quant,
    rows: usize,
    cols: usize,
    values: &'a [u8],
    scales: &'a [u8],
    row_bytes: usize,
    scale_row_bytes: usize,
    /// Rows one row of scales covers.
    rows_per_scale: usize,
    /// Rows of the first row of scales that lie before the matrix: a cut may fall inside an fp8 block.
    skipped: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix over exactly the bytes [`Quant::plane_bytes`] asks for; fails otherwise.
    pub fn new(quant: Quant, rows: usize, cols: usize, values: &'a [u8], scales: &'a [u8]) -> Result<Self> {
        let planes = quant.plane_bytes(rows, cols)?;
        if (values.len(), scales.len()) != (planes.values, planes.scales) {
            return Err(err_plane_len(quant, rows, cols, values.len(), scales.len()));
        }
        Ok(Self {
            quant,
            rows,
            cols,
            values,
            scales,
            row_bytes: quant.row_bytes(cols)?,
            scale_row_bytes: quant.scale_row_bytes(cols),
            rows_per_scale: quant.format().scales.as_ref().map_or(1, |scales| scales.rows),
            skipped: 0,
        })
    }

    /// How its bytes are to be read.
    pub fn quant(&self) -> Quant {
        self.quant
    }

    /// Number of rows: outputs of a projection.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: inputs of a projection.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `row`.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn row(&self, row: usize) -> Row<'a> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let scale_row = (self.skipped + row) / self.rows_per_scale;
        Row {
            values: &self.values[row * self.row_bytes..][..self.row_bytes],
            scales: &self.scales[scale_row * self.scale_row_bytes..][..self.scale_row_bytes],
        }
    }

    /// The matrix of `count` rows from row `start` on.
    ///
    /// # Panics
    /// When they are not all there.
    pub fn rows_from(&self, start: usize, count: usize) -> Self {
        assert!(
            start.checked_add(count).is_some_and(|end| end <= self.rows),
            "{count} rows from row {start} of {}",
            self.rows
        );
        let first = self.skipped + start;
        let scale_rows = first / self.rows_per_scale..(first + count).div_ceil(self.rows_per_scale);
        Self {
            rows: count,
            values: &self.values[start * self.row_bytes..][..count * self.row_bytes],
            scales: &self.scales
                [scale_rows.start * self.scale_row_bytes..scale_rows.end * self.scale_row_bytes],
            skipped: first % self.rows_per_scale,
            ..*self
        }
    }
}

impl fmt::Debug for Matrix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}, {}]", self.quant, self.rows, self.cols)
    }
}

fn err_plane_len(quant: Quant, rows: usize, cols: usize, values: usize, scales: usize) -> Error {
    match quant.plane_bytes(rows, cols) {
        Ok(expected) => Error::corrupt(format!(
            "{rows} x {cols} values of {quant} take {} + {} bytes of values and scales, found {values} + {scales}",
            expected.values, expected.scales
        )),
        Err(error) => error,
    }
}
