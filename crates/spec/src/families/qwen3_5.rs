//! Qwen3.5, dense: gated DeltaNet and gated attention as in its mixtures of experts, and one network for every token.

use base::Result;

use super::delta::{self, Variant};
use super::{Family, Shapes, tables};
use crate::{Config, KeySharing, ModelSpec};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3_5",
    model_types: &["qwen3_5", "qwen3_5_text"],
    gguf_architectures: &["qwen35"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, delta::MIXER, delta::INPUTS, tables::DENSE],
    prefix: "language_model.",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_ATTENTION,
        delta::GGUF_MIXER,
        delta::GGUF_RATES,
        tables::GGUF_DENSE,
    ],
    skips: delta::SKIPS,
};

fn variant(sharing: KeySharing) -> Variant {
    Variant { family: FAMILY.name, sharing, joint_inputs: false, joint_rates: false, experts: false }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    delta::read_config(&config, &variant(KeySharing::Neighbours))
}

/// llama.cpp's converter deals heads of values out to heads of keys in turn.
fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    delta::read_gguf(&config, shapes, &variant(KeySharing::Strided))
}
