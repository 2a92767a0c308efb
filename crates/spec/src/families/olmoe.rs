//! OLMoE (arXiv:2409.02060): attention with a norm over all heads of queries and of keys together, and experts whose
//! weights are not renormalised.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::{Config, Gqa, HeadNorm, ModelSpec, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "olmoe",
    model_types: &["olmoe"],
    gguf_architectures: &["olmoe"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::EXPERTS],
    prefix: "",
    gguf_names: &[tables::GGUF_FRAME, tables::GGUF_FFN_NORM, tables::GGUF_ATTENTION, tables::GGUF_EXPERTS],
    skips: &[],
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    if config.get("clip_qkv").is_some() {
        return Err(config.err_implemented("clip_qkv", "null"));
    }
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let gqa = Gqa { norm: Some(HeadNorm::Row), ..gqa };
    let normalise = config.flag_or("norm_topk_prob", false)?;
    let moe = grouped::experts_of_config(&config, ["num_experts", "intermediate_size"], normalise)?;
    grouped::model_of_config(&config, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    if config.get("attention.clamp_kqv").is_some() {
        return Err(config.err_implemented("attention.clamp_kqv", "no clamp"));
    }
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, true)?;
    let gqa = Gqa { norm: Some(HeadNorm::Row), ..gqa };
    let moe = grouped::experts_of_gguf(&config, config.flag_or("expert_weights_norm", false)?)?;
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}
