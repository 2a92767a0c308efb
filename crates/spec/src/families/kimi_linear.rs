//! Kimi-Linear (48B-A3B): three layers of Kimi Delta Attention to one of latent attention without rotation, a dense
//! layer, then experts with sigmoid routing and a shared one. arXiv:2510.26692.

use base::Result;

use super::kimi::{self, Details};
use super::{Family, Shapes, deepseek_v3, tables};
use crate::{Config, Gate, ModelSpec};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "kimi_linear",
    model_types: &["kimi_linear"],
    gguf_architectures: &["kimi-linear"],
    read_config,
    read_gguf,
    names: &[
        tables::FRAME,
        kimi::NAMES,
        deepseek_v3::NAMES,
        tables::DENSE,
        kimi::EXPERTS,
        tables::SPARSE_EXPERTS,
    ],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_FFN_NORM,
        kimi::GGUF_NAMES,
        deepseek_v3::GGUF_NAMES,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
    ],
    skips: &[],
};

const DETAILS: Details = Details {
    family: FAMILY.name,
    gate: Gate::Silu,
    latent: None,
    attention_gate: false,
    whole_gate: false,
    bound: None,
    residuals: None,
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("hidden_act", "silu")?;
    kimi::read_config(&config, &DETAILS)
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    kimi::read_gguf(&config, shapes, &DETAILS)
}
