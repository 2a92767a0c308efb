//! What families of grouped-query attention and equal expert layers share: how configurations and tensors are named.

use base::Result;

use super::{Shapes, layer_count};
use crate::names::Table;
use crate::{
    Config, ExpertPart, Ffn, Gqa, HeadNorm, LayerSpec, LayerWeight as W, Mixer, ModelSpec, Moe, Role, Rope,
    RopePairs, Router, Score, Slot,
};

/// In what these families differ.
pub(super) struct Variant {
    pub(super) family: &'static str,
    pub(super) norm: Option<HeadNorm>,
    /// Which columns rotate together in this format.
    pub(super) pairs: RopePairs,
    /// Keys of the number of experts and of their inner width.
    pub(super) experts: &'static str,
    pub(super) inner: &'static str,
    /// The chosen experts' weights are divided by their sum.
    pub(super) normalise: bool,
}

/// Reads `config.json`.
pub(super) fn read_config(config: &Config<'_>, variant: &Variant) -> Result<ModelSpec> {
    config.require("hidden_act", "silu")?;
    config.require("attention_bias", false)?;
    let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    let head = match config.size_or("head_dim", 0)? {
        0 => hidden / heads,
        told => told,
    };
    let rope = Rope { dims: head, theta: theta(config)?, pairs: variant.pairs, yarn: None };
    let window = config.size_or("sliding_window", 0)?;
    let told = config.get("use_sliding_window").is_none() || config.flag("use_sliding_window")?;
    let gqa = Gqa {
        heads,
        kv_heads: config.size_or("num_key_value_heads", heads)?,
        head,
        norm: variant.norm,
        window: Some(window).filter(|window| *window > 0 && told),
        rope,
    };
    let moe = Moe {
        experts: config.size(variant.experts)?,
        inner: config.size(variant.inner)?,
        shared_inner: 0,
        router: router(config.size("num_experts_per_tok")?, variant.normalise),
    };
    ModelSpec {
        family: variant.family,
        vocab: config.size("vocab_size")?,
        hidden,
        norm_eps: config.positive("rms_norm_eps")? as f32,
        context: config.size("max_position_embeddings")?,
        tied_head: config.flag_or("tie_word_embeddings", false)?,
        mtp_layers: 0,
        layers: layers(layer_count(config, "num_hidden_layers")?, gqa, moe),
    }
    .checked()
}

/// Reads GGUF metadata.
pub(super) fn read_gguf(config: &Config<'_>, shapes: Shapes<'_>, variant: &Variant) -> Result<ModelSpec> {
    if config.text_or("rope.scaling.type", "none")? != "none" {
        return Err(config.err_implemented("rope.scaling.type", "none"));
    }
    let (hidden, heads) = (config.size("embedding_length")?, config.size("attention.head_count")?);
    let head = match config.size_or("attention.key_length", 0)? {
        0 => hidden / heads,
        told => told,
    };
    config.require("attention.value_length", head)?;
    let theta = config.number_or("rope.freq_base", 1e4)?;
    let dims = config.size_or("rope.dimension_count", head)?;
    let gqa = Gqa {
        heads,
        kv_heads: config.size_or("attention.head_count_kv", heads)?,
        head,
        norm: variant.norm,
        window: Some(config.size_or("attention.sliding_window", 0)?).filter(|window| *window > 0),
        rope: Rope { dims, theta, pairs: variant.pairs, yarn: None },
    };
    let inner = match config.get("expert_feed_forward_length") {
        Some(_) => config.size("expert_feed_forward_length")?,
        None => config.size("feed_forward_length")?,
    };
    let moe = Moe {
        experts: config.size("expert_count")?,
        inner,
        shared_inner: 0,
        router: router(config.size("expert_used_count")?, variant.normalise),
    };
    let embedding = shapes("token_embd.weight").unwrap_or_default();
    ModelSpec {
        family: variant.family,
        vocab: embedding.first().map_or(0, |rows| *rows as usize),
        hidden,
        norm_eps: config.positive("attention.layer_norm_rms_epsilon")? as f32,
        context: config.size("context_length")?,
        tied_head: shapes("output.weight").is_none(),
        mtp_layers: 0,
        layers: layers(layer_count(config, "block_count")?, gqa, moe),
    }
    .checked()
}

