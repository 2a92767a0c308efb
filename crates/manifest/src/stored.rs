//! One weight as it lies in the files.

use base::{Context, Error, Extent, Quoted, Result};
use formats::{Checkpoint, Element, TensorEntry};
use quant::Quant;
use spec::{LayerWeight, ModelSpec, Role};

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
    /// What all of it is multiplied with, when that is stored apart.
    pub factor: Option<Factor>,
}

/// Where the f32 lies that a whole weight is multiplied with. A stack of experts has one for each, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Where it lies.
    pub extent: Extent,
    /// It is the inverse that is stored.
    pub divides: bool,
}

impl Factor {
    /// The factor that four bytes of the file spell.
    ///
    /// Fails when it is not finite, and when it is 0.
    pub fn spelled(&self, bytes: [u8; 4]) -> Result<f32> {
        let stored = f32::from_le_bytes(bytes);
        let factor = if self.divides { 1.0 / stored } else { stored };
        if !factor.is_finite() || factor == 0.0 {
            return Err(Error::corrupt(format!(
                "the scale of the whole weight is {stored}; expected a finite number other than 0"
            )));
        }
        Ok(factor)
    }
}

impl Stored {
    /// Bytes in the files.
    pub fn bytes(&self) -> u64 {
        self.values.len + self.scales.map_or(0, |scales| scales.len)
    }
}

/// Values a scale stands for in compressed-tensors INT4 and MXFP4.
const GROUP: usize = 32;

/// Values a scale stands for in NVFP4.
const SMALL_GROUP: usize = 16;

/// A table of whole numbers as it lies in the files: the experts of each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What the file calls it.
    pub name: String,
    /// Tokens.
    pub rows: usize,
    /// Experts of each.
    pub cols: usize,
    /// Where it lies.
    pub extent: Extent,
    /// Bytes of a number: 4 or 8, of the lowest value first.
    pub number_bytes: usize,
}

impl Parts {
    /// The table that these tensors are, which must be one.
    pub(crate) fn table(self, checkpoint: &Checkpoint, spec: &ModelSpec, role: Role) -> Result<Table> {
        let shape = spec.shape(role).ok_or_else(|| Error::corrupt(format!("this model has no {role}")));
        let others = self.scales.or(self.shape).or(self.factor).or(self.divisor);
        let Some(tensor) = self.values.or(others).map(|index| &checkpoint.tensors[index]) else {
            return Err(Error::corrupt(format!("{role} is missing")));
        };
        let table = || {
            let shape = shape?;
            let (rows, cols) = matrix(&shape);
            let number_bytes = match tensor.element {
                _ if others.is_some() => return Err(err_unasked_scales(&tensor.name, Quant::F32)),
                Element::I32 => 4,
                Element::I64 => 8,
                _ => return Err(err_whole_numbers(&tensor.element)),
            };
            check_shape(tensor, &shape, role)?;
            check_bytes(tensor, rows * cols * number_bytes)?;
            Ok(Table { name: tensor.name.clone(), rows, cols, extent: tensor.extent, number_bytes })
        };
        table().within(|| format!("tensor {}", Quoted(&tensor.name))).within(|| file_of(checkpoint, tensor))
    }

    /// The weight that these tensors are, checked against what the spec asks.
    pub(crate) fn resolve(self, checkpoint: &Checkpoint, spec: &ModelSpec, role: Role) -> Result<Stored> {
        let tensor = |index: usize| &checkpoint.tensors[index];
        let Some(values) = self.values.map(tensor) else {
            let missing = Error::corrupt(format!("belongs to the {role}, which is missing"));
            let parts = self.scales.or(self.shape).or(self.factor).or(self.divisor);
            return Err(match parts.map(tensor) {
                Some(orphan) => missing
                    .within(format!("tensor {}", Quoted(&orphan.name)))
                    .within(file_of(checkpoint, orphan)),
                None => missing,
            });
        };
        let factor = match (self.factor.map(tensor), self.divisor.map(tensor)) {
            (Some(factor), Some(divisor)) => Err(err_two_factors(&factor.name, &divisor.name)),
            (Some(factor), None) => Ok(Some((factor, false))),
            (None, divisor) => Ok(divisor.map(|divisor| (divisor, true))),
        };
        factor
            .and_then(|factor| {
                let stored = resolve(values, self.scales.map(tensor), spec, role)?;
                with_factor(stored, factor, spec, role)
            })
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
    let cut = without_padding(values, &shape, role);
    let values = cut.as_ref().unwrap_or(values);
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
        Element::U8 if scales.is_some_and(is_e4m3) && cols % GROUP == 0 => {
            let scales = (Element::F8E4M3, vec![rows, cols / SMALL_GROUP]);
            (Quant::Nvfp4G16, vec![rows, cols / 2], Some(scales))
        }
        Element::U8 if values.name.ends_with("_packed") && cols % GROUP == 0 => {
            (Quant::Mxfp4G32, vec![rows, cols / 2], Some((Element::U8, vec![rows, cols / GROUP])))
        }
        Element::I8 if cols % GROUP == 0 => {
            (Quant::Mxfp4G32, vec![rows, cols / 2], Some((Element::E8M0, vec![rows, cols / GROUP])))
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
        factor: None,
    })
}

