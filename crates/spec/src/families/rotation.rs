//! How configurations tell the rotation: plain, or stretched by YaRN, by bands of frequencies, or by stored factors.

use base::Result;

use super::Shapes;
use crate::{Bands, Config, Rope, RopePairs, Stretch, Yarn};

/// `rope_scaling` (old) or `rope_parameters` (new); where both are told, the published classes go by the old one.
pub(super) fn scaling<'a>(config: &Config<'a>) -> Result<Option<Config<'a>>> {
    Ok(config.child("rope_scaling")?.or(config.child("rope_parameters")?))
}

/// The rotation of `dims` dimensions as `config.json` tells it. `theta` is the base where none is told; without it, the
/// base must be.
pub(super) fn of_config(
    config: &Config<'_>,
    dims: usize,
    pairs: RopePairs,
    theta: Option<f64>,
) -> Result<Rope> {
    let scaling = scaling(config)?;
    let theta_in = scaling.filter(|scaling| scaling.get("rope_theta").is_some()).unwrap_or(*config);
    let theta = match theta.filter(|_| theta_in.get("rope_theta").is_none()) {
        Some(default) => default,
        None => theta_in.positive("rope_theta")?,
    };
    let stretch = match scaling {
        Some(scaling) => stretch_of_config(config, &scaling)?,
        None => Stretch::None,
    };
    Ok(Rope { dims, theta, pairs, stretch })
}

fn stretch_of_config(config: &Config<'_>, scaling: &Config<'_>) -> Result<Stretch> {
    let kind = if scaling.get("rope_type").is_some() { "rope_type" } else { "type" };
    match scaling.text_or(kind, "default")? {
        "default" => Ok(Stretch::None),
        "yarn" => Ok(Stretch::Yarn(yarn_of_config(config, scaling)?)),
        "llama3" => Ok(Stretch::Bands(Bands {
            factor: scaling.positive("factor")?,
            original_context: scaling.positive("original_max_position_embeddings")?,
            few: scaling.positive("low_freq_factor")?,
            many: scaling.positive("high_freq_factor")?,
        })),
        _ => Err(scaling.err_implemented(kind, "default, yarn or llama3")),
    }
}

fn yarn_of_config(config: &Config<'_>, scaling: &Config<'_>) -> Result<Yarn> {
    let factor = scaling.positive("factor")?;
    let (mscale, all_dim) = (scaling.number_or("mscale", 0.0)?, scaling.number_or("mscale_all_dim", 0.0)?);
    let published = if mscale != 0.0 && all_dim != 0.0 {
        temperature(factor, mscale) / temperature(factor, all_dim)
    } else {
        temperature(factor, 1.0)
    };
    Ok(Yarn {
        factor,
        original_context: match scaling.get("original_max_position_embeddings") {
            Some(_) => scaling.positive("original_max_position_embeddings")?,
            None => config.size("max_position_embeddings")? as f64,
        },
        beta_fast: or_when_zero(scaling.number_or("beta_fast", 0.0)?, 32.0),
        beta_slow: or_when_zero(scaling.number_or("beta_slow", 0.0)?, 1.0),
        truncate: scaling.flag_or("truncate", true)?,
        magnitude: scaling.number_or("attention_factor", published)?,
    })
}

/// The rotation of `dims` dimensions as GGUF metadata tells it. Whether YaRN's ramp is truncated no key tells.
pub(super) fn of_gguf(
    config: &Config<'_>,
    shapes: Shapes<'_>,
    dims: usize,
    pairs: RopePairs,
    truncate: bool,
) -> Result<Rope> {
    let stretch = match config.text_or("rope.scaling.type", "none")? {
        "none" => {
            config.require("rope.scaling.factor", 1.0)?;
            // Llama 3.1 and its successors: the bands, worked out by the converter.
            let stored = shapes("rope_freqs.weight").is_some();
            if stored { Stretch::Stored } else { Stretch::None }
        }
        "yarn" => Stretch::Yarn(yarn_of_gguf(config, truncate)?),
        _ => return Err(config.err_implemented("rope.scaling.type", "none or yarn")),
    };
    Ok(Rope { dims, theta: config.number_or("rope.freq_base", 1e4)?, pairs, stretch })
}

fn yarn_of_gguf(config: &Config<'_>, truncate: bool) -> Result<Yarn> {
    config.require("rope.scaling.attn_factor", 1.0)?;
    let factor = config.positive("rope.scaling.factor")?;
    Ok(Yarn {
        factor,
        original_context: config.positive("rope.scaling.original_context_length")?,
        beta_fast: or_when_zero(config.number_or("rope.scaling.yarn_beta_fast", 0.0)?, 32.0),
        beta_slow: or_when_zero(config.number_or("rope.scaling.yarn_beta_slow", 0.0)?, 1.0),
        truncate,
        magnitude: temperature(factor, 1.0),
    })
}

/// YaRN's temperature for a context `factor` times longer.
pub(super) fn temperature(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
}

/// The published code takes 0 for absent.
pub(super) fn or_when_zero(found: f64, default: f64) -> f64 {
    if found == 0.0 { default } else { found }
}
