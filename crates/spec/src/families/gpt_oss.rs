//! gpt-oss 20b and 120b (arXiv:2508.10925): grouped-query attention with a sink for every head and a window in every
//! other layer, and experts with biases whose gates and ups are clamped.
//!
//! YaRN's ramp begins and ends between dimensions, which GGUF files do not tell. The folder `original` of each release is
//! OpenAI's own: the same blocks under other names, queries, keys and values one after another.

use base::Result;
use serde_json::{Value, json};

use super::{Family, Shapes, grouped, tables};
use crate::names::Table;
use crate::{
    Config, ExpertPart, Gate, Gqa, LayerSpec, LayerWeight as W, ModelSpec, Moe, Role, RopePairs, Router, Slot,
};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "gpt_oss",
    model_types: &["gpt_oss"],
    gguf_architectures: &["gpt-oss"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, NAMES, ORIGINAL_NAMES],
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
    if is_original(&config) {
        return read_config(Config::new(&of_original(&config)?));
    }
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let moe = grouped::experts_of_config(&config, ["num_local_experts", "intermediate_size"], true)?;
    let limit = config.number_or("swiglu_limit", 7.0)? as f32;
    let alternate = json!(["sliding_attention", "full_attention"]);
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

/// Whether `config` is that of the folder `original`.
pub(super) fn is_original(config: &Config<'_>) -> bool {
    ["initial_context_length", "rope_ntk_alpha", "experts_per_token"]
        .iter()
        .all(|key| config.get(key).is_some())
}

/// The configuration of the folder `original` in the words of the other one. What it leaves out is fixed in OpenAI's code.
fn of_original(config: &Config<'_>) -> Result<Value> {
    let (factor, context) = (config.positive("rope_scaling_factor")?, config.size("initial_context_length")?);
    let mut told = json!({
        "num_local_experts": config.get("num_experts"),
        "num_experts_per_tok": config.get("experts_per_token"),
        "attention_bias": true,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": (context as f64 * factor) as u64,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": factor,
            "beta_fast": config.positive("rope_ntk_beta")?,
            "beta_slow": config.positive("rope_ntk_alpha")?,
            "truncate": false,
            "original_max_position_embeddings": context,
        },
    });
    let same = [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "sliding_window",
        "swiglu_limit",
        "rope_theta",
    ];
    for key in same {
        told[key] = config.get(key).cloned().unwrap_or_default();
    }
    Ok(told)
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, false)?;
    let moe = experts(grouped::experts_of_gguf(&config, true)?, 7.0);
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |layer| by_turns(layer, &gqa, &moe))
}

/// The softmax is over the logits of the chosen experts, which is that over all, renormalised.
fn experts(moe: Moe, limit: f32) -> Moe {
    let router = Router { logit_bias: true, ..moe.router };
    Moe { gate: Gate::Clamped { alpha: ALPHA, shift: 1.0, limit }, biases: true, router, ..moe }
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

const ORIGINAL_NAMES: Table = &[
    ("embedding.weight", Slot::Model(Role::Embedding)),
    ("norm.scale", Slot::Model(Role::OutputNorm)),
    ("unembedding.weight", Slot::Model(Role::Head)),
    ("block.{layer}.attn.norm.scale", Slot::Layer(W::MixerNorm)),
    ("block.{layer}.attn.qkv.weight", Slot::Layer(W::Projections)),
    ("block.{layer}.attn.qkv.bias", Slot::Layer(W::ProjectionBiases)),
    ("block.{layer}.attn.sinks", Slot::Layer(W::Sinks)),
    ("block.{layer}.attn.out.weight", Slot::Layer(W::MixerOut)),
    ("block.{layer}.attn.out.bias", Slot::Layer(W::MixerOutBias)),
    ("block.{layer}.mlp.norm.scale", Slot::Layer(W::FfnNorm)),
    ("block.{layer}.mlp.gate.weight", Slot::Layer(W::Router)),
    ("block.{layer}.mlp.gate.bias", Slot::Layer(W::LogitBias)),
    ("block.{layer}.mlp.mlp1_weight", Slot::JointStack),
    ("block.{layer}.mlp.mlp1_bias", Slot::Layer(W::GateUpBiases)),
    ("block.{layer}.mlp.mlp2_weight", Slot::Stack(ExpertPart::Down)),
    ("block.{layer}.mlp.mlp2_bias", Slot::Layer(W::DownBiases)),
];

const GGUF_NAMES: Table = &[
    ("blk.{layer}.attn_sinks.weight", Slot::Layer(W::Sinks)),
    ("blk.{layer}.ffn_gate_inp.bias", Slot::Layer(W::LogitBias)),
    ("blk.{layer}.ffn_gate_exps.bias", Slot::Layer(W::GateBiases)),
    ("blk.{layer}.ffn_up_exps.bias", Slot::Layer(W::UpBiases)),
    ("blk.{layer}.ffn_down_exps.bias", Slot::Layer(W::DownBiases)),
];
