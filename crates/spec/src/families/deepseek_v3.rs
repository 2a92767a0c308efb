//! DeepSeek-V2 and V3, Kimi K2 and K2.5 (text), GLM-4.7-Flash, and what shares their architecture: latent attention, a few dense
//! layers, then experts with group-limited routing and a shared expert.
//!
//! DeepSeek-V2: arXiv:2405.04434. DeepSeek-V3: arXiv:2412.19437. Kimi K2: arXiv:2507.20534.

use base::Result;

use super::{Family, Shapes, grouped, layer_count, rotation, routing, tables};
use crate::names::Table;
use crate::{
    Config, Ffn, Gate, GroupScore, LayerSpec, LayerWeight as W, Mixer, Mla, ModelSpec, Moe, Rope, RopePairs,
    Router, Scope, Score, Skip, Slot, Stretch,
};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "deepseek_v3",
    model_types: &["deepseek_v3", "kimi_k2", "kimi_k25", "deepseek_v2", "glm4_moe_lite"],
    gguf_architectures: &["deepseek2"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, NAMES, tables::DENSE, tables::EXPERTS],
    prefix: "language_model.",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_FFN_NORM,
        GGUF_NAMES,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
    ],
    skips: SKIPS,
};

/// What producing text does not need of Kimi's models that can see.
pub(super) const SKIPS: &[Skip] =
    &[Skip { prefix: "vision_tower.", reason: "vision" }, Skip { prefix: "mm_projector.", reason: "vision" }];

/// The published classes give the norms inside the low-rank projections this epsilon, whatever the configuration says.
pub(super) const RANK_EPS: f32 = 1e-6;

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let config = config.child("text_config")?.unwrap_or(config);
    shape_of_config(&config)?.spec(FAMILY.name, &|_| Scope::All)
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    shape_of_gguf(&config, shapes, true)?.spec(FAMILY.name, &|_| Scope::All)
}

/// What `config.json` tells.
pub(super) fn shape_of_config(config: &Config<'_>) -> Result<Shape> {
    config.require("hidden_act", "silu")?;
    config.require("attention_bias", false)?;
    config.require("moe_layer_freq", 1)?;
    let second = config.text_or("model_type", "deepseek_v3")? == "deepseek_v2";
    let rope = rope_of_config(config, second)?;
    let mla = Mla {
        heads: config.size("num_attention_heads")?,
        query_rank: Some(config.size_or("q_lora_rank", 0)?).filter(|rank| *rank > 0),
        latent: config.size("kv_lora_rank")?,
        nope: config.size("qk_nope_head_dim")?,
        rotated: config.size("qk_rope_head_dim")?,
        value: config.size("v_head_dim")?,
        gate: false,
        rank_eps: RANK_EPS,
        scale: 0.0,
        scope: Scope::All,
        rope: Some(rope.rope),
    };
    let inner = config.size("moe_intermediate_size")?;
    let router = if second { router_of_v2(config)? } else { routing::sigmoid_of_config(config)? };
    Ok(Shape {
        vocab: config.size("vocab_size")?,
        hidden: config.size("hidden_size")?,
        norm_eps: config.positive("rms_norm_eps")? as f32,
        context: config.size("max_position_embeddings")?,
        tied_head: config.flag_or("tie_word_embeddings", false)?,
        mtp_layers: grouped::mtp_of_config(config)?,
        layers: layer_count(config, "num_hidden_layers")?,
        dense_layers: dense_layers(config)?,
        dense_inner: config.size("intermediate_size")?,
        mla: Mla { scale: softmax_scale(&mla, rope.score_magnitude), ..mla },
        moe: Moe::of(
            config.size("n_routed_experts")?,
            inner,
            inner * config.size_or("n_shared_experts", 0)?,
            router,
        ),
    })
}

fn router_of_v2(config: &Config<'_>) -> Result<Router> {
    config.require("scoring_func", "softmax")?;
    // The published class never renormalises, so a configuration that asks for it would be misread.
    config.require("norm_topk_prob", false)?;
    let limited = match config.text_or("topk_method", "")? {
        "greedy" => false,
        "group_limited_greedy" => true,
        _ => return Err(config.err_implemented("topk_method", "greedy or group_limited_greedy")),
    };
    let (count, keep) = (config.size_or("n_group", 1)?, config.size_or("topk_group", 1)?);
    Ok(Router {
        top_k: config.size("num_experts_per_tok")?,
        by_token: false,
        logit_bias: false,
        score: Score::Softmax,
        bias: false,
        groups: routing::groups(count, keep, GroupScore::Best).filter(|_| limited),
        normalise: false,
        scale: config.positive("routed_scaling_factor")? as f32,
    })
}

