//! OLMoE (arXiv:2409.02060): attention with a norm over all heads of queries and of keys together, and experts whose
//! weights are not renormalised.

use base::Result;

use super::grouped::{self, Variant};
use super::{Family, Shapes};
use crate::{Config, HeadNorm, ModelSpec, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "olmoe",
    model_types: &["olmoe"],
    gguf_architectures: &["olmoe"],
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
        norm: Some(HeadNorm::Row),
        pairs: RopePairs::Halves,
        experts: "num_experts",
        inner: "intermediate_size",
        normalise,
    }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    if config.get("clip_qkv").is_some() {
        return Err(config.err_implemented("clip_qkv", "null"));
    }
    grouped::read_config(&config, &variant(config.flag_or("norm_topk_prob", false)?))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    if config.get("attention.clamp_kqv").is_some() {
        return Err(config.err_implemented("attention.clamp_kqv", "no clamp"));
    }
    grouped::read_gguf(&config, shapes, &variant(config.flag_or("expert_weights_norm", false)?))
}
