//! What families of gated DeltaNet share: three layers of it to one of gated attention, and how both are named.

use base::Result;

use super::{Shapes, grouped, layer_count, rotation};
use crate::names::Table;
use crate::{
    Config, DeltaNet, ExpertPart, Ffn, Gate, Gqa, HeadNorm, KeySharing, LayerSpec, LayerWeight as W, Mixer,
    ModelSpec, Moe, RopePairs, Skip, Slot,
};

/// In what these families differ.
pub(super) struct Variant {
    pub(super) family: &'static str,
    pub(super) sharing: KeySharing,
    pub(super) joint_inputs: bool,
    pub(super) joint_rates: bool,
    /// Layers have experts.
    pub(super) experts: bool,
}

/// Reads `config.json`.
pub(super) fn read_config(outer: &Config<'_>, variant: &Variant) -> Result<ModelSpec> {
    let config = outer.child("text_config")?.unwrap_or(*outer);
    config.require("attn_output_gate", true)?;
    config.require("attention_bias", false)?;
    config.require("mlp_only_layers", serde_json::json!([]))?;
    config.require("decoder_sparse_step", 1)?;
    let mut gqa = gated(grouped::attention_of_config(&config, RopePairs::Halves)?);
    let told = "partial_rotary_factor";
    if config.get(told).or(rotation::scaling(&config)?.and_then(|scaling| scaling.get(told))).is_none() {
        gqa.rope.dims = gqa.head / 4; // as the published classes have it
    }
    let net = DeltaNet {
        key_heads: config.size("linear_num_key_heads")?,
        value_heads: config.size("linear_num_value_heads")?,
        key: config.size("linear_key_head_dim")?,
        value: config.size("linear_value_head_dim")?,
        kernel: config.size("linear_conv_kernel_dim")?,
        sharing: variant.sharing,
        joint_inputs: variant.joint_inputs,
        joint_rates: variant.joint_rates,
        log_rates: true,
        kimi: None,
    };
    let ffn = match variant.experts {
        true => {
            // The published class of Qwen3.5 renormalises without being told.
            let keys = ["num_experts", "moe_intermediate_size"];
            let moe = grouped::experts_of_config(&config, keys, config.flag_or("norm_topk_prob", true)?)?;
            shared(moe, config.size("shared_expert_intermediate_size")?)
        }
        false => Ffn::Dense { inner: config.size("intermediate_size")?, gate: Gate::Silu },
    };
    let count = layer_count(&config, "num_hidden_layers")?;
    let attends = match config.get("layer_types") {
        None => in_turn(count, config.size_or("full_attention_interval", 4)?),
        Some(kinds) => kinds.as_array().into_iter().flatten().map(|kind| kind == "full_attention").collect(),
    };
    let known = |kind: &serde_json::Value| kind == "full_attention" || kind == "linear_attention";
    let kinds = config.get("layer_types").and_then(serde_json::Value::as_array).into_iter().flatten();
    if attends.len() != count || !kinds.into_iter().all(known) {
        let expected = format!("full_attention or linear_attention for each of {count} layers");
        return Err(config.err_expected("layer_types", &expected));
    }
    let model = grouped::model_of_config(&config, variant.family, |at| layer(attends[at], &gqa, &net, &ffn))?;
    let tied = config.flag_or("tie_word_embeddings", outer.flag_or("tie_word_embeddings", false)?)?;
    Ok(ModelSpec { norm_offset: 1.0, tied_head: tied, ..model })
}

/// Reads GGUF metadata.
pub(super) fn read_gguf(config: &Config<'_>, shapes: Shapes<'_>, variant: &Variant) -> Result<ModelSpec> {
    let gqa = gated(grouped::attention_of_gguf(config, shapes, RopePairs::Halves, true)?);
    let (value_heads, values) = (config.size("ssm.time_step_rank")?, config.size("ssm.inner_size")?);
    if !values.is_multiple_of(value_heads) {
        return Err(config.err_expected("ssm.inner_size", &format!("a multiple of {value_heads} heads")));
    }
    let net = DeltaNet {
        key_heads: config.size("ssm.group_count")?,
        value_heads,
        key: config.size("ssm.state_size")?,
        value: values / value_heads,
        kernel: config.size("ssm.conv_kernel")?,
        sharing: variant.sharing,
        joint_inputs: variant.joint_inputs,
        joint_rates: variant.joint_rates,
        log_rates: false,
        kimi: None,
    };
    let ffn = match variant.experts {
        true => {
            // Files do not tell; every published model of these families normalises.
            let moe = grouped::experts_of_gguf(config, config.flag_or("expert_weights_norm", true)?)?;
            shared(moe, config.size("expert_shared_feed_forward_length")?)
        }
        false => Ffn::Dense { inner: config.size("feed_forward_length")?, gate: Gate::Silu },
    };
    let blocks = layer_count(config, "block_count")?;
    let attends: Vec<bool> = match config.get("attention.recurrent_layers").and_then(|told| told.as_array()) {
        None => in_turn(blocks, config.size_or("full_attention_interval", 4)?),
        Some(told) => told.iter().map(|recurrent| *recurrent == false).collect(),
    };
    if attends.len() < blocks {
        return Err(config.err_expected("attention.recurrent_layers", &format!("{blocks} flags")));
    }
    grouped::model_of_gguf(config, shapes, variant.family, |at| layer(attends[at], &gqa, &net, &ffn))
}