/// Layers without experts, which come first. transformers tells them as a list.
fn dense_layers(config: &Config<'_>) -> Result<usize> {
    let Some(told) = config.get("mlp_layer_types") else { return config.size_or("first_k_dense_replace", 0) };
    let told: Vec<&str> = told.as_array().into_iter().flatten().filter_map(|kind| kind.as_str()).collect();
    let dense = told.iter().take_while(|kind| **kind == "dense").count();
    match told[dense..].iter().all(|kind| *kind == "sparse")
        && told.len() == config.size("num_hidden_layers")?
    {
        true => Ok(dense),
        false => Err(config.err_implemented("mlp_layer_types", "dense, then sparse, one a layer")),
    }
}

/// A rotation, and what YaRN asks of the attention scores beside it.
struct Rotation {
    rope: Rope,
    score_magnitude: f64,
}

fn softmax_scale(mla: &Mla, score_magnitude: f64) -> f32 {
    ((mla.head() as f64).powf(-0.5) * score_magnitude * score_magnitude) as f32
}

fn rope_of_config(config: &Config<'_>, second: bool) -> Result<Rotation> {
    // DeepSeek-V2 always rotates adjacent dimensions; V3 may be told otherwise.
    let adjacent = second || config.flag_or("rope_interleave", true)?;
    let pairs = if adjacent { RopePairs::Adjacent } else { RopePairs::Halves };
    let rope = rotation::of_config(config, config.size("qk_rope_head_dim")?, pairs, Some(1e4))?;
    let all_dim = match rotation::scaling(config)? {
        Some(scaling) => scaling.number_or("mscale_all_dim", 0.0)?,
        None => 0.0,
    };
    Ok(with_temperature(rope, all_dim))
}

/// YaRN's temperature is on the scores, squared, by `mscale_all_dim`, where the model tells one.
fn with_temperature(rope: Rope, all_dim: f64) -> Rotation {
    let score_magnitude = match &rope.stretch {
        Stretch::Yarn(yarn) if all_dim != 0.0 => rotation::temperature(yarn.factor, all_dim),
        _ => 1.0,
    };
    Rotation { rope, score_magnitude }
}

/// What the keys of a GGUF file tell; `old` where files from before some of them existed are about.
pub(super) fn shape_of_gguf(config: &Config<'_>, shapes: Shapes<'_>, old: bool) -> Result<Shape> {
    let embedding = shapes("token_embd.weight").unwrap_or_default();
    let (layers, mtp_layers) = grouped::layers_of_gguf(config)?;
    let dense_layers = config.size_or("leading_dense_block_count", 0)?;
    let has_bias = |layer: usize| shapes(&format!("blk.{layer}.exp_probs_b.bias")).is_some();
    let biased = (dense_layers..layers).any(has_bias);
    // Files from before the split of the latent projection (April 2025) tell a head's own widths in the plain keys.
    let split = config.get("attention.key_length_mla").is_some();
    let (key, value) = match split {
        true => ("attention.key_length_mla", "attention.value_length_mla"),
        false => ("attention.key_length", "attention.value_length"),
    };
    let rotated = config.size("rope.dimension_count")?;
    let nope = config.size(key)?.checked_sub(rotated).filter(|nope| *nope > 0);
    let rope = rope_of_gguf(config, shapes, rotated)?;
    let mla = Mla {
        heads: config.size("attention.head_count")?,
        query_rank: Some(config.size_or("attention.q_lora_rank", 0)?).filter(|rank| *rank > 0),
        latent: config.size("attention.kv_lora_rank")?,
        nope: nope.ok_or_else(|| config.err_expected(key, "more than rope.dimension_count"))?,
        rotated,
        value: config.size(value)?,
        gate: false,
        rank_eps: RANK_EPS,
        scale: 0.0,
        scope: Scope::All,
        rope: Some(rope.rope),
    };
    let inner = config.size("expert_feed_forward_length")?;
    Ok(Shape {
        vocab: embedding.first().map_or(0, |rows| *rows as usize),
        hidden: config.size("embedding_length")?,
        norm_eps: config.positive("attention.layer_norm_rms_epsilon")? as f32,
        context: config.size("context_length")?,
        tied_head: shapes("output.weight").is_none(),
        mtp_layers,
        layers,
        dense_layers,
        dense_inner: config.size("feed_forward_length")?,
        mla: Mla { scale: softmax_scale(&mla, rope.score_magnitude), ..mla },
        moe: Moe::of(
            config.size("expert_count")?,
            inner,
            inner * config.size_or("expert_shared_count", 0)?,
            routing::of_gguf(config, biased, old)?,
        ),
    })
}

