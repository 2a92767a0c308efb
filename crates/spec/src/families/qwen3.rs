//! Qwen3 without experts (0.6B to 32B): grouped-query attention with a norm on every head of queries and keys.
//! arXiv:2505.09388.

use base::Result;

use super::{Family, Shapes, grouped, tables};
use crate::{Config, Gqa, HeadNorm, ModelSpec, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "qwen3",
    model_types: &["qwen3"],
    gguf_architectures: &["qwen3"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::DENSE],
    prefix: "",
    gguf_names: &[tables::GGUF_FRAME, tables::GGUF_FFN_NORM, tables::GGUF_ATTENTION, tables::GGUF_DENSE],
    skips: &[],
};

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    // Windows would be of some layers only; no published model has any.
    config.require("use_sliding_window", false)?;
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let gqa = Gqa { norm: Some(HeadNorm::Head), window: None, ..gqa };
    let inner = config.size("intermediate_size")?;
    grouped::model_of_config(&config, FAMILY.name, |_| grouped::dense(&gqa, inner))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, true)?;
    let gqa = Gqa { norm: Some(HeadNorm::Head), ..gqa };
    let inner = config.size("feed_forward_length")?;
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |_| grouped::dense(&gqa, inner))
}
