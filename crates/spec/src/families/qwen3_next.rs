//! Qwen3-Next (80B-A3B) and Qwen3-Coder-Next: gated DeltaNet and gated attention three to one, as Qwen3.5 has them, but
//! projected together, head of keys by head of keys.

use base::Result;

use super::delta::{self, Variant};
use super::{Family, Shapes, tables};
use crate::names::Table;
use crate::{Config, KeySharing, LayerWeight as W, ModelSpec, Slot};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3_next",
    model_types: &["qwen3_next"],
    gguf_architectures: &["qwen3next"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, delta::MIXER, INPUTS, tables::EXPERTS, delta::EXPERTS],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_ATTENTION,
        delta::GGUF_MIXER,
        GGUF_RATES,
        tables::GGUF_EXPERTS,
        delta::GGUF_EXPERTS,
    ],
    skips: delta::SKIPS,
};

const INPUTS: Table = &[
    ("model.layers.{layer}.linear_attn.in_proj_qkvz.weight", Slot::Layer(W::JointInputs)),
    ("model.layers.{layer}.linear_attn.in_proj_ba.weight", Slot::Layer(W::JointRates)),
];

const GGUF_RATES: Table = &[("blk.{layer}.ssm_ba.weight", Slot::Layer(W::JointRates))];

fn variant(joint_inputs: bool) -> Variant {
    let sharing = KeySharing::Neighbours;
    Variant { family: FAMILY.name, sharing, joint_inputs, joint_rates: true, experts: true }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    delta::read_config(&config, &variant(true))
}

/// llama.cpp's converter takes the inputs apart, but not the rates.
fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    delta::read_gguf(&config, shapes, &variant(false))
}
