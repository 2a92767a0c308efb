//! DeepSeek-V3.2: DeepSeek-V3 with a lightning indexer in every layer (arXiv:2512.02556).
//!
//! The published code turns queries and keys of the indexer by a Hadamard matrix and rounds them to FP8. Turning both
//! changes no product, and rounding is not part of the model: like transformers, this engine does neither.

use base::Result;

use super::{Family, Shapes, deepseek_v3, indexers, tables};
use crate::{Config, ModelSpec, RopePairs, Scope};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "deepseek_v32",
    model_types: &["deepseek_v32"],
    gguf_architectures: &["deepseek32"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, deepseek_v3::NAMES, indexers::NAMES, tables::DENSE, tables::EXPERTS],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_FFN_NORM,
        deepseek_v3::GGUF_NAMES,
        indexers::GGUF_NAMES,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
    ],
    skips: &[],
};

/// Unlike attention beside it.
const PAIRS: RopePairs = RopePairs::Halves;

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let indexer = indexers::of_config(&config, PAIRS)?;
    deepseek_v3::shape_of_config(&config)?.spec(FAMILY.name, &|_| Scope::Indexed(indexer.clone()))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let indexer = indexers::of_gguf(&config, PAIRS)?;
    deepseek_v3::shape_of_gguf(&config, shapes, false)?
        .spec(FAMILY.name, &|_| Scope::Indexed(indexer.clone()))
}
