//! gpt-oss 20b and 120b (arXiv:2508.10925): grouped-query attention with a sink for every head and a window in every
//! other layer, and experts with biases whose gates and ups are clamped.
//!
//! YaRN's ramp begins and ends between dimensions, which GGUF files do not tell.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::names::Table;
use crate::{
    Config, ExpertPart, Gate, Gqa, LayerSpec, LayerWeight as W, ModelSpec, Moe, RopePairs, Router, Slot,
};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "gpt_oss",
    model_types: &["gpt_oss"],
    gguf_architectures: &["gpt-oss"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, NAMES],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_POST_NORM,
        tables::GGUF_ATTENTION,
        tables::GGUF_EXPERTS,
        GGUF_NAMES,
    ],
    skips: &[],
};

/// No key of GGUF files tells this one.
const ALPHA: f32 = 1.702;

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let moe = grouped::experts_of_config(&config, ["num_local_experts", "intermediate_size"], true)?;
    let limit = config.number_or("swiglu_limit", 7.0)? as f32;
    let alternate = serde_json::json!(["sliding_attention", "full_attention"]);
    let layers = config.size("num_hidden_layers")?;
    if let Some(told) = config.get("layer_types").and_then(|told| told.as_array()) {
        let expected = alternate.as_array().into_iter().flatten().cycle().take(layers);
        if !told.iter().eq(expected) {
            return Err(
                config.err_implemented("layer_types", "sliding_attention and full_attention by turns")
            );
        }
    }
    let moe = Moe { alternating: true, ..experts(moe, limit) };
    grouped::model_of_config(&config, FAMILY.name, |layer| by_turns(layer, &gqa, &moe))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, false)?;
    let moe = experts(grouped::experts_of_gguf(&config, true)?, 7.0);
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |layer| by_turns(layer, &gqa, &moe))
}

/// The softmax is over the logits of the chosen experts, which is that over all, renormalised.
fn experts(moe: Moe, limit: f32) -> Moe {
    let router = Router { logit_bias: true, ..moe.router };
    Moe { gate: Gate::Clamped { alpha: ALPHA, limit }, biases: true, router, ..moe }
}

/// The first layer and every other one after it have a window.
fn by_turns(layer: usize, gqa: &Gqa, moe: &Moe) -> LayerSpec {
    let window = gqa.window.filter(|_| layer.is_multiple_of(2));
    let gqa = Gqa { input_bias: true, output_bias: true, sinks: true, window, ..gqa.clone() };
    grouped::sparse(&gqa, moe)
}

const NAMES: Table = &[
    ("model.layers.{layer}.self_attn.sinks", Slot::Layer(W::Sinks)),
    ("model.layers.{layer}.mlp.router.weight", Slot::Layer(W::Router)),
    ("model.layers.{layer}.mlp.router.bias", Slot::Layer(W::LogitBias)),
    ("model.layers.{layer}.mlp.experts.gate_up_proj", Slot::JointStack),
    ("model.layers.{layer}.mlp.experts.gate_up_proj_bias", Slot::Layer(W::GateUpBiases)),
    ("model.layers.{layer}.mlp.experts.down_proj", Slot::Stack(ExpertPart::Down)),
    ("model.layers.{layer}.mlp.experts.down_proj_bias", Slot::Layer(W::DownBiases)),
];

const GGUF_NAMES: Table = &[
    ("blk.{layer}.attn_sinks.weight", Slot::Layer(W::Sinks)),
    ("blk.{layer}.ffn_gate_inp.bias", Slot::Layer(W::LogitBias)),
    ("blk.{layer}.ffn_gate_exps.bias", Slot::Layer(W::GateBiases)),
    ("blk.{layer}.ffn_up_exps.bias", Slot::Layer(W::UpBiases)),
    ("blk.{layer}.ffn_down_exps.bias", Slot::Layer(W::DownBiases)),
];
