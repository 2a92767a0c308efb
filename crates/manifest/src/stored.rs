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

/// Values a scale stands for in compressed-tensors INT4 and MXFP4.
const GROUP: usize = 32;

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
            let (quant, element, side) = fp8(scales, rows, cols);
            (quant, shape.clone(), Some((element, vec![rows.div_ceil(side), cols.div_ceil(side)])))
        }
        Element::I32 if values.name.ends_with("_packed") && cols % GROUP == 0 => {
            let scales = (Element::Weight(Quant::BF16), vec![rows, cols / GROUP]);
            (Quant::Int4G32, vec![rows, cols / 8], Some(scales))
        }
        Element::U8 if values.name.ends_with("blocks") && cols % GROUP == 0 => {
            let groups = [&shape[..shape.len() - 1], &[cols / GROUP]].concat();
            (Quant::Mxfp4G32, [&groups[..], &[GROUP / 2]].concat(), Some((Element::U8, groups)))
        }
        Element::U8 if values.name.ends_with("_packed") && cols % GROUP == 0 => {
            (Quant::Mxfp4G32, vec![rows, cols / 2], Some((Element::U8, vec![rows, cols / GROUP])))
        }
        other => return Err(err_element(other)),
    };
    check_shape(values, &values_shape, role)?;
    let planes = quant.plane_bytes(rows, cols)?;
    check_bytes(values, planes.values)?;
    match (scales, scales_shape) {
        (None, None) => {}
        (Some(scales), Some((element, shape))) => {
            if scales.element != element {
                return Err(err_scales(
                    &format!("{} of type {}", Quoted(&scales.name), Quoted(scales.element.name())),
                    &element,
                ));
            }
            check_shape(scales, &shape, role)?;
            check_bytes(scales, planes.scales)?;
        }
        (Some(scales), None) => return Err(err_unasked_scales(&scales.name, quant)),
        (None, Some((element, _))) => return Err(err_scales("none", &element)),
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

/// Which FP8 it is, by its scales: their type, and the side of the square each covers. Powers of two come for squares of
/// 128 and of 32; where both fit a shape, they say the same.
fn fp8(scales: Option<&TensorEntry>, rows: usize, cols: usize) -> (Quant, Element, usize) {
    let Some(scales) = scales.filter(|scales| scales.element == Element::E8M0) else {
        return (Quant::Fp8B128, Element::Weight(Quant::F32), 128);
    };
    let large = [rows.div_ceil(128) as u64, cols.div_ceil(128) as u64];
    if scales.shape == large {
        (Quant::Fp8B128E8m0, Element::E8M0, 128)
    } else {
        (Quant::Fp8B32E8m0, Element::E8M0, 32)
    }
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

fn err_scales(found: &str, expected: &Element) -> Error {
    Error::corrupt(format!("its scales are {found}; expected {}", expected.name()))
}

fn err_unasked_scales(name: &str, quant: Quant) -> Error {
    Error::corrupt(format!(
        "{} scales a weight of type {}, which needs no scales",
        Quoted(name),
        quant.name()
    ))
}