/// Rates of decay may be padded to the next multiple of so many, as Kimi K3's are.
const RATES_PADDED_TO: u64 = 128;

/// The tensor without what pads it.
fn without_padding(tensor: &TensorEntry, shape: &[usize], role: Role) -> Option<TensorEntry> {
    let Element::Weight(quant) = &tensor.element else { return None };
    let (Role::Layer(_, LayerWeight::DecayRate), [wanted]) = (role, shape) else { return None };
    let (found, wanted) = (tensor.shape.iter().product::<u64>(), *wanted as u64);
    let padded = found > wanted && found == wanted.next_multiple_of(RATES_PADDED_TO);
    if !padded || quant.block_len() != 1 || !tensor.extent.len.is_multiple_of(found) {
        return None;
    }
    let extent = Extent { len: tensor.extent.len / found * wanted, ..tensor.extent };
    Some(TensorEntry { shape: vec![wanted], extent, ..tensor.clone() })
}

fn is_e4m3(tensor: &TensorEntry) -> bool {
    tensor.element == Element::F8E4M3
}

/// `stored` with the factor of its own that is published with it, of which `true` says that it divides.
fn with_factor(
    stored: Stored,
    factor: Option<(&TensorEntry, bool)>,
    spec: &ModelSpec,
    role: Role,
) -> Result<Stored> {
    let Some((tensor, divides)) = factor else {
        return if stored.quant == Quant::Nvfp4G16 { Err(err_no_factor()) } else { Ok(stored) };
    };
    // Vectors are read whole, and the embedding row by row, as their bytes say.
    if stored.rows == 1 || role == Role::Embedding {
        return Err(err_unasked_scales(&tensor.name, stored.quant));
    }
    let count = match role {
        Role::Stack(..) | Role::JointStack(_) => {
            spec.shape(role).and_then(|shape| shape.first().copied()).unwrap_or(1)
        }
        _ => 1,
    };
    let values: u64 = tensor.shape.iter().product();
    if tensor.element != Element::Weight(Quant::F32) || values != count as u64 {
        return Err(err_factor(tensor, count));
    }
    check_bytes(tensor, 4 * count)?;
    Ok(Stored { factor: Some(Factor { extent: tensor.extent, divides }), ..stored })
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

/// Dimensions of 1 may be told or left out.
fn check_shape(tensor: &TensorEntry, expected: &[usize], role: Role) -> Result<()> {
    let found = tensor.shape.iter().copied().filter(|n| *n != 1);
    if found.eq(expected.iter().map(|n| *n as u64).filter(|n| *n != 1)) {
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

fn err_whole_numbers(element: &Element) -> Error {
    Error::corrupt(format!("it is of type {}; expected I32 or I64", Quoted(element.name())))
}

fn err_two_factors(factor: &str, divisor: &str) -> Error {
    Error::corrupt(format!("it has two scales for all of it, {} and {}", Quoted(factor), Quoted(divisor)))
}

fn err_no_factor() -> Error {
    Error::corrupt(
        "it is NVFP4 without the scale of the whole weight; expected a `weight_scale_2` or a `weight_global_scale`",
    )
}

fn err_factor(tensor: &TensorEntry, count: usize) -> Error {
    Error::corrupt(format!(
        "{} is of type {} and shape {:?}; expected {count} of type F32, to scale the whole weight with",
        Quoted(&tensor.name),
        Quoted(tensor.element.name()),
        tensor.shape
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

#[cfg(test)]
mod tests {
    use base::FileId;

    use super::*;

    #[test]
    fn a_factor_is_a_finite_number_other_than_zero() {
        let extent = Extent { file: FileId(0), offset: 0, len: 4 };
        for (stored, factor, inverse) in [
            (4.0, Some(4.0), Some(0.25)),
            (-0.5, Some(-0.5), Some(-2.0)),
            (0.0, None, None),
            (f32::INFINITY, None, None),
            (f32::NAN, None, None),
        ] {
            for (divides, expected) in [(false, factor), (true, inverse)] {
                let found = Factor { extent, divides }.spelled(f32::to_le_bytes(stored));
                assert_eq!(found.ok(), expected, "{stored}, {divides}");
            }
        }
    }
}
