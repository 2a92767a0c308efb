//! From a tensor's name to what it is for.
//!
//! A pattern is a name with `{layer}` and `{expert}` in place of numbers. Looking a name up cuts its numbers out and
//! asks a hash map, so half a million names cost a fraction of a second.

use std::collections::HashMap;
use std::ops::Range;

use base::{ExpertKey, LayerId};

use crate::{ModelSpec, Role, Slot};

/// Names, and what the tensors are for that bear them.
pub type Table = &'static [(&'static str, Slot)];

/// The names of one family's tensors, ready to be asked.
#[derive(Debug)]
pub struct Names {
    slots: HashMap<String, Slot>,
    tables: &'static [Table],
    skips: &'static [Skip],
    prefix: &'static str,
    /// The layers past the last one that only predict several tokens ahead.
    mtp: Range<u32>,
}

/// Tensors that are left out by rule: parts of the published model that producing text does not need.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    /// Names that begin like this.
    pub prefix: &'static str,
    /// What they are, in a word or two.
    pub reason: &'static str,
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The weight has this role.
    Role(Role),
    /// The tensor is left out by rule, for this reason.
    Skip(&'static str),
    /// The family has no such tensor.
    Unknown,
}

impl Names {
    /// The names of `tables`, which may all have `prefix` before them or within, and the rules of `skips`, for this model.
    pub fn new(
        tables: &'static [Table],
        prefix: &'static str,
        skips: &'static [Skip],
        spec: &ModelSpec,
    ) -> Self {
        let key = |name: &str| name.replace("{layer}", "#").replace("{expert}", "#");
        let slots =
            tables.iter().flat_map(|table| table.iter()).map(|(name, slot)| (key(name), *slot)).collect();
        let layers = spec.layers.len() as u32;
        Self { slots, tables, skips, prefix, mtp: layers..layers + spec.mtp_layers as u32 }
    }

    /// What the tensor with this role is called, without a prefix.
    pub fn name(&self, role: Role) -> Option<String> {
        self.every_name(role).next()
    }

    /// All that it may be called.
    pub fn every_name(&self, role: Role) -> impl Iterator<Item = String> {
        let (slot, layer, expert) = match role {
            Role::Layer(layer, weight) => (Slot::Layer(weight), layer.0, 0),
            Role::Stack(layer, part) => (Slot::Stack(part), layer.0, 0),
            Role::JointStack(layer) => (Slot::JointStack, layer.0, 0),
            Role::Expert(key, part) => (Slot::Expert(part), key.layer.0, key.expert.0),
            whole => (Slot::Model(whole), 0, 0),
        };
        let fits = self.tables.iter().flat_map(|table| table.iter()).filter(move |(_, other)| *other == slot);
        fits.map(move |(pattern, _)| {
            pattern.replace("{layer}", &layer.to_string()).replace("{expert}", &expert.to_string())
        })
    }

    /// What the tensor `name` is for.
    pub fn claim(&self, name: &str) -> Claim {
        if let Some(skip) = self.skips.iter().find(|skip| name.starts_with(skip.prefix)) {
            return Claim::Skip(skip.reason);
        }
        let name = &name.replacen(self.prefix, "", 1);
        let Some((key, numbers)) = cut_numbers(name) else { return Claim::Unknown };
        // The layers that predict several tokens ahead follow the last one, and hold whatever they like.
        let numbered = name.starts_with("model.layers.") || name.starts_with("blk.");
        if numbered && numbers.first().is_some_and(|layer| self.mtp.contains(layer)) {
            return Claim::Skip("multi-token prediction");
        }
        match (self.slots.get(&key), numbers.as_slice()) {
            (Some(Slot::Model(role)), []) => Claim::Role(*role),
            (Some(Slot::Layer(weight)), [layer]) => Claim::Role(Role::Layer(LayerId(*layer), *weight)),
            (Some(Slot::Stack(part)), [layer]) => Claim::Role(Role::Stack(LayerId(*layer), *part)),
            (Some(Slot::JointStack), [layer]) => Claim::Role(Role::JointStack(LayerId(*layer))),
            (Some(Slot::Expert(part)), [layer, expert]) => {
                Claim::Role(Role::Expert(ExpertKey::new(*layer, *expert), *part))
            }
            _ => Claim::Unknown,
        }
    }
}

