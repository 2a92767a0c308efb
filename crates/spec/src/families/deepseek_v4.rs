//! DeepSeek-V4: attention to a window and to compressed rows, several residual streams, and experts that in the first
//! layers hang on the token alone.
//!
//! Layers are told by how many tokens their rows stand for: 0 has no such rows, 4 has rows that overlap and an indexer that
//! chooses among them, 128 has rows that all see. The names are those that DeepSeek publishes.

use base::{Error, Result};

use super::{Family, Shapes, grouped, layer_count, rotation, tables};
use crate::names::Table;
use crate::{
    Compressed, Compressor, Config, ExpertPart, Ffn, Gate, Indexer, LayerSpec, LayerWeight as W, Mixer,
    ModelSpec, Moe, Role, Rope, RopePairs, Router, Score, Skip, Slot, Streams, Stretch,
};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "deepseek_v4",
    model_types: &["deepseek_v4"],
    gguf_architectures: &["deepseek4"],
    read_config,
    read_gguf,
    names: &[NAMES],
    prefix: "",
    gguf_names: &[tables::GGUF_FRAME, tables::GGUF_FFN_NORM, GGUF_NAMES, tables::GGUF_EXPERTS],
    skips: &[Skip { prefix: "mtp.", reason: "multi-token prediction" }],
};

/// YaRN leaves cosines and sines as they are, unless the configuration says otherwise.
const MAGNITUDE: f64 = 1.0;

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("hidden_act", "silu")?;
    config.require("attention_bias", false)?;
    config.require("num_key_value_heads", 1)?;
    config.require("n_shared_experts", 1)?;
    config.require_present("scoring_func", "sqrtsoftplus")?;
    config.require("topk_method", "noaux_tc")?;
    config.require("norm_topk_prob", true)?;
    let layers = layer_count(&config, "num_hidden_layers")?;
    let rope =
        rotation::of_config(&config, config.size("qk_rope_head_dim")?, RopePairs::Adjacent, Some(1e4))?;
    let told = rotation::scaling(&config)?;
    let magnitude = told.map_or(Ok(MAGNITUDE), |scaling| scaling.number_or("attention_factor", MAGNITUDE))?;
    let inner = config.size("moe_intermediate_size")?;
    Shape {
        vocab: config.size("vocab_size")?,
        hidden: config.size("hidden_size")?,
        norm_eps: config.positive("rms_norm_eps")? as f32,
        context: config.size("max_position_embeddings")?,
        tied_head: config.flag_or("tie_word_embeddings", false)?,
        mtp_layers: grouped::mtp_of_config(&config)?,
        streams: Streams {
            count: config.size("hc_mult")?,
            rounds: config.size("hc_sinkhorn_iters")?,
            eps: config.number("hc_eps")? as f32,
        },
        heads: config.size("num_attention_heads")?,
        head: config.size("head_dim")?,
        query_rank: config.size("q_lora_rank")?,
        groups: config.size("o_groups")?,
        group_rank: config.size("o_lora_rank")?,
        window: config.size("sliding_window")?,
        ropes: Ropes::new(rope, config.positive("compress_rope_theta")?, magnitude),
        ratios: whole_numbers(&config, "compress_ratios", layers)?,
        indexer: Indexer {
            heads: config.size("index_n_heads")?,
            head: config.size("index_head_dim")?,
            top_k: config.size("index_topk")?,
            pairs: RopePairs::Adjacent,
        },
        by_token: config.size_or("num_hash_layers", 0)?,
        moe: Moe::of(
            config.size("n_routed_experts")?,
            inner,
            inner,
            router(config.size("num_experts_per_tok")?, config.positive("routed_scaling_factor")?),
        ),
        limits: vec![config.positive("swiglu_limit")?; layers],
    }
    .spec(&config, "compress_ratios")
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    config.require_present("expert_gating_func", 4)?;
    config.require("expert_weights_norm", true)?;
    config.require("expert_shared_count", 1)?;
    config.require("attention.head_count_kv", 1)?;
    config.require("hyper_connection.magnitude", 2.0)?;
    let (layers, mtp_layers) = grouped::layers_of_gguf(&config)?;
    let dims = config.size("rope.dimension_count")?;
    let rope = rotation::of_gguf(&config, shapes, dims, RopePairs::Adjacent, true)?;
    if rope.stretch == Stretch::Stored {
        return Err(Error::unsupported("rope_freqs.weight, factors of the rotation, beside compressed rows"));
    }
    let limits = numbers(&config, "swiglu_clamp_exp", layers)?;
    if config.get("swiglu_clamp_shexp").is_some() && numbers(&config, "swiglu_clamp_shexp", layers)? != limits
    {
        return Err(config.err_implemented("swiglu_clamp_shexp", "the same as swiglu_clamp_exp"));
    }
    let inner = config.size("expert_feed_forward_length")?;
    let embedding = shapes("token_embd.weight").unwrap_or_default();
    Shape {
        vocab: embedding.first().map_or(0, |rows| *rows as usize),
        hidden: config.size("embedding_length")?,
        norm_eps: config.positive("attention.layer_norm_rms_epsilon")? as f32,
        context: config.size("context_length")?,
        tied_head: shapes("output.weight").is_none(),
        mtp_layers,
        streams: Streams {
            count: config.size("hyper_connection.count")?,
            rounds: config.size("hyper_connection.sinkhorn_iterations")?,
            eps: config.number("hyper_connection.epsilon")? as f32,
        },
        heads: config.size("attention.head_count")?,
        head: config.size("attention.key_length")?,
        query_rank: config.size("attention.q_lora_rank")?,
        groups: config.size("attention.output_group_count")?,
        group_rank: config.size("attention.output_lora_rank")?,
        window: config.size("attention.sliding_window")?,
        ropes: Ropes::new(rope, config.positive("attention.compress_rope_freq_base")?, MAGNITUDE),
        ratios: whole_numbers(&config, "attention.compress_ratios", layers)?,
        indexer: super::indexers::of_gguf(&config, RopePairs::Adjacent)?,
        by_token: config.size_or("hash_layer_count", 0)?,
        moe: Moe::of(
            config.size("expert_count")?,
            inner,
            inner,
            router(config.size("expert_used_count")?, config.positive("expert_weights_scale")?),
        ),
        limits,
    }
    .spec(&config, "attention.compress_ratios")
}

