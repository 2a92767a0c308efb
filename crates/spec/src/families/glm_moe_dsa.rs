//! GLM-5 to 5.2: the blocks of DeepSeek-V3.2; from 5.2 on most layers attend to what the one before them chose.

use base::Result;

use super::{Family, Shapes, deepseek_v3, indexers, tables};
use crate::{Config, Indexer, ModelSpec, RopePairs, Scope};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "glm_moe_dsa",
    model_types: &["glm_moe_dsa"],
    gguf_architectures: &["glm-dsa"],
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

/// As attention beside it.
const PAIRS: RopePairs = RopePairs::Adjacent;

/// The context from which on layers share: files of GLM-5.2 from before a key told of it.
const SHARING_CONTEXT: usize = 1 << 20;

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let indexer = indexers::of_config(&config, PAIRS)?;
    let shape = deepseek_v3::shape_of_config(&config)?;
    let owns = match (config.get("indexer_types"), config.get("index_topk_pattern")) {
        (Some(_), _) => listed(&config, "indexer_types", shape.layers)?,
        (None, Some(pattern)) if pattern.is_string() => {
            let letters = config.text_or("index_topk_pattern", "")?.chars().map(|letter| match letter {
                'F' => Some(true),
                'S' => Some(false),
                _ => None,
            });
            enough(&config, "index_topk_pattern", letters.collect(), shape.layers)?
        }
        (None, Some(_)) => listed(&config, "index_topk_pattern", shape.layers)?,
        (None, None) => {
            let every = config.size_or("index_topk_freq", 1)?.max(1);
            by_turns(shape.layers, every, config.size_or("index_skip_topk_offset", 2)?)
        }
    };
    shape.spec(FAMILY.name, &|layer| scope(&indexer, owns[layer]))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let indexer = indexers::of_gguf(&config, PAIRS)?;
    let shape = deepseek_v3::shape_of_gguf(&config, shapes, false)?;
    let owns = match config.get("attention.indexer.types") {
        Some(_) => listed(&config, "attention.indexer.types", shape.layers)?,
        None if config.size("context_length")? < SHARING_CONTEXT => vec![true; shape.layers],
        None => by_turns(shape.layers, 4, 3),
    };
    shape.spec(FAMILY.name, &|layer| scope(&indexer, owns[layer]))
}

fn scope(indexer: &Indexer, own: bool) -> Scope {
    if own { Scope::Indexed(indexer.clone()) } else { Scope::Former { top_k: indexer.top_k } }
}

/// Which layers have an indexer: the first `offset`, and every so many from the last of those on.
fn by_turns(layers: usize, every: usize, offset: usize) -> Vec<bool> {
    (0..layers).map(|layer| (layer + 1).saturating_sub(offset).is_multiple_of(every)).collect()
}

/// The same, told layer by layer.
fn listed(config: &Config<'_>, key: &str, layers: usize) -> Result<Vec<bool>> {
    let told = config.get(key).and_then(|told| told.as_array()).into_iter().flatten();
    let own = told.map(|kind| match kind.as_str() {
        Some("full") => Some(true),
        Some("shared") => Some(false),
        _ => kind.as_bool().or(kind.as_u64().map(|own| own != 0)),
    });
    enough(config, key, own.collect(), layers)
}

/// One for each layer; what follows is of layers that are left out.
fn enough(config: &Config<'_>, key: &str, own: Option<Vec<bool>>, layers: usize) -> Result<Vec<bool>> {
    own.filter(|own| own.len() >= layers)
        .ok_or_else(|| config.err_expected(key, "full or shared for every layer"))
}
