//! A borrowed quantized matrix, cut into rows.

use std::fmt;

use base::{Error, Result};

use crate::{Quant, Row};

/// A quantized matrix, [rows, cols], row-major, over borrowed bytes.
///
/// Formats that keep their scales apart have them in a second plane; for all others it is empty. [`Matrix::row`] knows
/// nothing of the factor of the whole matrix.
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
    /// The first row among those in the bytes, and how many it is to the next.
    first: usize,
    step: usize,
    factor: f32,
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
            first: 0,
            step: 1,
            factor: 1.0,
        })
    }

    /// The even rows and the odd ones, of a matrix that holds two by turns.
    ///
    /// # Panics
    /// When the number of rows is odd.
    pub fn alternating(self) -> [Self; 2] {
        assert!(self.rows.is_multiple_of(2), "two matrices of {} rows", self.rows);
        [0, 1].map(|place| Self {
            rows: self.rows / 2,
            first: self.first + place * self.step,
            step: 2 * self.step,
            ..self
        })
    }

    /// `count` rows from `first` on.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn band(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows, "rows {first} to {} of {}", first + count, self.rows);
        Self { rows: count, first: self.first + first * self.step, ..self }
    }

    /// The same, all its values times `factor`.
    pub fn times(self, factor: f32) -> Self {
        Self { factor: self.factor * factor, ..self }
    }

    /// What all values are multiplied with, beyond what their bytes say: 1, but for NVFP4.
    pub fn factor(&self) -> f32 {
        self.factor
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
        let row = self.first + row * self.step;
        let scale_row = row / self.rows_per_scale;
        Row {
            values: &self.values[row * self.row_bytes..][..self.row_bytes],
            scales: &self.scales[scale_row * self.scale_row_bytes..][..self.scale_row_bytes],
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