fn layers(count: usize, gqa: Gqa, moe: Moe) -> Vec<LayerSpec> {
    vec![LayerSpec { mixer: Mixer::Gqa(gqa), ffn: Ffn::Moe(moe) }; count]
}

fn router(top_k: usize, normalise: bool) -> Router {
    Router { top_k, score: Score::Softmax, bias: false, groups: None, normalise, scale: 1.0 }
}

/// `rope_theta`, of old beside everything else, now in `rope_parameters`; a stretched rotation is refused.
fn theta(config: &Config<'_>) -> Result<f64> {
    config.require("partial_rotary_factor", 1.0)?;
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(scaling) = config.child(key)? else { continue };
        let kind = if scaling.get("rope_type").is_some() { "rope_type" } else { "type" };
        scaling.require(kind, "default")?;
        scaling.require("partial_rotary_factor", 1.0)?;
        if scaling.get("rope_theta").is_some() {
            return scaling.positive("rope_theta");
        }
    }
    // No default: the published classes disagree on one.
    config.positive("rope_theta")
}

/// Everything but norms of queries and keys, and experts.
pub(super) const NAMES: Table = &[
    ("model.embed_tokens.weight", Slot::Model(Role::Embedding)),
    ("model.norm.weight", Slot::Model(Role::OutputNorm)),
    ("lm_head.weight", Slot::Model(Role::Head)),
    ("model.layers.{layer}.input_layernorm.weight", Slot::Layer(W::MixerNorm)),
    ("model.layers.{layer}.post_attention_layernorm.weight", Slot::Layer(W::FfnNorm)),
    ("model.layers.{layer}.self_attn.q_proj.weight", Slot::Layer(W::Query)),
    ("model.layers.{layer}.self_attn.k_proj.weight", Slot::Layer(W::Key)),
    ("model.layers.{layer}.self_attn.v_proj.weight", Slot::Layer(W::Value)),
    ("model.layers.{layer}.self_attn.o_proj.weight", Slot::Layer(W::MixerOut)),
];

/// Norms of queries and keys.
pub(super) const NORM_NAMES: Table = &[
    ("model.layers.{layer}.self_attn.q_norm.weight", Slot::Layer(W::QueryNorm)),
    ("model.layers.{layer}.self_attn.k_norm.weight", Slot::Layer(W::KeyNorm)),
];

/// Experts, as most families call them.
pub(super) const EXPERT_NAMES: Table = &[
    ("model.layers.{layer}.mlp.gate.weight", Slot::Layer(W::Router)),
    ("model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight", Slot::Expert(ExpertPart::Gate)),
    ("model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", Slot::Expert(ExpertPart::Up)),
    ("model.layers.{layer}.mlp.experts.{expert}.down_proj.weight", Slot::Expert(ExpertPart::Down)),
];

/// Everything in GGUF but norms of queries and keys.
pub(super) const GGUF_NAMES: Table = &[
    ("token_embd.weight", Slot::Model(Role::Embedding)),
    ("output_norm.weight", Slot::Model(Role::OutputNorm)),
    ("output.weight", Slot::Model(Role::Head)),
    ("blk.{layer}.attn_norm.weight", Slot::Layer(W::MixerNorm)),
    ("blk.{layer}.ffn_norm.weight", Slot::Layer(W::FfnNorm)),
    ("blk.{layer}.attn_q.weight", Slot::Layer(W::Query)),
    ("blk.{layer}.attn_k.weight", Slot::Layer(W::Key)),
    ("blk.{layer}.attn_v.weight", Slot::Layer(W::Value)),
    ("blk.{layer}.attn_output.weight", Slot::Layer(W::MixerOut)),
    ("blk.{layer}.ffn_gate_inp.weight", Slot::Layer(W::Router)),
    ("blk.{layer}.ffn_gate_exps.weight", Slot::Stack(ExpertPart::Gate)),
    ("blk.{layer}.ffn_up_exps.weight", Slot::Stack(ExpertPart::Up)),
    ("blk.{layer}.ffn_down_exps.weight", Slot::Stack(ExpertPart::Down)),
];

/// Norms of queries and keys in GGUF.
pub(super) const GGUF_NORM_NAMES: Table = &[
    ("blk.{layer}.attn_q_norm.weight", Slot::Layer(W::QueryNorm)),
    ("blk.{layer}.attn_k_norm.weight", Slot::Layer(W::KeyNorm)),
];
