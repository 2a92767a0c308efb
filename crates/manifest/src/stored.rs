//! One weight as it lies in the files.

use base::{Context, Error, Extent, Quoted, Result};
use formats::{Checkpoint, Element, TensorEntry};
use quant::Quant;
use spec::{ModelSpec, Role};

use crate::claims::{Parts, file_of};

/// A weight as it lies in the files: how it is spelled, its shape, and where its bytes are.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What the file calls it.
    pub name: String,
    /// How it is spelled.
    pub quant: Quant,
    /// All dimensions but the last, multiplied: 1 for a vector.
    pub rows: usize,
    /// The last dimension.
    pub cols: usize,
    /// Where its values lie.
    pub values: Extent,
    /// Where its scales lie, when they are stored apart.
    pub scales: Option<Extent>,
}

impl Stored {
    /// Bytes in the files.
    pub fn bytes(&self) -> u64 {
        self.values.len + self.scales.map_or(0, |scales| scales.len)
    }
}

/// Columns and rows of a scale's tile in DeepSeek's FP8.
const FP8_TILE: usize = 128;
/// Values a scale stands for in compressed-tensors INT4.
const INT4_GROUP: usize = 32;

impl Parts {
    /// The weight that these tensors are, checked against what the spec asks.
    pub(crate) fn resolve(self, checkpoint: &Checkpoint, spec: &ModelSpec, role: Role) -> Result<Stored> {
        let tensor = |index: usize| &checkpoint.tensors[index];
        let Some(values) = self.values.map(tensor) else {
            let missing = Error::corrupt(format!("belongs to the {role}, which is missing"));
            return Err(match self.scales.or(self.shape).map(tensor) {
                Some(orphan) => missing
                    .within(format!("tensor {}", Quoted(&orphan.name)))
                    .within(file_of(checkpoint, orphan)),
                None => missing,
            });
        };
        resolve(values, self.scales.map(tensor), spec, role)
            .within(|| format!("tensor {}", Quoted(&values.name)))
            .within(|| file_of(checkpoint, values))
    }
}

fn resolve(
    values: &TensorEntry,
    scales: Option<&TensorEntry>,
    spec: &ModelSpec,
    role: Role,
) -> Result<Stored> {
    let shape = spec.shape(role).ok_or_else(|| Error::corrupt(format!("this model has no {role}")))?;
    let (rows, cols) = matrix(&shape);
    let (quant, values_shape, scales_shape) = match &values.element {
        Element::Weight(quant) => (*quant, shape.clone(), None),
        Element::F8E4M3 => {
            let tiles = vec![rows.div_ceil(FP8_TILE), cols.div_ceil(FP8_TILE)];
            (Quant::Fp8B128, shape.clone(), Some((Quant::F32, tiles)))
        }
        Element::I32 if values.name.ends_with("_packed") && cols % INT4_GROUP == 0 => {
            let groups = vec![rows, cols / INT4_GROUP];
            (Quant::Int4G32, vec![rows, cols / 8], Some((Quant::BF16, groups)))
        }
        other => return Err(err_element(other)),
    };
    check_shape(values, &values_shape, role)?;
    let planes = quant.plane_bytes(rows, cols)?;
    check_bytes(values, planes.values)?;
    match (scales, scales_shape) {
        (None, None) => {}
        (Some(scales), Some((element, shape))) => {
            if scales.element != Element::Weight(element) {
                return Err(err_scales(
                    &format!("{} of type {}", Quoted(&scales.name), Quoted(scales.element.name())),
                    element,
                ));
            }
            check_shape(scales, &shape, role)?;
            check_bytes(scales, planes.scales)?;
        }
        (Some(scales), None) => return Err(err_unasked_scales(&scales.name, quant)),
        (None, Some((element, _))) => return Err(err_scales("none", element)),
    }
    Ok(Stored {
        name: values.name.clone(),
        quant,
        rows,
        cols,
        values: values.extent,
        scales: scales.map(|scales| scales.extent),
    })
}

fn matrix(shape: &[usize]) -> (usize, usize) {
    match shape {
        [outer @ .., cols] => (outer.iter().product(), *cols),
        [] => (1, 1),
    }
}

fn check_shape(tensor: &TensorEntry, expected: &[usize], role: Role) -> Result<()> {
    if tensor.shape.iter().copied().eq(expected.iter().map(|n| *n as u64)) {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "{} has shape {:?}; {role} must be {expected:?}",
        Quoted(&tensor.name),
        tensor.shape
    )))
}

fn check_bytes(tensor: &TensorEntry, expected: usize) -> Result<()> {
    if tensor.extent.len == expected as u64 {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "{} has {} bytes; expected {expected}",
        Quoted(&tensor.name),
        tensor.extent.len
    )))
}

fn err_element(element: &Element) -> Error {
    let runs: Vec<&str> = Quant::ALL.iter().map(|quant| quant.name()).collect();
    Error::unsupported(format!(
        "type {} is not implemented; this engine reads {}",
        Quoted(element.name()),
        runs.join(", ")
    ))
}

fn err_scales(found: &str, expected: Quant) -> Error {
    Error::corrupt(format!("its scales are {found}; expected {}", expected.name()))
}

fn err_unasked_scales(name: &str, quant: Quant) -> Error {
    Error::corrupt(format!(
        "{} scales a weight of type {}, which needs no scales",
        Quoted(name),
        quant.name()
    ))
}
