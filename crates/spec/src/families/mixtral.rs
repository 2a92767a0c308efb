//! Mixtral 8x7B and 8x22B (arXiv:2401.04088): grouped-query attention and eight experts of which a token uses two.
//!
//! GGUF files call the architecture `llama` and hold queries and keys with their columns reordered, so that adjacent
//! ones rotate together. Those of 2023 hold a tensor for every expert.

use base::Result;

use super::grouped::{self, Variant};
use super::{Family, Shapes};
use crate::names::Table;
use crate::{Config, ExpertPart, LayerWeight as W, ModelSpec, RopePairs, Slot};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "mixtral",
    model_types: &["mixtral"],
    gguf_architectures: &["llama"],
    read_config,
    read_gguf,
    names: &[grouped::NAMES, EXPERT_NAMES],
    prefix: "",
    gguf_names: &[grouped::GGUF_NAMES, OLD_GGUF_NAMES],
    skips: &[],
};

fn variant(pairs: RopePairs) -> Variant {
    Variant {
        family: FAMILY.name,
        norm: None,
        pairs,
        experts: "num_local_experts",
        inner: "intermediate_size",
        normalise: true,
    }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    grouped::read_config(&config, &variant(RopePairs::Halves))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    grouped::read_gguf(&config, shapes, &variant(RopePairs::Adjacent))
}

const EXPERT_NAMES: Table = &[
    ("model.layers.{layer}.block_sparse_moe.gate.weight", Slot::Layer(W::Router)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight", Slot::Expert(ExpertPart::Gate)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight", Slot::Expert(ExpertPart::Up)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight", Slot::Expert(ExpertPart::Down)),
];

const OLD_GGUF_NAMES: Table = &[
    ("blk.{layer}.ffn_gate.{expert}.weight", Slot::Expert(ExpertPart::Gate)),
    ("blk.{layer}.ffn_up.{expert}.weight", Slot::Expert(ExpertPart::Up)),
    ("blk.{layer}.ffn_down.{expert}.weight", Slot::Expert(ExpertPart::Down)),
];
