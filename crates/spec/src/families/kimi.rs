//! What Kimi-Linear and Kimi K3 share: Kimi Delta Attention and latent attention without rotation, a dense layer, then
//! experts with sigmoid routing and a shared one.

use base::Result;

use super::{Shapes, deepseek_v3, grouped, layer_count, routing};
use crate::names::Table;
use crate::{
    BlockResiduals, Config, DeltaNet, Ffn, Gate, GroupScore, KeySharing, KimiDelta, LayerSpec,
    LayerWeight as W, Mixer, Mla, ModelSpec, Moe, Router, Scope, Score, Slot,
};

/// What of the one is not as the other has it.
pub(super) struct Details {
    pub(super) family: &'static str,
    /// How gates meet up projections, in dense networks and in experts.
    pub(super) gate: Gate,
    /// Width that routed experts work in, where it is not the model's.
    pub(super) latent: Option<usize>,
    /// Answers of latent attention are gated.
    pub(super) attention_gate: bool,
    /// Output gates of the others are projected in one step.
    pub(super) whole_gate: bool,
    /// The least that logarithms of decays come to.
    pub(super) bound: Option<f32>,
    pub(super) residuals: Option<BlockResiduals>,
}

/// Reads `config.json`.
pub(super) fn read_config(config: &Config<'_>, details: &Details) -> Result<ModelSpec> {
    config.require("moe_layer_freq", 1)?;
    config.require("mla_use_nope", true)?;
    let kinds = Kinds { mla: latent_of_config(config)?, net: delta_of_config(config)?, details };
    let inner = config.size("moe_intermediate_size")?;
    let shared = inner * config.size_or("num_shared_experts", 0)?;
    let moe = Moe::of(config.size("num_experts")?, inner, shared, router_of_config(config)?);
    let dense = config.size_or("first_k_dense_replace", 0)?;
    let dense_inner = config.size("intermediate_size")?;
    let attends = attending_of_config(config)?;
    ModelSpec {
        family: details.family,
        vocab: config.size("vocab_size")?,
        hidden: config.size("hidden_size")?,
        norm_eps: config.positive("rms_norm_eps")? as f32,
        norm_offset: 0.0,
        context: config.size(told(config, "model_max_length", "max_position_embeddings"))?,
        tied_head: config.flag_or("tie_word_embeddings", false)?,
        mtp_layers: grouped::mtp_of_config(config)?,
        residuals: details.residuals,
        streams: None,
        layers: kinds.layers(&attends, dense, dense_inner, &moe),
    }
    .checked()
}

/// The two kinds of mixers.
struct Kinds<'a> {
    mla: Mla,
    net: DeltaNet,
    details: &'a Details,
}

impl Kinds<'_> {
    /// Layers, of which the first `dense` have no experts, and those attend that are told.
    fn layers(self, attends: &[bool], dense: usize, dense_inner: usize, moe: &Moe) -> Vec<LayerSpec> {
        let Details { gate, latent, .. } = *self.details;
        let moe = Moe { gate, latent, ..moe.clone() };
        let mla = Mla { gate: self.details.attention_gate, ..self.mla };
        let rank = Some(self.net.key).filter(|_| !self.details.whole_gate);
        let kimi = KimiDelta { decay_rank: self.net.key, gate_rank: rank, bound: self.details.bound };
        let net = DeltaNet { kimi: Some(kimi), ..self.net };
        let mixer = |attends: bool| match attends {
            true => Mixer::Mla(mla.clone()),
            false => Mixer::Delta(net.clone()),
        };
        let ffn = |at: usize| match at < dense {
            true => Ffn::Dense { inner: dense_inner, gate },
            false => Ffn::Moe(moe.clone()),
        };
        attends
            .iter()
            .enumerate()
            .map(|(at, attends)| LayerSpec { mixer: mixer(*attends), ffn: ffn(at) })
            .collect()
    }
}

/// Of two keys that say the same, the one that is there; the first, when none is.
fn told<'a>(config: &Config<'_>, published: &'a str, renamed: &'a str) -> &'a str {
    if config.get(published).is_none() && config.get(renamed).is_some() { renamed } else { published }
}

fn latent_of_config(config: &Config<'_>) -> Result<Mla> {
    Ok(unrotated(Mla {
        heads: config.size("num_attention_heads")?,
        query_rank: Some(config.size_or("q_lora_rank", 0)?).filter(|rank| *rank > 0),
        latent: config.size("kv_lora_rank")?,
        nope: config.size("qk_nope_head_dim")?,
        rotated: config.size("qk_rope_head_dim")?,
        value: config.size("v_head_dim")?,
        gate: false,
        rank_eps: deepseek_v3::RANK_EPS,
        scale: 0.0,
        scope: Scope::All,
        rope: None,
    }))
}

/// The scale is that of whole heads, of which a part is called rotated that is not.
fn unrotated(mla: Mla) -> Mla {
    Mla { scale: (mla.head() as f64).powf(-0.5) as f32, ..mla }
}