fn router(top_k: usize, scale: f64) -> Router {
    Router {
        top_k,
        by_token: false,
        logit_bias: false,
        score: Score::RootSoftplus,
        bias: true,
        groups: None,
        normalise: true,
        scale: scale as f32,
    }
}

/// Of layers with a window alone, and of those with compressed rows, which alone are stretched.
struct Ropes {
    plain: Rope,
    compressed: Rope,
}

impl Ropes {
    fn new(told: Rope, theta: f64, magnitude: f64) -> Self {
        let mut compressed = Rope { theta, ..told.clone() };
        if let Stretch::Yarn(yarn) = &mut compressed.stretch {
            yarn.magnitude = magnitude;
        }
        Self { plain: Rope { stretch: Stretch::None, ..told }, compressed }
    }
}

/// A number of each layer, behind which may be those of layers that predict several tokens ahead; or one for all.
fn numbers(config: &Config<'_>, key: &str, layers: usize) -> Result<Vec<f64>> {
    let wanted = "a number for each layer";
    let Some(list) = config.get(key).and_then(|value| value.as_array()) else {
        return Ok(vec![config.number(key)?; layers]);
    };
    let told: Option<Vec<f64>> = list.iter().take(layers).map(|number| number.as_f64()).collect();
    told.filter(|told| told.len() == layers).ok_or_else(|| config.err_expected(key, wanted))
}

fn whole_numbers(config: &Config<'_>, key: &str, layers: usize) -> Result<Vec<usize>> {
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as usize);
    let found: Option<Vec<usize>> = numbers(config, key, layers)?.into_iter().map(whole).collect();
    found.ok_or_else(|| config.err_expected(key, "whole numbers"))
}

/// What both readers find.
struct Shape {
    vocab: usize,
    hidden: usize,
    norm_eps: f32,
    context: usize,
    tied_head: bool,
    mtp_layers: usize,
    streams: Streams,
    heads: usize,
    head: usize,
    query_rank: usize,
    groups: usize,
    group_rank: usize,
    window: usize,
    ropes: Ropes,
    /// Tokens to a compressed row of each layer.
    ratios: Vec<usize>,
    indexer: Indexer,
    /// The first layers whose experts hang on the token.
    by_token: usize,
    moe: Moe,
    /// What gates and ups of each layer are clamped to.
    limits: Vec<f64>,
}

