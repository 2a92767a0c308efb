//! Names that several families share, in both formats.

use crate::names::Table;
use crate::{ExpertPart, LayerWeight as W, Role, Slot};

/// Everything but what attention and the feed-forward network hold.
pub(super) const FRAME: Table = &[
    ("model.embed_tokens.weight", Slot::Model(Role::Embedding)),
    ("model.norm.weight", Slot::Model(Role::OutputNorm)),
    ("lm_head.weight", Slot::Model(Role::Head)),
    ("model.layers.{layer}.input_layernorm.weight", Slot::Layer(W::MixerNorm)),
    ("model.layers.{layer}.post_attention_layernorm.weight", Slot::Layer(W::FfnNorm)),
];

/// Grouped-query attention.
pub(super) const ATTENTION: Table = &[
    ("model.layers.{layer}.self_attn.q_proj.weight", Slot::Layer(W::Query)),
    ("model.layers.{layer}.self_attn.q_proj.bias", Slot::Layer(W::QueryBias)),
    ("model.layers.{layer}.self_attn.k_proj.weight", Slot::Layer(W::Key)),
    ("model.layers.{layer}.self_attn.k_proj.bias", Slot::Layer(W::KeyBias)),
    ("model.layers.{layer}.self_attn.v_proj.weight", Slot::Layer(W::Value)),
    ("model.layers.{layer}.self_attn.v_proj.bias", Slot::Layer(W::ValueBias)),
    ("model.layers.{layer}.self_attn.o_proj.weight", Slot::Layer(W::MixerOut)),
    ("model.layers.{layer}.self_attn.o_proj.bias", Slot::Layer(W::MixerOutBias)),
    ("model.layers.{layer}.self_attn.q_norm.weight", Slot::Layer(W::QueryNorm)),
    ("model.layers.{layer}.self_attn.k_norm.weight", Slot::Layer(W::KeyNorm)),
];

/// A feed-forward network without experts.
pub(super) const DENSE: Table = &[
    ("model.layers.{layer}.mlp.gate_proj.weight", Slot::Layer(W::Gate)),
    ("model.layers.{layer}.mlp.up_proj.weight", Slot::Layer(W::Up)),
    ("model.layers.{layer}.mlp.down_proj.weight", Slot::Layer(W::Down)),
];

/// Experts, as most families call them.
pub(super) const EXPERTS: Table = &[
    ("model.layers.{layer}.mlp.gate.weight", Slot::Layer(W::Router)),
    ("model.layers.{layer}.mlp.gate.e_score_correction_bias", Slot::Layer(W::RouterBias)),
    ("model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight", Slot::Expert(ExpertPart::Gate)),
    ("model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", Slot::Expert(ExpertPart::Up)),
    ("model.layers.{layer}.mlp.experts.{expert}.down_proj.weight", Slot::Expert(ExpertPart::Down)),
    ("model.layers.{layer}.mlp.shared_experts.gate_proj.weight", Slot::Layer(W::SharedGate)),
    ("model.layers.{layer}.mlp.shared_experts.up_proj.weight", Slot::Layer(W::SharedUp)),
    ("model.layers.{layer}.mlp.shared_experts.down_proj.weight", Slot::Layer(W::SharedDown)),
];

/// Experts as Mixtral calls them.
pub(super) const SPARSE_EXPERTS: Table = &[
    ("model.layers.{layer}.block_sparse_moe.gate.weight", Slot::Layer(W::Router)),
    ("model.layers.{layer}.block_sparse_moe.e_score_correction_bias", Slot::Layer(W::RouterBias)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight", Slot::Expert(ExpertPart::Gate)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight", Slot::Expert(ExpertPart::Up)),
    ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight", Slot::Expert(ExpertPart::Down)),
];

/// GGUF: everything but what attention and the feed-forward network hold.
pub(super) const GGUF_FRAME: Table = &[
    ("token_embd.weight", Slot::Model(Role::Embedding)),
    ("output_norm.weight", Slot::Model(Role::OutputNorm)),
    ("output.weight", Slot::Model(Role::Head)),
    ("rope_freqs.weight", Slot::Model(Role::RopeFactors)),
    ("blk.{layer}.attn_norm.weight", Slot::Layer(W::MixerNorm)),
];

/// GGUF: the norm before the feed-forward network, as most architectures call it.
pub(super) const GGUF_FFN_NORM: Table = &[("blk.{layer}.ffn_norm.weight", Slot::Layer(W::FfnNorm))];

/// GGUF: the same, as architectures call it that came later.
pub(super) const GGUF_POST_NORM: Table =
    &[("blk.{layer}.post_attention_norm.weight", Slot::Layer(W::FfnNorm))];

/// GGUF: grouped-query attention.
pub(super) const GGUF_ATTENTION: Table = &[
    ("blk.{layer}.attn_q.weight", Slot::Layer(W::Query)),
    ("blk.{layer}.attn_q.bias", Slot::Layer(W::QueryBias)),
    ("blk.{layer}.attn_k.weight", Slot::Layer(W::Key)),
    ("blk.{layer}.attn_k.bias", Slot::Layer(W::KeyBias)),
    ("blk.{layer}.attn_v.weight", Slot::Layer(W::Value)),
    ("blk.{layer}.attn_v.bias", Slot::Layer(W::ValueBias)),
    ("blk.{layer}.attn_output.weight", Slot::Layer(W::MixerOut)),
    ("blk.{layer}.attn_output.bias", Slot::Layer(W::MixerOutBias)),
    ("blk.{layer}.attn_q_norm.weight", Slot::Layer(W::QueryNorm)),
    ("blk.{layer}.attn_k_norm.weight", Slot::Layer(W::KeyNorm)),
];

/// GGUF: a feed-forward network without experts.
pub(super) const GGUF_DENSE: Table = &[
    ("blk.{layer}.ffn_gate.weight", Slot::Layer(W::Gate)),
    ("blk.{layer}.ffn_up.weight", Slot::Layer(W::Up)),
    ("blk.{layer}.ffn_down.weight", Slot::Layer(W::Down)),
];

/// GGUF: experts.
pub(super) const GGUF_EXPERTS: Table = &[
    ("blk.{layer}.ffn_gate_inp.weight", Slot::Layer(W::Router)),
    ("blk.{layer}.exp_probs_b.bias", Slot::Layer(W::RouterBias)),
    ("blk.{layer}.ffn_gate_exps.weight", Slot::Stack(ExpertPart::Gate)),
    ("blk.{layer}.ffn_up_exps.weight", Slot::Stack(ExpertPart::Up)),
    ("blk.{layer}.ffn_down_exps.weight", Slot::Stack(ExpertPart::Down)),
    ("blk.{layer}.ffn_gate_shexp.weight", Slot::Layer(W::SharedGate)),
    ("blk.{layer}.ffn_up_shexp.weight", Slot::Layer(W::SharedUp)),
    ("blk.{layer}.ffn_down_shexp.weight", Slot::Layer(W::SharedDown)),
];