fn rope_of_gguf(config: &Config<'_>, shapes: Shapes<'_>, dims: usize) -> Result<Rotation> {
    let mut rope = rotation::of_gguf(config, shapes, dims, RopePairs::Adjacent, true)?;
    let Stretch::Yarn(yarn) = &mut rope.stretch else { return Ok(with_temperature(rope, 0.0)) };
    // Published models have mscale = mscale_all_dim, so the factor on cosines and sines is 1; no key tells it.
    yarn.magnitude = 1.0;
    // The key holds 0.1 * mscale_all_dim. Without it three readers disagree on what was meant, so it is required.
    let all_dim = config.number("rope.scaling.yarn_log_multiplier")? / 0.1;
    Ok(with_temperature(rope, all_dim))
}

/// What both readers find, before it is checked and laid out in layers.
pub(super) struct Shape {
    vocab: usize,
    hidden: usize,
    norm_eps: f32,
    context: usize,
    tied_head: bool,
    mtp_layers: usize,
    pub(super) layers: usize,
    dense_layers: usize,
    dense_inner: usize,
    mla: Mla,
    moe: Moe,
}

impl Shape {
    /// The model, whose layers attend to what `scope` says of each.
    pub(super) fn spec(self, family: &'static str, scope: &dyn Fn(usize) -> Scope) -> Result<ModelSpec> {
        let layer = |index: usize| LayerSpec {
            mixer: Mixer::Mla(Mla { scope: scope(index), ..self.mla.clone() }),
            ffn: match index < self.dense_layers {
                true => Ffn::Dense { inner: self.dense_inner, gate: Gate::Silu },
                false => Ffn::Moe(self.moe.clone()),
            },
        };
        let layers = (0..self.layers).map(layer).collect();
        let spec = ModelSpec {
            family,
            vocab: self.vocab,
            hidden: self.hidden,
            norm_eps: self.norm_eps,
            norm_offset: 0.0,
            context: self.context,
            tied_head: self.tied_head,
            mtp_layers: self.mtp_layers,
            residuals: None,
            streams: None,
            layers,
        };
        spec.checked()
    }
}

/// Latent attention.
pub(super) const NAMES: Table = &[
    ("model.layers.{layer}.self_attn.q_proj.weight", Slot::Layer(W::Query)),
    ("model.layers.{layer}.self_attn.q_a_proj.weight", Slot::Layer(W::QueryDown)),
    ("model.layers.{layer}.self_attn.q_a_layernorm.weight", Slot::Layer(W::QueryNorm)),
    ("model.layers.{layer}.self_attn.q_b_proj.weight", Slot::Layer(W::QueryUp)),
    ("model.layers.{layer}.self_attn.kv_a_proj_with_mqa.weight", Slot::Layer(W::LatentDown)),
    ("model.layers.{layer}.self_attn.kv_a_layernorm.weight", Slot::Layer(W::LatentNorm)),
    ("model.layers.{layer}.self_attn.kv_b_proj.weight", Slot::Layer(W::LatentUp)),
    ("model.layers.{layer}.self_attn.o_proj.weight", Slot::Layer(W::MixerOut)),
];

/// GGUF: latent attention.
pub(super) const GGUF_NAMES: Table = &[
    ("blk.{layer}.attn_q.weight", Slot::Layer(W::Query)),
    ("blk.{layer}.attn_q_a.weight", Slot::Layer(W::QueryDown)),
    ("blk.{layer}.attn_q_a_norm.weight", Slot::Layer(W::QueryNorm)),
    ("blk.{layer}.attn_q_b.weight", Slot::Layer(W::QueryUp)),
    ("blk.{layer}.attn_kv_a_mqa.weight", Slot::Layer(W::LatentDown)),
    ("blk.{layer}.attn_kv_a_norm.weight", Slot::Layer(W::LatentNorm)),
    ("blk.{layer}.attn_kv_b.weight", Slot::Layer(W::LatentUp)),
    ("blk.{layer}.attn_k_b.weight", Slot::Layer(W::KeyUp)),
    ("blk.{layer}.attn_v_b.weight", Slot::Layer(W::ValueUp)),
    ("blk.{layer}.attn_output.weight", Slot::Layer(W::MixerOut)),
];