impl Shape {
    /// `key` is what ratios are told as.
    fn spec(self, config: &Config<'_>, key: &str) -> Result<ModelSpec> {
        let mut layers = Vec::with_capacity(self.ratios.len());
        for (index, (ratio, limit)) in self.ratios.iter().zip(&self.limits).enumerate() {
            let (overlaps, indexer) = match ratio {
                0 | 128 => (false, None),
                4 => (true, Some(self.indexer.clone())),
                _ => return Err(config.err_implemented(key, "0, 4 and 128")),
            };
            let compressor = Some(Compressor { ratio: *ratio, overlaps, indexer }).filter(|_| *ratio > 0);
            let rope = if *ratio > 0 { &self.ropes.compressed } else { &self.ropes.plain };
            let by_token = index < self.by_token;
            let router = Router { by_token, bias: !by_token, ..self.moe.router.clone() };
            let gate = Gate::Clamped { alpha: 1.0, shift: 0.0, limit: *limit as f32 };
            layers.push(LayerSpec {
                mixer: Mixer::Compressed(Compressed {
                    heads: self.heads,
                    head: self.head,
                    query_rank: self.query_rank,
                    groups: self.groups,
                    group_rank: self.group_rank,
                    window: self.window,
                    compressor,
                    rope: rope.clone(),
                }),
                ffn: Ffn::Moe(Moe { gate, router, ..self.moe.clone() }),
            });
        }
        ModelSpec {
            family: FAMILY.name,
            vocab: self.vocab,
            hidden: self.hidden,
            norm_eps: self.norm_eps,
            norm_offset: 0.0,
            context: self.context,
            tied_head: self.tied_head,
            mtp_layers: self.mtp_layers,
            residuals: None,
            streams: Some(self.streams),
            layers,
        }
        .checked()
    }
}

const NAMES: Table = &[
    ("embed.weight", Slot::Model(Role::Embedding)),
    ("norm.weight", Slot::Model(Role::OutputNorm)),
    ("head.weight", Slot::Model(Role::Head)),
    ("hc_head_fn", Slot::Model(Role::OutputMix)),
    ("hc_head_base", Slot::Model(Role::OutputMixBias)),
    ("hc_head_scale", Slot::Model(Role::OutputMixScale)),
    ("layers.{layer}.attn_norm.weight", Slot::Layer(W::MixerNorm)),
    ("layers.{layer}.ffn_norm.weight", Slot::Layer(W::FfnNorm)),
    ("layers.{layer}.hc_attn_fn", Slot::Layer(W::MixerMix)),
    ("layers.{layer}.hc_attn_base", Slot::Layer(W::MixerMixBias)),
    ("layers.{layer}.hc_attn_scale", Slot::Layer(W::MixerMixScale)),
    ("layers.{layer}.hc_ffn_fn", Slot::Layer(W::FfnMix)),
    ("layers.{layer}.hc_ffn_base", Slot::Layer(W::FfnMixBias)),
    ("layers.{layer}.hc_ffn_scale", Slot::Layer(W::FfnMixScale)),
    ("layers.{layer}.attn.wq_a.weight", Slot::Layer(W::QueryDown)),
    ("layers.{layer}.attn.q_norm.weight", Slot::Layer(W::QueryNorm)),
    ("layers.{layer}.attn.wq_b.weight", Slot::Layer(W::QueryUp)),
    ("layers.{layer}.attn.wkv.weight", Slot::Layer(W::Key)),
    ("layers.{layer}.attn.kv_norm.weight", Slot::Layer(W::KeyNorm)),
    ("layers.{layer}.attn.wo_a.weight", Slot::Layer(W::MixerOutDown)),
    ("layers.{layer}.attn.wo_b.weight", Slot::Layer(W::MixerOut)),
    ("layers.{layer}.attn.attn_sink", Slot::Layer(W::Sinks)),
    ("layers.{layer}.attn.compressor.wkv.weight", Slot::Layer(W::CompressedKey)),
    ("layers.{layer}.attn.compressor.wgate.weight", Slot::Layer(W::CompressedGate)),
    ("layers.{layer}.attn.compressor.ape", Slot::Layer(W::CompressedPlaces)),
    ("layers.{layer}.attn.compressor.norm.weight", Slot::Layer(W::CompressedNorm)),
    ("layers.{layer}.attn.indexer.wq_b.weight", Slot::Layer(W::IndexQuery)),
    ("layers.{layer}.attn.indexer.weights_proj.weight", Slot::Layer(W::IndexWeights)),
    ("layers.{layer}.attn.indexer.compressor.wkv.weight", Slot::Layer(W::IndexKey)),
    ("layers.{layer}.attn.indexer.compressor.wgate.weight", Slot::Layer(W::IndexGate)),
    ("layers.{layer}.attn.indexer.compressor.ape", Slot::Layer(W::IndexPlaces)),
    ("layers.{layer}.attn.indexer.compressor.norm.weight", Slot::Layer(W::IndexNorm)),
    ("layers.{layer}.ffn.gate.weight", Slot::Layer(W::Router)),
    ("layers.{layer}.ffn.gate.bias", Slot::Layer(W::RouterBias)),
    ("layers.{layer}.ffn.gate.tid2eid", Slot::Layer(W::ExpertTable)),
    ("layers.{layer}.ffn.experts.{expert}.w1.weight", Slot::Expert(ExpertPart::Gate)),
    ("layers.{layer}.ffn.experts.{expert}.w3.weight", Slot::Expert(ExpertPart::Up)),
    ("layers.{layer}.ffn.experts.{expert}.w2.weight", Slot::Expert(ExpertPart::Down)),
    ("layers.{layer}.ffn.shared_experts.w1.weight", Slot::Layer(W::SharedGate)),
    ("layers.{layer}.ffn.shared_experts.w3.weight", Slot::Layer(W::SharedUp)),
    ("layers.{layer}.ffn.shared_experts.w2.weight", Slot::Layer(W::SharedDown)),
];

