//! Qwen3-MoE (30B-A3B, 235B-A22B, Coder-480B): grouped-query attention with a norm on every head of queries and keys,
//! and experts in every layer. arXiv:2505.09388.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::{Config, Gqa, HeadNorm, ModelSpec, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3_moe",
    model_types: &["qwen3_moe"],
    gguf_architectures: &["qwen3moe"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::EXPERTS],
    prefix: "",
    gguf_names: &[tables::GGUF_FRAME, tables::GGUF_FFN_NORM, tables::GGUF_ATTENTION, tables::GGUF_EXPERTS],
    skips: &[],
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("decoder_sparse_step", 1)?;
    config.require("mlp_only_layers", serde_json::json!([]))?;
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let gqa = Gqa { norm: Some(HeadNorm::Head), ..gqa };
    let keys = ["num_experts", "moe_intermediate_size"];
    let moe = grouped::experts_of_config(&config, keys, config.flag("norm_topk_prob")?)?;
    grouped::model_of_config(&config, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, true)?;
    let gqa = Gqa { norm: Some(HeadNorm::Head), ..gqa };
    // Files do not tell; every published model of the family normalises.
    let moe = grouped::experts_of_gguf(&config, config.flag_or("expert_weights_norm", true)?)?;
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}