fn gated(gqa: Gqa) -> Gqa {
    Gqa { norm: Some(HeadNorm::Head), gate: true, ..gqa }
}

fn shared(moe: Moe, inner: usize) -> Ffn {
    Ffn::Moe(Moe { shared_inner: inner, shared_scale: true, ..moe })
}

/// Which layers attend: the last of every `interval`.
fn in_turn(count: usize, interval: usize) -> Vec<bool> {
    (1..=count).map(|number| number.is_multiple_of(interval)).collect()
}

fn layer(attends: bool, gqa: &Gqa, net: &DeltaNet, ffn: &Ffn) -> LayerSpec {
    let mixer = if attends { Mixer::Gqa(gqa.clone()) } else { Mixer::Delta(net.clone()) };
    LayerSpec { mixer, ffn: ffn.clone() }
}

/// What only layers of DeltaNet have, but for their first projections.
pub(super) const MIXER: Table = &[
    ("model.layers.{layer}.linear_attn.conv1d.weight", Slot::Layer(W::Convolution)),
    ("model.layers.{layer}.linear_attn.A_log", Slot::Layer(W::DecayRate)),
    ("model.layers.{layer}.linear_attn.dt_bias", Slot::Layer(W::DecayBias)),
    ("model.layers.{layer}.linear_attn.norm.weight", Slot::Layer(W::AnswerNorm)),
    ("model.layers.{layer}.linear_attn.out_proj.weight", Slot::Layer(W::DeltaOut)),
];

/// The projections of Qwen3.5, each a matrix of its own.
pub(super) const INPUTS: Table = &[
    ("model.layers.{layer}.linear_attn.in_proj_qkv.weight", Slot::Layer(W::Inputs)),
    ("model.layers.{layer}.linear_attn.in_proj_z.weight", Slot::Layer(W::OutGate)),
    ("model.layers.{layer}.linear_attn.in_proj_b.weight", Slot::Layer(W::Strength)),
    ("model.layers.{layer}.linear_attn.in_proj_a.weight", Slot::Layer(W::Decay)),
];

/// The shared expert, and experts as stacks.
pub(super) const EXPERTS: Table = &[
    ("model.layers.{layer}.mlp.shared_expert.gate_proj.weight", Slot::Layer(W::SharedGate)),
    ("model.layers.{layer}.mlp.shared_expert.up_proj.weight", Slot::Layer(W::SharedUp)),
    ("model.layers.{layer}.mlp.shared_expert.down_proj.weight", Slot::Layer(W::SharedDown)),
    ("model.layers.{layer}.mlp.shared_expert_gate.weight", Slot::Layer(W::SharedScale)),
    ("model.layers.{layer}.mlp.experts.gate_up_proj", Slot::JointStack),
    ("model.layers.{layer}.mlp.experts.down_proj", Slot::Stack(ExpertPart::Down)),
];

/// What only layers of DeltaNet have in GGUF, but for rates; and the second norm, which has a name of its own.
pub(super) const GGUF_MIXER: Table = &[
    ("blk.{layer}.post_attention_norm.weight", Slot::Layer(W::FfnNorm)),
    ("blk.{layer}.attn_qkv.weight", Slot::Layer(W::Inputs)),
    ("blk.{layer}.attn_gate.weight", Slot::Layer(W::OutGate)),
    ("blk.{layer}.ssm_conv1d.weight", Slot::Layer(W::Convolution)),
    ("blk.{layer}.ssm_dt.bias", Slot::Layer(W::DecayBias)),
    ("blk.{layer}.ssm_a", Slot::Layer(W::DecayRate)),
    ("blk.{layer}.ssm_norm.weight", Slot::Layer(W::AnswerNorm)),
    ("blk.{layer}.ssm_out.weight", Slot::Layer(W::DeltaOut)),
];

/// What strengths and decays are projected by, each a matrix of its own.
pub(super) const GGUF_RATES: Table = &[
    ("blk.{layer}.ssm_beta.weight", Slot::Layer(W::Strength)),
    ("blk.{layer}.ssm_alpha.weight", Slot::Layer(W::Decay)),
];

/// What scales the shared expert's answer in GGUF.
pub(super) const GGUF_EXPERTS: Table =
    &[("blk.{layer}.ffn_gate_inp_shexp.weight", Slot::Layer(W::SharedScale))];

/// What producing text does not need.
pub(super) const SKIPS: &[Skip] = &[
    Skip { prefix: "model.visual.", reason: "vision" },
    Skip { prefix: "mtp.", reason: "multi-token prediction" },
];
