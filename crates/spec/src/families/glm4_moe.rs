//! GLM-4.5, 4.6 and 4.7, and 4.5-Air (arXiv:2508.06471): grouped-query attention whose heads are rotated by half, a few
//! dense layers, then experts with a shared one.

use base::Result;

use super::{Family, Shapes, grouped, routing, tables};
use crate::{Config, Gqa, HeadNorm, LayerSpec, ModelSpec, Moe, RopePairs};

/// The declaration.
pub const FAMILY: Family = Family {
    name: "glm4_moe",
    model_types: &["glm4_moe"],
    gguf_architectures: &["glm4moe"],
    read_config,
    read_gguf,
    names: &[tables::FRAME, tables::ATTENTION, tables::DENSE, tables::EXPERTS],
    prefix: "",
    gguf_names: &[
        tables::GGUF_FRAME,
        tables::GGUF_POST_NORM,
        tables::GGUF_ATTENTION,
        tables::GGUF_DENSE,
        tables::GGUF_EXPERTS,
    ],
    skips: &[],
};

/// The layers, but for how many there are.
struct Shape {
    gqa: Gqa,
    dense_layers: usize,
    dense_inner: usize,
    moe: Moe,
}

impl Shape {
    fn layer(&self, layer: usize) -> LayerSpec {
        if layer < self.dense_layers {
            grouped::dense(&self.gqa, self.dense_inner)
        } else {
            grouped::sparse(&self.gqa, &self.moe)
        }
    }
}

fn read_config(config: Config<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_config(&config, RopePairs::Halves)?;
    let norm = config.flag_or("use_qk_norm", false)?.then_some(HeadNorm::Head);
    let inner = config.size("moe_intermediate_size")?;
    let shape = Shape {
        // The published class gives the output projection no bias.
        gqa: Gqa { norm, output_bias: false, ..gqa },
        dense_layers: config.size_or("first_k_dense_replace", 0)?,
        dense_inner: config.size("intermediate_size")?,
        moe: Moe::of(
            config.size("n_routed_experts")?,
            inner,
            inner * config.size_or("n_shared_experts", 0)?,
            routing::sigmoid_of_config(&config)?,
        ),
    };
    grouped::model_of_config(&config, FAMILY.name, |layer| shape.layer(layer))
}

fn read_gguf(config: Config<'_>, shapes: Shapes<'_>) -> Result<ModelSpec> {
    let gqa = grouped::attention_of_gguf(&config, shapes, RopePairs::Halves, true)?;
    let norms = ["blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"];
    let norm = norms.iter().any(|name| shapes(name).is_some()).then_some(HeadNorm::Head);
    let inner = config.size("expert_feed_forward_length")?;
    let shape = Shape {
        gqa: Gqa { norm, ..gqa },
        dense_layers: config.size_or("leading_dense_block_count", 0)?,
        dense_inner: config.size("feed_forward_length")?,
        moe: Moe::of(
            config.size("expert_count")?,
            inner,
            inner * config.size_or("expert_shared_count", 0)?,
            routing::of_gguf(&config, true, false)?,
        ),
    };
    grouped::model_of_gguf(&config, shapes, FAMILY.name, |layer| shape.layer(layer))
}
