//! Gated DeltaNet (arXiv:2412.06464): a state a head in place of rows a token.

use backend::{Backend, DeltaQuery, Heads, Opening, Tensor, Weight};
use base::{LayerId, Result};
use spec::DeltaNet;

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
    Apart { mixed: Weight, gate: Weight },
    Joint(Weight),
}

/// How strengths and decays are projected.
pub(crate) enum Rates {
    Apart { strength: Weight, decay: Weight },
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
        backend.gate(&mut out, &gate, Opening::Silu)?;
        backend.matmul(&out, &self.out)
    }
}

impl Inputs {
    /// What is convolved, `[tokens, channels]`, and output gates, `[tokens, values]`.
    fn forward(&self, x: &Tensor, net: &DeltaNet, backend: &dyn Backend) -> Result<(Tensor, Tensor)> {
        let joint = match self {
            Self::Apart { mixed, gate } => return Ok((backend.matmul(x, mixed)?, backend.matmul(x, gate)?)),
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

impl Rates {
    /// Strengths and decays, `[tokens, value_heads]` each.
    fn forward(&self, x: &Tensor, net: &DeltaNet, backend: &dyn Backend) -> Result<(Tensor, Tensor)> {
        let joint = match self {
            Self::Apart { strength, decay } => {
                return Ok((backend.matmul(x, strength)?, backend.matmul(x, decay)?));
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
