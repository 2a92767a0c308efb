//! How configurations tell the lightning indexer, and what its tensors are called.

use base::Result;

use crate::names::Table;
use crate::{Config, Indexer, LayerWeight as W, RopePairs, Slot};

/// The indexer as `config.json` tells it; `pairs` is what rotates together where nothing is said of it.
pub(super) fn of_config(config: &Config<'_>, pairs: RopePairs) -> Result<Indexer> {
    let adjacent = config.flag_or("indexer_rope_interleave", pairs == RopePairs::Adjacent)?;
    Ok(Indexer {
        heads: config.size("index_n_heads")?,
        head: config.size("index_head_dim")?,
        top_k: config.size("index_topk")?,
        pairs: if adjacent { RopePairs::Adjacent } else { RopePairs::Halves },
    })
}

/// The same of GGUF metadata, which does not tell the pairs.
pub(super) fn of_gguf(config: &Config<'_>, pairs: RopePairs) -> Result<Indexer> {
    Ok(Indexer {
        heads: config.size("attention.indexer.head_count")?,
        head: config.size("attention.indexer.key_length")?,
        top_k: config.size("attention.indexer.top_k")?,
        pairs,
    })
}

pub(super) const NAMES: Table = &[
    ("model.layers.{layer}.self_attn.indexer.wq_b.weight", Slot::Layer(W::IndexQuery)),
    ("model.layers.{layer}.self_attn.indexer.wk.weight", Slot::Layer(W::IndexKey)),
    ("model.layers.{layer}.self_attn.indexer.k_norm.weight", Slot::Layer(W::IndexNorm)),
    ("model.layers.{layer}.self_attn.indexer.k_norm.bias", Slot::Layer(W::IndexBias)),
    ("model.layers.{layer}.self_attn.indexer.weights_proj.weight", Slot::Layer(W::IndexWeights)),
];

pub(super) const GGUF_NAMES: Table = &[
    ("blk.{layer}.indexer.attn_q_b.weight", Slot::Layer(W::IndexQuery)),
    ("blk.{layer}.indexer.attn_k.weight", Slot::Layer(W::IndexKey)),
    ("blk.{layer}.indexer.k_norm.weight", Slot::Layer(W::IndexNorm)),
    ("blk.{layer}.indexer.k_norm.bias", Slot::Layer(W::IndexBias)),
    ("blk.{layer}.indexer.proj.weight", Slot::Layer(W::IndexWeights)),
];
