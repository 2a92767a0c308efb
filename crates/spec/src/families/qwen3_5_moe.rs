//! Qwen3.5-MoE (397B-A17B, 122B-A10B, 35B-A3B) and what came after in its class (3.6, 3.8): three layers of gated
//! DeltaNet to one of gated attention, experts in every layer, and a shared expert behind a gate.

use base::Result;

use super::delta::{self, Variant};
use super::{Family, Shapes, tables};
use crate::{Config, KeySharing, ModelSpec};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3_5_moe",
    model_types: &["qwen3_5_moe", "qwen3_5_moe_text"],
    gguf_architectures: &["qwen35moe"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, delta::MIXER, delta::INPUTS, tables::EXPERTS, delta::EXPERTS],
    prefix: "language_model.",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_ATTENTION,
        delta::GGUF_MIXER,
        delta::GGUF_RATES,
        tables::GGUF_EXPERTS,
        delta::GGUF_EXPERTS,
    ],
    skips: delta::SKIPS,
};

fn variant(sharing: KeySharing) -> Variant {
    Variant { family: FAMILY.name, sharing, joint_inputs: false, joint_rates: false, experts: true }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    delta::read_config(&config, &variant(KeySharing::Neighbours))
}

/// llama.cpp's converter deals heads of values out to heads of keys in turn.
fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    delta::read_gguf(&config, shapes, &variant(KeySharing::Strided))
}
