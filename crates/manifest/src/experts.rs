//! The routed experts of a layer: each a short list of extents.

use std::collections::BTreeMap;

use base::{Error, ExpertId, ExpertKey, Extent, LayerId, Quoted, Result};
use quant::Quant;
use spec::{ExpertPart, ModelSpec, Names, Role};

use crate::{Stored, err_extra, err_missing};

/// The routed experts of one layer. All have the same three shapes and types; where each lies differs.
#[derive(Debug)]
pub struct LayerExperts {
    /// Gate, up and down, in this order.
    pub matrices: [ExpertMatrix; 3],
    /// Per expert: gate values, [gate scales], up values, [up scales], down values, [down scales].
    extents: Vec<Extent>,
    count: usize,
}

/// One of the three matrices every expert of a layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertMatrix {
    /// How it is spelled.
    pub quant: Quant,
    /// Output width.
    pub rows: usize,
    /// Input width.
    pub cols: usize,
    /// Its scales are an extent of their own, behind its values.
    pub scaled: bool,
}

impl LayerExperts {
    /// How many experts.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where one expert's bytes lie, in the order of `matrices`, values before scales.
    pub fn extents(&self, expert: ExpertId) -> &[Extent] {
        let pieces = self.extents.len() / self.count.max(1);
        let start = expert.0 as usize * pieces;
        self.extents.get(start..start + pieces).unwrap_or_default()
    }

    /// Bytes of one expert.
    pub fn expert_bytes(&self) -> u64 {
        self.extents(ExpertId(0)).iter().map(|extent| extent.len).sum()
    }

    /// Number of weights of all experts.
    pub fn parameters(&self) -> u64 {
        let one: usize = self.matrices.iter().map(|matrix| matrix.rows * matrix.cols).sum();
        one as u64 * self.count as u64
    }
}

/// Takes the routed experts out of `stored`, layer by layer.
pub(crate) fn collect(
    stored: &mut BTreeMap<Role, Stored>,
    spec: &ModelSpec,
    names: &Names,
) -> Result<Vec<Option<LayerExperts>>> {
    let mut layers = Vec::with_capacity(spec.layers.len());
    for (index, layer) in spec.layers.iter().enumerate() {
        let id = LayerId(index as u32);
        layers.push(match layer.moe() {
            None => None,
            Some(moe) => Some(collect_layer(stored, id, moe.experts, names)?),
        });
    }
    // Stacked and single at once, or of a layer without experts.
    match stored.iter().find(|(role, _)| matches!(role, Role::Expert(..) | Role::Stack(..))) {
        Some((role, extra)) => Err(err_extra(&extra.name, *role)),
        None => Ok(layers),
    }
}

fn collect_layer(
    stored: &mut BTreeMap<Role, Stored>,
    layer: LayerId,
    count: usize,
    names: &Names,
) -> Result<LayerExperts> {
    let stacked = ExpertPart::ALL.iter().any(|part| stored.contains_key(&Role::Stack(layer, *part)));
    let mut matrices: Option<[ExpertMatrix; 3]> = None;
    let mut extents = Vec::new();
    let mut stacks = Vec::new();
    if stacked {
        for part in ExpertPart::ALL {
            let role = Role::Stack(layer, part);
            stacks.push(stored.remove(&role).ok_or_else(|| err_missing(role, names))?);
        }
    }
    for expert in 0..count {
        let mut parts = Vec::with_capacity(3);
        for (place, part) in ExpertPart::ALL.into_iter().enumerate() {
            let role = Role::Expert(ExpertKey { layer, expert: ExpertId(expert as u32) }, part);
            parts.push(match stacks.get(place) {
                Some(stack) => slice(stack, expert, count)?,
                None => stored.remove(&role).ok_or_else(|| err_missing(role, names))?,
            });
        }
        let shapes = [shape(&parts[0]), shape(&parts[1]), shape(&parts[2])];
        if *matrices.get_or_insert(shapes) != shapes {
            return Err(err_uneven(&parts[0].name));
        }
        extents.extend(parts.iter().flat_map(|part| std::iter::once(part.values).chain(part.scales)));
    }
    let matrices = matrices.ok_or_else(|| Error::corrupt(format!("layer {} has no experts", layer.0)))?;
    Ok(LayerExperts { matrices, extents, count })
}

/// Expert `index` of a stack of `count`: stacks are contiguous, and stored without scales of their own.
fn slice(stack: &Stored, index: usize, count: usize) -> Result<Stored> {
    let len = stack.values.len / count as u64;
    let whole =
        stack.scales.is_none() && stack.rows.is_multiple_of(count) && len * count as u64 == stack.values.len;
    if !whole {
        return Err(Error::unsupported(format!(
            "tensor {} cannot be cut into {count} experts",
            Quoted(&stack.name)
        )));
    }
    let values = Extent { offset: stack.values.offset + index as u64 * len, len, ..stack.values };
    Ok(Stored { name: stack.name.clone(), rows: stack.rows / count, values, ..*stack })
}

fn shape(stored: &Stored) -> ExpertMatrix {
    let Stored { quant, rows, cols, scales, .. } = stored;
    ExpertMatrix { quant: *quant, rows: *rows, cols: *cols, scaled: scales.is_some() }
}

fn err_uneven(name: &str) -> Error {
    Error::unsupported(format!(
        "the expert of tensor {} is stored in another type than those before it",
        Quoted(name)
    ))
}
