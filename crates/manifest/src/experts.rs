//! The routed experts of a layer: each a short list of extents.

use std::collections::BTreeMap;

use base::{Error, ExpertId, ExpertKey, Extent, LayerId, Quoted, Result};
use quant::Quant;
use spec::{ExpertPart, ModelSpec, Moe, Names, Role};

use crate::stored::Factor;
use crate::{Stored, err_extra, err_missing};

/// The experts of one layer that are read when they are called for. All have the same three shapes and types; where each
/// lies differs.
#[derive(Clone, Debug)]
pub struct LayerExperts {
    /// Gate, up and down, in this order.
    pub matrices: [ExpertMatrix; 3],
    /// The rows of gate and up take turns in one piece.
    pub alternating: bool,
    /// Per expert: gate values, [gate scales], up values, [up scales], down values, [down scales]; without those of up
    /// where they are the gate's.
    extents: Vec<Extent>,
    /// Per expert, of gate, up and down; empty when none has any.
    factors: Vec<[Option<Factor>; 3]>,
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
    /// The one expert that a layer without a router has: gate, up and down of its feed-forward network.
    pub(crate) fn of_dense(parts: &[Stored; 3]) -> Self {
        let extents = parts.iter().flat_map(|part| std::iter::once(part.values).chain(part.scales)).collect();
        let [gate, up, down] = parts;
        let factors = [gate.factor, up.factor, down.factor];
        let factors = if factors.iter().any(Option::is_some) { vec![factors] } else { Vec::new() };
        let matrices = [shape(gate), shape(up), shape(down)];
        Self { matrices, alternating: false, extents, factors, count: 1 }
    }

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

    /// What the three matrices of each expert are multiplied with; empty when none is.
    pub fn factors(&self) -> &[[Option<Factor>; 3]] {
        &self.factors
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
            Some(moe) => Some(collect_layer(stored, id, moe, names)?),
        });
    }
    // Stacked and single at once, or of a layer without experts.
    match stored.iter().find(|(role, _)| is_routed(role)) {
        Some((role, extra)) => Err(err_extra(&extra.name, *role)),
        None => Ok(layers),
    }
}

fn collect_layer(
    stored: &mut BTreeMap<Role, Stored>,
    layer: LayerId,
    moe: &Moe,
    names: &Names,
) -> Result<LayerExperts> {
    let Moe { experts: count, alternating, .. } = *moe;
    let mut matrices: Option<[ExpertMatrix; 3]> = None;
    let (mut extents, mut factors) = (Vec::new(), Vec::new());
    let stacks = take_stacks(stored, layer, alternating, names)?;
    for expert in 0..count {
        let mut parts = Vec::with_capacity(3);
        for (place, part) in ExpertPart::ALL.into_iter().enumerate() {
            let role = Role::Expert(ExpertKey { layer, expert: ExpertId(expert as u32) }, part);
            parts.push(match stacks.get(place) {
                Some(stack) => stack.slice(expert, count)?,
                None => stored.remove(&role).ok_or_else(|| err_missing(role, names))?,
            });
        }
        factors.push([parts[0].factor, parts[1].factor, parts[2].factor]);
        let mut shapes = [shape(&parts[0]), shape(&parts[1]), shape(&parts[2])];
        if alternating {
            shapes[..2].iter_mut().for_each(|matrix| matrix.rows /= 2);
            parts.remove(1);
        }
        if *matrices.get_or_insert(shapes) != shapes {
            return Err(err_uneven(&parts[0].name));
        }
        extents.extend(parts.iter().flat_map(|part| std::iter::once(part.values).chain(part.scales)));
    }
    let matrices = matrices.ok_or_else(|| Error::corrupt(format!("layer {} has no experts", layer.0)))?;
    if factors.iter().flatten().all(Option::is_none) {
        factors = Vec::new();
    }
    Ok(LayerExperts { matrices, alternating, extents, factors, count })
}

/// Whether a weight is part of routed experts.
pub(crate) fn is_routed(role: &Role) -> bool {
    matches!(role, Role::Expert(..) | Role::Stack(..) | Role::JointStack(_))
}

/// One matrix of every expert of a layer: the whole rows of each in a tensor, or half of them.
struct Stack {
    stored: Stored,
    /// Which half, where the tensor holds gates and ups.
    half: Option<u64>,
}

/// Gate, up and down as stacks; none when each expert has tensors of its own.
fn take_stacks(
    stored: &mut BTreeMap<Role, Stored>,
    layer: LayerId,
    alternating: bool,
    names: &Names,
) -> Result<Vec<Stack>> {
    let roles = ExpertPart::ALL.map(|part| Role::Stack(layer, part));
    let joint = Role::JointStack(layer);
    if !roles.iter().chain([&joint]).any(|role| stored.contains_key(role)) {
        return Ok(Vec::new());
    }
    let mut take = |role: Role| stored.remove(&role).ok_or_else(|| err_missing(role, names));
    let [gate, up, down] = roles;
    // A family that calls the joint one by a name has no other.
    if names.name(joint).is_some() {
        let both = take(joint)?;
        let half = |half| Stack { stored: both.clone(), half: Some(half).filter(|_| !alternating) };
        return Ok(vec![half(0), half(1), Stack { stored: take(down)?, half: None }]);
    }
    [gate, up, down].into_iter().map(|role| Ok(Stack { stored: take(role)?, half: None })).collect()
}

impl Stack {
    /// Expert `index` of `count`: stacks are contiguous, and so are their scales.
    fn slice(&self, index: usize, count: usize) -> Result<Stored> {
        let Self { stored, half } = self;
        let pieces = if half.is_some() { 2 * count } else { count };
        let planes = stored.quant.plane_bytes(stored.rows / pieces, stored.cols)?;
        let whole = |part: usize, extent: Option<Extent>| {
            (part * pieces) as u64 == extent.map_or(0, |extent| extent.len)
        };
        if !(stored.rows.is_multiple_of(pieces)
            && whole(planes.values, Some(stored.values))
            && whole(planes.scales, stored.scales))
        {
            return Err(Error::unsupported(format!(
                "tensor {} cannot be cut into {count} experts",
                Quoted(&stored.name)
            )));
        }
        let at = half.map_or(index as u64, |half| 2 * index as u64 + half);
        let cut = |extent: Extent| {
            let len = extent.len / pieces as u64;
            Extent { offset: extent.offset + at * len, len, ..extent }
        };
        let (values, scales) = (cut(stored.values), stored.scales.map(cut));
        let factor = stored.factor.map(|factor| {
            let offset = factor.extent.offset + 4 * index as u64;
            Factor { extent: Extent { offset, len: 4, ..factor.extent }, ..factor }
        });
        Ok(Stored {
            name: stored.name.clone(),
            rows: stored.rows / pieces,
            values,
            scales,
            factor,
            ..*stored
        })
    }
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
