//! Llama 3 and what is made like it (arXiv:2407.21783), and Mixtral 8x7B and 8x22B (arXiv:2401.04088), which has eight
//! experts in the place of each feed-forward network.
//!
//! GGUF files call both architectures `llama` and hold queries and keys with their columns reordered, so that adjacent
//! ones rotate together. Those of Mixtral from 2023 hold a tensor for every expert.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::names::Table;
use crate::{Config, ExpertPart, ModelSpec, RopePairs, Slot};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "llama",
    model_types: &["llama", "mixtral"],
    gguf_architectures: &["llama"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::DENSE, tables::SPARSE_EXPERTS],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_FFN_NORM,
        tables::GGUF_ATTENTION,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
        OLD_GGUF_NAMES,
    ],
    skips: &[],
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    config.require("mlp_bias", false)?;
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    if config.text_or("model_type", "")? == "mixtral" {
        let moe = grouped::experts_of_config(&config, ["num_local_experts", "intermediate_size"], true)?;
        return grouped::model_of_config(&config, FAMILY.name, |_| grouped::sparse(&gqa, &moe));
    }
    let inner = config.size("intermediate_size")?;
    grouped::model_of_config(&config, FAMILY.name, |_| grouped::dense(&gqa, inner))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Adjacent, true)?;
    if config.size_or("expert_count", 0)? > 0 {
        let moe = grouped::experts_of_gguf(&config, true)?;
        return grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::sparse(&gqa, &moe));
    }
    let inner = config.size("feed_forward_length")?;
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::dense(&gqa, inner))
}

const OLD_GGUF_NAMES: Table = &[
    ("blk.{layer}.ffn_gate.{expert}.weight", Slot::Expert(ExpertPart::Gate)),
    ("blk.{layer}.ffn_up.{expert}.weight", Slot::Expert(ExpertPart::Up)),
    ("blk.{layer}.ffn_down.{expert}.weight", Slot::Expert(ExpertPart::Down)),
];
