//! The register of families, one line each.

mod tables;
mod rotation;
mod routing;
mod grouped;
mod delta;
mod deepseek_v3;
mod indexers;
mod deepseek_v32;
mod deepseek_v4;
mod glm_moe_dsa;
mod kimi;
mod glm4_moe;
mod gpt_oss;
mod kimi_k3;
mod kimi_linear;
mod llama;
mod minimax_m2;
mod olmoe;
mod qwen3;
mod qwen3_5;
mod qwen3_5_moe;
mod qwen3_moe;
mod qwen3_next;

use base::{Error, Quoted, Result};

use crate::check::LAYERS_MAX;
use crate::names::Table;
use crate::{Config, ModelSpec, Skip};

/// A family of models: how its configuration is read and what its tensors are called, in both published formats.
#[derive(Debug)]
pub struct Family {
    /// What we call it.
    pub name: &'static str,
    /// `model_type` of `config.json`.
    pub model_types: &'static [&'static str],
    /// `general.architecture` of a GGUF file.
    pub gguf_architectures: &'static [&'static str],
    /// Reads `config.json`.
    pub read_config: fn(Config<'_>) -> Result<ModelSpec>,
    /// Reads GGUF metadata, its keys without the architecture; and what only the tensors tell.
    pub read_gguf: fn(Config<'_>, Shapes<'_>) -> Result<ModelSpec>,
    /// Names in safetensors.
    pub names: &'static [Table],
    /// What may stand before all names in safetensors, or within.
    pub prefix: &'static str,
    /// Names in GGUF.
    pub gguf_names: &'static [Table],
    /// Tensors left out by rule.
    pub skips: &'static [Skip],
}

/// The shape of a tensor by its name, outermost first; `None` when the file has no such tensor.
pub type Shapes<'a> = &'a dyn Fn(&str) -> Option<Vec<u64>>;

/// Every family this engine runs.
pub const ALL: &[&Family] = &[
    &deepseek_v3::FAMILY,
    &deepseek_v32::FAMILY,
    &deepseek_v4::FAMILY,
    &glm_moe_dsa::FAMILY,
    &qwen3_moe::FAMILY,
    &qwen3::FAMILY,
    &qwen3_5_moe::FAMILY,
    &qwen3_5::FAMILY,
    &qwen3_next::FAMILY,
    &llama::FAMILY,
    &olmoe::FAMILY,
    &gpt_oss::FAMILY,
    &glm4_moe::FAMILY,
    &minimax_m2::FAMILY,
    &kimi_linear::FAMILY,
    &kimi_k3::FAMILY,
];

/// Bounded before anything is laid out layer by layer.
fn layer_count(config: &Config<'_>, key: &str) -> Result<usize> {
    let layers = config.size(key)?;
    if layers > LAYERS_MAX { Err(config.err_expected(key, "at most 1024 layers")) } else { Ok(layers) }
}

/// The family of `model_type`.
pub fn by_model_type(model_type: &str) -> Result<&'static Family> {
    find(model_type, "model_type", |family| family.model_types)
}

/// The family of a configuration without a `model_type`, by its keys.
pub fn by_keys(config: &Config<'_>) -> Option<&'static Family> {
    gpt_oss::is_original(config).then_some(&gpt_oss::FAMILY)
}

/// The family of a GGUF architecture.
pub fn by_gguf_architecture(architecture: &str) -> Result<&'static Family> {
    find(architecture, "architecture", |family| family.gguf_architectures)
}

fn find(
    name: &str,
    key: &str,
    names: impl Fn(&Family) -> &'static [&'static str],
) -> Result<&'static Family> {
    let known = || ALL.iter().flat_map(|family| names(family).iter().copied()).collect::<Vec<_>>().join(", ");
    let found = ALL.iter().find(|family| names(family).contains(&name)).copied();
    found.ok_or_else(|| {
        Error::unsupported(format!(
            "{key} {} is not a family this engine runs; it runs {}",
            Quoted(name),
            known()
        ))
    })
}
