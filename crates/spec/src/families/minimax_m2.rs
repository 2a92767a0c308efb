//! MiniMax-M2, M2.1, M2.5 and M2.7: attention with a norm over all heads of queries and of keys together, heads rotated
//! by half, and experts in every layer, scored by sigmoid.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::{Config, Gqa, HeadNorm, ModelSpec, Moe, RopePairs, Router, Score};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "minimax_m2",
    model_types: &["minimax_m2"],
    gguf_architectures: &["minimax-m2"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::SPARSE_EXPERTS],
    prefix: "",
    gguf_names: &[tables::GGUF_FRAME, tables::GGUF_FFN_NORM, tables::GGUF_ATTENTION, tables::GGUF_EXPERTS],
    skips: &[],
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("scoring_func", "sigmoid")?;
    config.require("use_routing_bias", true)?;
    config.require("use_qk_norm", true)?;
    config.require("qk_norm_type", "per_layer")?;
    config.require("shared_intermediate_size", 0)?;
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let gqa = Gqa { norm: Some(HeadNorm::Row), ..gqa };
    let moe =
        by_sigmoid(grouped::experts_of_config(&config, ["num_local_experts", "intermediate_size"], true)?);
    grouped::model_of_config(&config, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    config.require("expert_gating_func", 2)?;
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, true)?;
    let gqa = Gqa { norm: Some(HeadNorm::Row), ..gqa };
    let moe = by_sigmoid(grouped::experts_of_gguf(&config, true)?);
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::sparse(&gqa, &moe))
}

fn by_sigmoid(moe: Moe) -> Moe {
    Moe { router: Router { score: Score::Sigmoid, bias: true, ..moe.router }, ..moe }
}