const GGUF_NAMES: Table = &[
    ("output_hc_fn.weight", Slot::Model(Role::OutputMix)),
    ("output_hc_base.weight", Slot::Model(Role::OutputMixBias)),
    ("output_hc_scale.weight", Slot::Model(Role::OutputMixScale)),
    ("blk.{layer}.hc_attn_fn.weight", Slot::Layer(W::MixerMix)),
    ("blk.{layer}.hc_attn_base.weight", Slot::Layer(W::MixerMixBias)),
    ("blk.{layer}.hc_attn_scale.weight", Slot::Layer(W::MixerMixScale)),
    ("blk.{layer}.hc_ffn_fn.weight", Slot::Layer(W::FfnMix)),
    ("blk.{layer}.hc_ffn_base.weight", Slot::Layer(W::FfnMixBias)),
    ("blk.{layer}.hc_ffn_scale.weight", Slot::Layer(W::FfnMixScale)),
    ("blk.{layer}.attn_q_a.weight", Slot::Layer(W::QueryDown)),
    ("blk.{layer}.attn_q_a_norm.weight", Slot::Layer(W::QueryNorm)),
    ("blk.{layer}.attn_q_b.weight", Slot::Layer(W::QueryUp)),
    ("blk.{layer}.attn_kv.weight", Slot::Layer(W::Key)),
    ("blk.{layer}.attn_kv_a_norm.weight", Slot::Layer(W::KeyNorm)),
    ("blk.{layer}.attn_output_a.weight", Slot::Layer(W::MixerOutDown)),
    ("blk.{layer}.attn_output_b.weight", Slot::Layer(W::MixerOut)),
    ("blk.{layer}.attn_sinks.weight", Slot::Layer(W::Sinks)),
    ("blk.{layer}.attn_compressor_kv.weight", Slot::Layer(W::CompressedKey)),
    ("blk.{layer}.attn_compressor_gate.weight", Slot::Layer(W::CompressedGate)),
    ("blk.{layer}.attn_compressor_ape.weight", Slot::Layer(W::CompressedPlaces)),
    ("blk.{layer}.attn_compressor_norm.weight", Slot::Layer(W::CompressedNorm)),
    ("blk.{layer}.indexer.attn_q_b.weight", Slot::Layer(W::IndexQuery)),
    ("blk.{layer}.indexer.proj.weight", Slot::Layer(W::IndexWeights)),
    ("blk.{layer}.indexer_compressor_kv.weight", Slot::Layer(W::IndexKey)),
    ("blk.{layer}.indexer_compressor_gate.weight", Slot::Layer(W::IndexGate)),
    ("blk.{layer}.indexer_compressor_ape.weight", Slot::Layer(W::IndexPlaces)),
    ("blk.{layer}.indexer_compressor_norm.weight", Slot::Layer(W::IndexNorm)),
    ("blk.{layer}.ffn_gate_tid2eid.weight", Slot::Layer(W::ExpertTable)),
];