/// What is told of layers that do not attend.
pub(super) fn linear<'a>(config: &Config<'a>) -> Result<Config<'a>> {
    let expected = || config.err_expected("linear_attn_config", "an object");
    config.child("linear_attn_config")?.ok_or_else(expected)
}

fn delta_of_config(config: &Config<'_>) -> Result<DeltaNet> {
    let linear = linear(config)?;
    let (heads, head) = (linear.size("num_heads")?, linear.size("head_dim")?);
    Ok(delta(heads, head, linear.size("short_conv_kernel_size")?, true))
}

/// As many heads of values as of keys, and as wide, which is also the low rank of projections.
fn delta(heads: usize, head: usize, kernel: usize, log_rates: bool) -> DeltaNet {
    DeltaNet {
        key_heads: heads,
        value_heads: heads,
        key: head,
        value: head,
        kernel,
        sharing: KeySharing::Neighbours,
        joint_inputs: false,
        joint_rates: false,
        log_rates,
        kimi: None,
    }
}

/// Which layers attend; the lists of both kinds count from 1.
fn attending_of_config(config: &Config<'_>) -> Result<Vec<bool>> {
    let (linear, count) = (linear(config)?, layer_count(config, "num_hidden_layers")?);
    let mut kinds = vec![None; count];
    for (key, attends) in [("full_attn_layers", true), ("kda_layers", false)] {
        let expected = || linear.err_expected(key, &format!("numbers from 1 to {count}, each in one list"));
        let numbers = linear.get(key).and_then(|numbers| numbers.as_array()).ok_or_else(expected)?;
        for number in numbers {
            let place = number.as_u64().and_then(|number| number.checked_sub(1));
            let place = place.and_then(|place| kinds.get_mut(place as usize));
            let kind = place.filter(|kind| kind.is_none()).ok_or_else(expected)?;
            *kind = Some(attends);
        }
    }
    let missing = || linear.err_expected("kda_layers", "every layer that full_attn_layers leaves out");
    kinds.into_iter().collect::<Option<_>>().ok_or_else(missing)
}

fn router_of_config(config: &Config<'_>) -> Result<Router> {
    config.require("moe_router_activation_func", "sigmoid")?;
    let groups = config.size_or(told(config, "num_expert_group", "n_group"), 1)?;
    Ok(Router {
        top_k: config.size(told(config, "num_experts_per_token", "num_experts_per_tok"))?,
        by_token: false,
        logit_bias: false,
        score: Score::Sigmoid,
        bias: true,
        groups: routing::groups(groups, config.size_or("topk_group", 1)?, GroupScore::TopTwo),
        normalise: config.flag_or(told(config, "moe_renormalize", "norm_topk_prob"), true)?,
        scale: config.positive("routed_scaling_factor")? as f32,
    })
}

/// Reads GGUF metadata.
pub(super) fn read_gguf(config: &Config<'_>, shapes: Shapes<'_>, details: &Details) -> Result<ModelSpec> {
    let embedding = shapes("token_embd.weight").unwrap_or_default();
    let (layers, mtp_layers) = grouped::layers_of_gguf(config)?;
    let (heads, rotated) = (config.size("attention.head_count")?, config.size("rope.dimension_count")?);
    let key = "attention.key_length_mla";
    let nope = config.size(key)?.checked_sub(rotated).filter(|nope| *nope > 0);
    let mla = unrotated(Mla {
        heads,
        query_rank: Some(config.size_or("attention.q_lora_rank", 0)?).filter(|rank| *rank > 0),
        latent: config.size("attention.kv_lora_rank")?,
        nope: nope.ok_or_else(|| config.err_expected(key, "more than rope.dimension_count"))?,
        rotated,
        value: config.size("attention.value_length_mla")?,
        gate: false,
        rank_eps: deepseek_v3::RANK_EPS,
        scale: 0.0,
        scope: Scope::All,
        rope: None,
    });
    let net = delta(heads, config.size("kda.head_dim")?, config.size("ssm.conv_kernel")?, false);
    let inner = config.size("expert_feed_forward_length")?;
    let shared = inner * config.size_or("expert_shared_count", 0)?;
    // Files of Kimi-Linear do not tell; the published model renormalises.
    let normalise = config.flag_or("expert_weights_norm", true)?;
    let router = Router { normalise, ..routing::of_gguf(config, true, false)? };
    let moe = Moe::of(config.size("expert_count")?, inner, shared, router);
    let dense = config.size_or("leading_dense_block_count", 0)?;
    let dense_inner = config.size("feed_forward_length")?;
    let attends = attending_of_gguf(config, layers)?;
    ModelSpec {
        family: details.family,
        vocab: embedding.first().map_or(0, |rows| *rows as usize),
        hidden: config.size("embedding_length")?,
        norm_eps: config.positive("attention.layer_norm_rms_epsilon")? as f32,
        norm_offset: 0.0,
        context: config.size("context_length")?,
        tied_head: shapes("output.weight").is_none(),
        mtp_layers,
        residuals: details.residuals,
        streams: None,
        layers: Kinds { mla, net, details }.layers(&attends, dense, dense_inner, &moe),
    }
    .checked()
}

