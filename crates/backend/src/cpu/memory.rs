//! What this backend keeps behind the opaque buffers.

use std::any::Any;
use std::mem;
use std::sync::Arc;

use base::{Pinned, Result};
use quant::{Matrix, Quant};

use super::spares::Spares;
use crate::{Buffer, Tensor, Weight};

/// Numbers of a tensor, row-major.
struct HostTensor {
    values: Vec<f32>,
    /// Where they go when it is no more.
    spares: Arc<Spares>,
}

impl Buffer for HostTensor {}

impl Drop for HostTensor {
    fn drop(&mut self) {
        self.spares.put(mem::take(&mut self.values));
    }
}

/// Bytes of a weight as the file has them.
struct HostWeight {
    values: Pinned,
    scales: Pinned,
    /// A weight of one row spelled out as well: norms and biases are read whole each time.
    vector: Vec<f32>,
}

impl Buffer for HostWeight {}

pub(super) fn tensor(rows: usize, cols: usize, values: Vec<f32>, spares: &Arc<Spares>) -> Tensor {
    assert_eq!(values.len(), rows * cols, "a tensor holds rows x cols numbers");
    Tensor::new(rows, cols, Box::new(HostTensor { values, spares: spares.clone() }))
}

pub(super) fn host(x: &Tensor) -> &[f32] {
    let buffer: &dyn Any = x.buffer.as_ref();
    let host: &HostTensor = buffer.downcast_ref().expect("a tensor is used with the backend that made it");
    &host.values
}

pub(super) fn host_mut(x: &mut Tensor) -> &mut [f32] {
    let buffer: &mut dyn Any = x.buffer.as_mut();
    let host: &mut HostTensor =
        buffer.downcast_mut().expect("a tensor is used with the backend that made it");
    &mut host.values
}

pub(super) fn weight(
    quant: Quant,
    rows: usize,
    cols: usize,
    values: Pinned,
    scales: Pinned,
) -> Result<Weight> {
    let whole = Matrix::new(quant, rows, cols, &values, &scales)?;
    let mut vector = Vec::new();
    if rows == 1 {
        vector.resize(cols, 0.0);
        quant.dequantize(whole.row(0), &mut vector);
    }
    Ok(Weight::new(quant, rows, cols, Box::new(HostWeight { values, scales, vector })))
}

fn host_weight(weight: &Weight) -> &HostWeight {
    let buffer: &dyn Any = weight.buffer.as_ref();
    buffer.downcast_ref().expect("a weight is used with the backend that made it")
}

/// A weight, row by row.
pub(super) fn matrix(weight: &Weight) -> Matrix<'_> {
    let host = host_weight(weight);
    Matrix::new(weight.quant, weight.rows, weight.cols, &host.values, &host.scales)
        .expect("the lengths were checked when the weight was placed")
        .times(weight.factor)
}

/// A weight of one row.
pub(super) fn vector(weight: &Weight) -> &[f32] {
    let vector = &host_weight(weight).vector;
    assert_eq!(vector.len(), weight.cols, "a vector has one row");
    vector
}
