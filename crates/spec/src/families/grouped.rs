//! What families of grouped-query attention share: how their configurations are read.

use base::Result;

use super::{Shapes, layer_count, rotation};
use crate::{Config, Ffn, Gate, Gqa, LayerSpec, Mixer, ModelSpec, Moe, RopePairs, Router, Score};

/// What `config.json` says of attention. Norms of queries and keys are the family's to add.
pub(super) fn attention_of_config(config: &Config<'_>, pairs: RopePairs) -> Result<Gqa> {
    let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    let head = match config.size_or("head_dim", 0)? {
        0 => hidden / heads,
        told => told,
    };
    let window = config.size_or("sliding_window", 0)?;
    let told = config.flag_or("use_sliding_window", true)?;
    let bias = config.flag_or("attention_bias", false)?;
    Ok(Gqa {
        heads,
        kv_heads: config.size_or("num_key_value_heads", heads)?,
        head,
        norm: None,
        gate: false,
        input_bias: bias,
        output_bias: bias,
        sinks: false,
        window: Some(window).filter(|window| *window > 0 && told),
        rope: rotation::of_config(config, rotated(config, head)?, pairs, None)?,
    })
}

/// Dimensions of a head that are rotated: the first ones.
fn rotated(config: &Config<'_>, head: usize) -> Result<usize> {
    if config.get("rotary_dim").is_some() {
        return config.size("rotary_dim");
    }
    let scaling = rotation::scaling(config)?;
    let told_in = scaling.filter(|scaling| scaling.get("partial_rotary_factor").is_some());
    let share = told_in.unwrap_or(*config).number_or("partial_rotary_factor", 1.0)?;
    if !(0.0..=1.0).contains(&share) {
        return Err(told_in.unwrap_or(*config).err_expected("partial_rotary_factor", "a share of a head"));
    }
    Ok((head as f64 * share) as usize)
}

/// The same of GGUF metadata. `truncate` is YaRN's, which files do not tell.
pub(super) fn attention_of_gguf(
    config: &Config<'_>,
    shapes: Shapes<'_>,
    pairs: RopePairs,
    truncate: bool,
) -> Result<Gqa> {
    let (hidden, heads) = (config.size("embedding_length")?, config.size("attention.head_count")?);
    let head = match config.size_or("attention.key_length", 0)? {
        0 => hidden / heads,
        told => told,
    };
    config.require("attention.value_length", head)?;
    let dims = config.size_or("rope.dimension_count", head)?;
    Ok(Gqa {
        heads,
        kv_heads: config.size_or("attention.head_count_kv", heads)?,
        head,
        norm: None,
        gate: false,
        input_bias: ["q", "k", "v"].iter().any(|part| shapes(&format!("blk.0.attn_{part}.bias")).is_some()),
        output_bias: shapes("blk.0.attn_output.bias").is_some(),
        sinks: false,
        window: Some(config.size_or("attention.sliding_window", 0)?).filter(|window| *window > 0),
        rope: rotation::of_gguf(config, shapes, dims, pairs, truncate)?,
    })
}

/// The whole of `config.json`; `layer` gives each layer by its number.
pub(super) fn model_of_config(
    config: &Config<'_>,
    family: &'static str,
    layer: impl Fn(usize) -> LayerSpec,
) -> Result<ModelSpec> {
    config.require("hidden_act", "silu")?;
    ModelSpec {
        family,
        vocab: config.size("vocab_size")?,
        hidden: config.size("hidden_size")?,
        norm_eps: config.positive("rms_norm_eps")? as f32,
        norm_offset: 0.0,
        context: config.size("max_position_embeddings")?,
        tied_head: config.flag_or("tie_word_embeddings", false)?,
        mtp_layers: mtp_of_config(config)?,
        residuals: None,
        streams: None,
        layers: (0..layer_count(config, "num_hidden_layers")?).map(layer).collect(),
    }
    .checked()
}

/// The whole of GGUF metadata; `layer` gives each layer by its number.
pub(super) fn model_of_gguf(
    config: &Config<'_>,
    shapes: Shapes<'_>,
    family: &'static str,
    layer: impl Fn(usize) -> LayerSpec,
) -> Result<ModelSpec> {
    let embedding = shapes("token_embd.weight").unwrap_or_default();
    let (layers, mtp_layers) = layers_of_gguf(config)?;
    ModelSpec {
        family,
        vocab: embedding.first().map_or(0, |rows| *rows as usize),
        hidden: config.size("embedding_length")?,
        norm_eps: config.positive("attention.layer_norm_rms_epsilon")? as f32,
        norm_offset: 0.0,
        context: config.size("context_length")?,
        tied_head: shapes("output.weight").is_none(),
        mtp_layers,
        residuals: None,
        streams: None,
        layers: (0..layers).map(layer).collect(),
    }
    .checked()
}

/// Layers behind the last one that predict several tokens ahead.
pub(super) fn mtp_of_config(config: &Config<'_>) -> Result<usize> {
    config.size_or("num_nextn_predict_layers", config.size_or("num_mtp_layers", 0)?)
}

/// Layers, and those behind the last one that predict several tokens ahead: files count both together.
pub(super) fn layers_of_gguf(config: &Config<'_>) -> Result<(usize, usize)> {
    let (all, ahead) = (layer_count(config, "block_count")?, config.size_or("nextn_predict_layers", 0)?);
    match all.checked_sub(ahead) {
        Some(layers) => Ok((layers, ahead)),
        None => Err(config.err_expected("nextn_predict_layers", "fewer than block_count")),
    }
}

/// A layer without experts.
pub(super) fn dense(gqa: &Gqa, inner: usize) -> LayerSpec {
    LayerSpec { mixer: Mixer::Gqa(gqa.clone()), ffn: Ffn::Dense { inner, gate: Gate::Silu } }
}

/// A layer of experts.
pub(super) fn sparse(gqa: &Gqa, moe: &Moe) -> LayerSpec {
    LayerSpec { mixer: Mixer::Gqa(gqa.clone()), ffn: Ffn::Moe(moe.clone()) }
}

/// Experts scored by softmax, none of them shared; `count` and `inner` are the keys of their number and inner width.
pub(super) fn experts_of_config(
    config: &Config<'_>,
    [count, inner]: [&str; 2],
    normalise: bool,
) -> Result<Moe> {
    Ok(Moe::of(
        config.size(count)?,
        config.size(inner)?,
        0,
        by_softmax(config.size("num_experts_per_tok")?, normalise),
    ))
}

/// The same of GGUF metadata.
pub(super) fn experts_of_gguf(config: &Config<'_>, normalise: bool) -> Result<Moe> {
    let inner = match config.get("expert_feed_forward_length") {
        Some(_) => config.size("expert_feed_forward_length")?,
        None => config.size("feed_forward_length")?,
    };
    Ok(Moe::of(
        config.size("expert_count")?,
        inner,
        0,
        by_softmax(config.size("expert_used_count")?, normalise),
    ))
}

fn by_softmax(top_k: usize, normalise: bool) -> Router {
    Router {
        top_k,
        by_token: false,
        logit_bias: false,
        score: Score::Softmax,
        bias: false,
        groups: None,
        normalise,
        scale: 1.0,
    }
}