/// Layers without heads of keys do not attend.
fn attending_of_gguf(config: &Config<'_>, layers: usize) -> Result<Vec<bool>> {
    let key = "attention.head_count_kv";
    let counts = config.get(key).and_then(|counts| counts.as_array()).filter(|counts| counts.len() >= layers);
    let counts =
        counts.ok_or_else(|| config.err_expected(key, &format!("a number for each of {layers} layers")))?;
    Ok(counts[..layers].iter().map(|count| *count != 0).collect())
}

/// What only layers of Kimi Delta Attention have, but for output gates; and output gates through a low rank.
pub(super) const NAMES: Table = &[
    ("model.layers.{layer}.self_attn.k_proj.weight", Slot::Layer(W::Key)),
    ("model.layers.{layer}.self_attn.v_proj.weight", Slot::Layer(W::Value)),
    ("model.layers.{layer}.self_attn.q_conv1d.weight", Slot::Layer(W::QueryConvolution)),
    ("model.layers.{layer}.self_attn.k_conv1d.weight", Slot::Layer(W::KeyConvolution)),
    ("model.layers.{layer}.self_attn.v_conv1d.weight", Slot::Layer(W::ValueConvolution)),
    ("model.layers.{layer}.self_attn.b_proj.weight", Slot::Layer(W::Strength)),
    ("model.layers.{layer}.self_attn.f_a_proj.weight", Slot::Layer(W::DecayDown)),
    ("model.layers.{layer}.self_attn.f_b_proj.weight", Slot::Layer(W::DecayUp)),
    ("model.layers.{layer}.self_attn.dt_bias", Slot::Layer(W::DecayBias)),
    ("model.layers.{layer}.self_attn.A_log", Slot::Layer(W::DecayRate)),
    ("model.layers.{layer}.self_attn.g_a_proj.weight", Slot::Layer(W::OutGateDown)),
    ("model.layers.{layer}.self_attn.g_b_proj.weight", Slot::Layer(W::OutGateUp)),
    ("model.layers.{layer}.self_attn.o_norm.weight", Slot::Layer(W::AnswerNorm)),
];

/// The shared expert and the router's bias; and dense layers as transformers saves them.
pub(super) const EXPERTS: Table = &[
    ("model.layers.{layer}.block_sparse_moe.gate.e_score_correction_bias", Slot::Layer(W::RouterBias)),
    ("model.layers.{layer}.block_sparse_moe.shared_experts.gate_proj.weight", Slot::Layer(W::SharedGate)),
    ("model.layers.{layer}.block_sparse_moe.shared_experts.up_proj.weight", Slot::Layer(W::SharedUp)),
    ("model.layers.{layer}.block_sparse_moe.shared_experts.down_proj.weight", Slot::Layer(W::SharedDown)),
    ("model.layers.{layer}.block_sparse_moe.gate_proj.weight", Slot::Layer(W::Gate)),
    ("model.layers.{layer}.block_sparse_moe.up_proj.weight", Slot::Layer(W::Up)),
    ("model.layers.{layer}.block_sparse_moe.down_proj.weight", Slot::Layer(W::Down)),
];

/// GGUF: what only layers of Kimi Delta Attention have.
pub(super) const GGUF_NAMES: Table = &[
    ("blk.{layer}.attn_k.weight", Slot::Layer(W::Key)),
    ("blk.{layer}.attn_v.weight", Slot::Layer(W::Value)),
    ("blk.{layer}.ssm_conv1d_q.weight", Slot::Layer(W::QueryConvolution)),
    ("blk.{layer}.ssm_conv1d_k.weight", Slot::Layer(W::KeyConvolution)),
    ("blk.{layer}.ssm_conv1d_v.weight", Slot::Layer(W::ValueConvolution)),
    ("blk.{layer}.ssm_beta.weight", Slot::Layer(W::Strength)),
    ("blk.{layer}.ssm_f_a.weight", Slot::Layer(W::DecayDown)),
    ("blk.{layer}.ssm_f_b.weight", Slot::Layer(W::DecayUp)),
    ("blk.{layer}.ssm_dt.bias", Slot::Layer(W::DecayBias)),
    ("blk.{layer}.ssm_a", Slot::Layer(W::DecayRate)),
    ("blk.{layer}.ssm_g_a.weight", Slot::Layer(W::OutGateDown)),
    ("blk.{layer}.ssm_g_b.weight", Slot::Layer(W::OutGateUp)),
    ("blk.{layer}.ssm_norm.weight", Slot::Layer(W::AnswerNorm)),
];