/// `a.12.b.5.c` becomes `a.#.b.#.c` and `[12, 5]`; `None` for a number that is no index (too large, or spelled with a
/// leading zero, which would give one weight two names).
fn cut_numbers(name: &str) -> Option<(String, Vec<u32>)> {
    let (mut key, mut numbers) = (String::with_capacity(name.len()), Vec::new());
    for part in name.split('.') {
        if !key.is_empty() {
            key.push('.');
        }
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            let canonical = part == "0" || !part.starts_with('0');
            numbers.push(part.parse().ok().filter(|_| canonical)?);
            key.push('#');
        } else {
            key.push_str(part);
        }
    }
    Some((key, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExpertPart, Ffn, Gate, LayerSpec, LayerWeight, Mixer, Mla, Rope, RopePairs, Scope, Stretch};

    fn mla() -> Mixer {
        let rope = Rope { dims: 2, theta: 1e4, pairs: RopePairs::Adjacent, stretch: Stretch::None };
        let (heads, latent, nope, rotated, value) = (1, 1, 1, 2, 1);
        Mixer::Mla(Mla {
            heads,
            query_rank: None,
            latent,
            nope,
            rotated,
            value,
            rank_eps: 0.0,
            scale: 1.0,
            scope: Scope::All,
            gate: false,
            rope: Some(rope),
        })
    }

    #[test]
    fn a_name_is_claimed_skipped_or_unknown() {
        const TABLE: &[(&str, Slot)] = &[
            ("embed", Slot::Model(Role::Embedding)),
            ("model.layers.{layer}.norm", Slot::Layer(LayerWeight::MixerNorm)),
            ("model.layers.{layer}.experts.{expert}.up", Slot::Expert(ExpertPart::Up)),
        ];
        let spec = ModelSpec {
            family: "test",
            vocab: 1,
            hidden: 1,
            norm_eps: 0.0,
            norm_offset: 0.0,
            context: 1,
            tied_head: false,
            mtp_layers: 1,
            residuals: None,
            streams: None,
            layers: vec![LayerSpec { mixer: mla(), ffn: Ffn::Dense { inner: 1, gate: Gate::Silu } }; 3],
        };
        let names = Names::new(&[TABLE], "text.", &[Skip { prefix: "vision.", reason: "vision" }], &spec);
        let up = Role::Expert(ExpertKey::new(2, 17), ExpertPart::Up);
        let cases = [
            ("embed", Claim::Role(Role::Embedding)),
            ("text.embed", Claim::Role(Role::Embedding)),
            ("model.text.layers.2.norm", Claim::Role(Role::Layer(LayerId(2), LayerWeight::MixerNorm))),
            ("model.layers.2.norm", Claim::Role(Role::Layer(LayerId(2), LayerWeight::MixerNorm))),
            ("model.layers.2.experts.17.up", Claim::Role(up)),
            ("model.layers.3.anything", Claim::Skip("multi-token prediction")),
            ("model.layers.4.norm", Claim::Role(Role::Layer(LayerId(4), LayerWeight::MixerNorm))),
            ("vision.blocks.0.norm", Claim::Skip("vision")),
            ("model.layers.02.norm", Claim::Unknown),
            ("model.layers.99999999999.norm", Claim::Unknown),
            ("model.layers.#.norm", Claim::Unknown),
            ("", Claim::Unknown),
        ];
        for (name, claim) in cases {
            assert_eq!(names.claim(name), claim, "{name}");
        }
        assert_eq!(names.name(up).as_deref(), Some("model.layers.2.experts.17.up"));
    }
}
