//! Gated DeltaNet (arXiv:2412.06464) and Kimi Delta Attention (arXiv:2510.26692): a state a head in place of rows a token.

use backend::{Backend, DeltaQuery, Heads, Opening, Tensor, Weight};
use base::{LayerId, Result};
use spec::DeltaNet;

use super::Projection;
use crate::step::Step;

pub(crate) struct Delta {
    pub(crate) net: DeltaNet,
    pub(crate) inputs: Inputs,
    pub(crate) rates: Rates,
    pub(crate) convolution: Weight,
    pub(crate) rate: Weight,
    pub(crate) bias: Weight,
    pub(crate) norm: Weight,
    pub(crate) eps: f32,
    pub(crate) out: Weight,
}

/// How queries, keys, values and output gates are projected.
pub(crate) enum Inputs {
    /// Queries, keys and values each by a matrix of its own.
    Apart { parts: [Weight; 3], gate: Projection },
    /// Queries, keys and values by one.
    Mixed { mixed: Weight, gate: Weight },
    /// All by one, head of keys by head of keys.
    Joint(Weight),
}

/// How strengths and decays are projected.
pub(crate) enum Rates {
    Apart { strength: Weight, decay: Projection },
    Joint(Weight),
}

impl Delta {
    /// `[tokens, hidden]` to `[tokens, hidden]`; what the sequences keep with these tokens is written on the way.
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        let (net, backend) = (&self.net, step.backend);
        let (inputs, gate) = self.inputs.forward(x, net, backend)?;
        let (strength, decay) = self.rates.forward(x, net, backend)?;

        let mut out = backend.tensor(x.rows, net.values())?;
        for (entry, span) in step.entries.iter_mut().zip(&step.spans).filter(|(_, span)| !span.is_empty()) {
            let mut query = DeltaQuery {
                net,
                inputs: &inputs,
                strength: &strength,
                decay: &decay,
                convolution: &self.convolution,
                rate: &self.rate,
                bias: &self.bias,
                rows: span.rows.clone(),
            };
            let (layer, first) = (layer.0 as usize, span.rows.start);
            entry.kv.recur(layer, span.start, span.rows.len(), &mut |stretch, before, to| {
                query.rows = first + stretch.start..first + stretch.end;
                backend.delta_net(&query, before, to, &mut out)
            })?;
        }
        let heads = Heads { count: net.value_heads, width: net.value, offset: 0 };
        backend.rms_norm_heads(&mut out, heads, &self.norm, self.eps)?;
        backend.gate(&mut out, &gate, if net.kimi.is_some() { Opening::Sigmoid } else { Opening::Silu })?;
        backend.matmul(&out, &self.out)
    }
}

impl Inputs {
    /// What is convolved, `[tokens, channels]`, and output gates, `[tokens, values]`.
    fn forward(&self, x: &Tensor, net: &DeltaNet, backend: &dyn Backend) -> Result<(Tensor, Tensor)> {
        let joint = match self {
            Self::Apart { parts, gate } => {
                let mixed = side_by_side(x, parts, net, backend)?;
                return Ok((mixed, gate.forward(x, backend)?));
            }
            Self::Mixed { mixed, gate } => return Ok((backend.matmul(x, mixed)?, backend.matmul(x, gate)?)),
            Self::Joint(joint) => backend.matmul(x, joint)?,
        };
        // Of each head of keys: its query, its key, its values and their gates.
        let (count, key, values) = (net.key_heads, net.key, net.per_key() * net.value);
        let from = |offset| Heads { count, width: 2 * (key + values), offset };
        let to = |width, offset| Heads { count, width, offset };
        let mut mixed = backend.tensor(x.rows, net.channels())?;
        backend.copy_heads(&joint, from(0), &mut mixed, to(key, 0), key)?;
        backend.copy_heads(&joint, from(key), &mut mixed, to(key, count * key), key)?;
        backend.copy_heads(&joint, from(2 * key), &mut mixed, to(values, 2 * count * key), values)?;
        let mut gate = backend.tensor(x.rows, net.values())?;
        backend.copy_heads(&joint, from(2 * key + values), &mut gate, to(values, 0), values)?;
        Ok((mixed, gate))
    }
}

/// Queries, keys and values of each token in one row, `[tokens, channels]`.
fn side_by_side(x: &Tensor, parts: &[Weight; 3], net: &DeltaNet, backend: &dyn Backend) -> Result<Tensor> {
    let mut all = backend.tensor(x.rows, net.channels())?;
    let mut offset = 0;
    for part in parts {
        let one = backend.matmul(x, part)?;
        let heads = |width, offset| Heads { count: 1, width, offset };
        backend.copy_heads(&one, heads(one.cols, 0), &mut all, heads(net.channels(), offset), one.cols)?;
        offset += one.cols;
    }
    Ok(all)
}

impl Rates {
    /// Strengths, `[tokens, value_heads]`, and what decays are computed from, `[tokens, decays]`.
    fn forward(&self, x: &Tensor, net: &DeltaNet, backend: &dyn Backend) -> Result<(Tensor, Tensor)> {
        let joint = match self {
            Self::Apart { strength, decay } => {
                return Ok((backend.matmul(x, strength)?, decay.forward(x, backend)?));
            }
            Self::Joint(joint) => backend.matmul(x, joint)?,
        };
        let (count, each) = (net.key_heads, net.per_key());
        let apart = |offset| -> Result<Tensor> {
            let mut part = backend.tensor(x.rows, net.value_heads)?;
            let from = Heads { count, width: 2 * each, offset };
            backend.copy_heads(&joint, from, &mut part, Heads { count, width: each, offset: 0 }, each)?;
            Ok(part)
        };
        Ok((apart(0)?, apart(each)?))
    }
}
