//! Kimi K3: the mixers of Kimi-Linear, gated and with decays that are bounded; experts that work in a width of their own;
//! gates and ups that are bent towards a bound; and residuals in blocks that layers attend to.

use base::Result;

use super::kimi::{self, Details};
use super::{Family, Shapes, deepseek_v3, tables};
use crate::names::Table;
use crate::{BlockResiduals, Config, Gate, LayerWeight as W, ModelSpec, Role, Slot};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "kimi_k3",
    model_types: &["kimi_k3"],
    gguf_architectures: &["kimi-k3"],
    read_config,
    read_gguf,
    names: &[
        tables::FRAME,
        NAMES,
        kimi::NAMES,
        deepseek_v3::NAMES,
        tables::DENSE,
        kimi::EXPERTS,
        tables::SPARSE_EXPERTS,
    ],
    prefix: "language_model.",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_FFN_NORM,
        GGUF_NAMES,
        kimi::GGUF_NAMES,
        deepseek_v3::GGUF_NAMES,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
    ],
    skips: deepseek_v3::SKIPS,
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let config = config.child("text_config")?.unwrap_or(config);
    config.require_present("hidden_act", "situ")?;
    let latent = Some(config.size_or("routed_expert_hidden_size", 0)?).filter(|width| *width > 0);
    if latent.is_some() {
        config.require_present("latent_moe_use_norm", true)?;
    }
    let linear = kimi::linear(&config)?;
    let details = Details {
        family: FAMILY.name,
        gate: Gate::Soft {
            beta: config.positive("activation_situ_beta")? as f32,
            linear: config.positive("activation_situ_linear_beta")? as f32,
        },
        latent,
        attention_gate: config.flag_or("mla_use_output_gate", false)?,
        whole_gate: linear.flag_or("use_full_rank_gate", false)?,
        bound: bound(&linear, "gate_lower_bound")?,
        residuals: Some(BlockResiduals { layers: config.size("attn_res_block_size")?, fused: false }),
    };
    kimi::read_config(&config, &details)
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let details = Details {
        family: FAMILY.name,
        gate: Gate::Soft {
            beta: config.positive("activation.situ_beta")? as f32,
            linear: config.positive("activation.situ_linear_beta")? as f32,
        },
        latent: Some(config.size_or("expert_latent_length", 0)?).filter(|width| *width > 0),
        attention_gate: true,
        whole_gate: true,
        bound: bound(&config, "kda.gate_lower_bound")?,
        residuals: Some(BlockResiduals { layers: config.size("attn_res.block_size")?, fused: true }),
    };
    kimi::read_gguf(&config, shapes, &details)
}

/// The least that logarithms of decays come to.
fn bound(config: &Config<'_>, key: &str) -> Result<Option<f32>> {
    if config.get(key).is_none() {
        return Ok(None);
    }
    let bound = config.number(key)?;
    if bound < 0.0 { Ok(Some(bound as f32)) } else { Err(config.err_expected(key, "a number below 0")) }
}

const NAMES: Table = &[
    ("model.layers.{layer}.self_attn.g_proj.weight", Slot::Layer(W::OutGate)),
    ("model.layers.{layer}.self_attention_res_proj.weight", Slot::Layer(W::MixerScore)),
    ("model.layers.{layer}.self_attention_res_norm.weight", Slot::Layer(W::MixerScoreNorm)),
    ("model.layers.{layer}.mlp_res_proj.weight", Slot::Layer(W::FfnScore)),
    ("model.layers.{layer}.mlp_res_norm.weight", Slot::Layer(W::FfnScoreNorm)),
    ("model.output_attn_res_proj.weight", Slot::Model(Role::OutputScore)),
    ("model.output_attn_res_norm.weight", Slot::Model(Role::OutputScoreNorm)),
    ("model.layers.{layer}.block_sparse_moe.routed_expert_down_proj.weight", Slot::Layer(W::ExpertsDown)),
    ("model.layers.{layer}.block_sparse_moe.routed_expert_norm.weight", Slot::Layer(W::ExpertsNorm)),
    ("model.layers.{layer}.block_sparse_moe.routed_expert_up_proj.weight", Slot::Layer(W::ExpertsUp)),
];

const GGUF_NAMES: Table = &[
    ("blk.{layer}.ssm_g.weight", Slot::Layer(W::OutGate)),
    ("blk.{layer}.attn_gate.weight", Slot::Layer(W::OutGate)),
    ("blk.{layer}.attn_res_score.weight", Slot::Layer(W::MixerScore)),
    ("blk.{layer}.ffn_res_score.weight", Slot::Layer(W::FfnScore)),
    ("output_res_score.weight", Slot::Model(Role::OutputScore)),
    ("blk.{layer}.ffn_routed_down.weight", Slot::Layer(W::ExpertsDown)),
    ("blk.{layer}.ffn_routed_norm.weight", Slot::Layer(W::ExpertsNorm)),
    ("blk.{layer}.ffn_routed_up.weight", Slot::Layer(W::ExpertsUp)),
];
