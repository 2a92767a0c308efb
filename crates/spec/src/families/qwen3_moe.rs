//! Qwen3-MoE (30B-A3B, 235B-A22B, Coder-480B): grouped-query attention with a norm on every head of queries and keys,
//! and experts in every layer. arXiv:2505.09388.

use base::Result;

use super::grouped::{self, Variant};
use super::{Family, Shapes};
use crate::{Config, HeadNorm, ModelSpec, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3_moe",
    model_types: &["qwen3_moe"],
    gguf_architectures: &["qwen3moe"],
    read_config,
    read_gguf,
    names: &[grouped::NAMES, grouped::NORM_NAMES, grouped::EXPERT_NAMES],
    prefix: "",
    gguf_names: &[grouped::GGUF_NAMES, grouped::GGUF_NORM_NAMES],
    skips: &[],
};

fn variant(normalise: bool) -> Variant {
    Variant {
        family: FAMILY.name,
        norm: Some(HeadNorm::Head),
        pairs: RopePairs::Halves,
        experts: "num_experts",
        inner: "moe_intermediate_size",
        normalise,
    }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("decoder_sparse_step", 1)?;
    config.require("mlp_only_layers", serde_json::json!([]))?;
    grouped::read_config(&config, &variant(config.flag("norm_topk_prob")?))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    // Files do not tell; every published model of the family normalises.
    grouped::read_gguf(&config, shapes, &variant(config.flag_or("expert_weights_norm", true)?))
}
