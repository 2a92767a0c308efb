//! The `quantization_config` of a safetensors folder: accepted where the layout is one we read, refused by name
//! otherwise, so that no scale is ever misread.

use base::{Error, Result};
use formats::{Checkpoint, Format};
use spec::Config;

/// Refuses a quantization this engine does not read.
pub(crate) fn check(checkpoint: &Checkpoint) -> Result<()> {
    let config = Config::new(&checkpoint.config);
    let text = config.child("text_config")?.unwrap_or(config);
    let found = text.child("quantization_config")?.or(config.child("quantization_config")?);
    let Some(quantization) = found.filter(|_| checkpoint.format == Format::Safetensors) else {
        return Ok(());
    };
    match quantization.text_or("quant_method", "")? {
        "fp8" => fp8(quantization),
        "compressed-tensors" => compressed_tensors(quantization),
        // Only says what is not quantized.
        "mxfp4" => Ok(()),
        _ => Err(quantization.err_implemented("quant_method", "fp8, mxfp4 or compressed-tensors")),
    }
}

fn fp8(config: Config<'_>) -> Result<()> {
    config.require("fmt", "e4m3")?;
    if config.get("weight_block_size") == Some(&vec![32, 32].into()) {
        return config.require_present("scale_fmt", "ue8m0");
    }
    config.require_present("weight_block_size", vec![128, 128])
}

fn compressed_tensors(config: Config<'_>) -> Result<()> {
    let four_bit_floats = config.text_or("format", "")? == "mxfp4-pack-quantized";
    if !four_bit_floats {
        config.require_present("format", "pack-quantized")?;
    }
    for unread in ["kv_cache_scheme", "sparsity_config", "transform_config"] {
        config.require_empty(unread)?;
    }
    let groups = config.get("config_groups").and_then(|groups| groups.as_object());
    let Some(groups) = groups.filter(|groups| !groups.is_empty()) else {
        return Err(config.err_expected("config_groups", "at least one group"));
    };
    for (name, group) in groups {
        let group = Config::new(group);
        group.require_empty("input_activations")?;
        group.require_empty("output_activations")?;
        let Some(weights) = group.child("weights")? else {
            return Err(Error::corrupt(format!("quantization group {name} says nothing of its weights")));
        };
        weights.require_present("num_bits", 4)?;
        weights.require_present("type", if four_bit_floats { "float" } else { "int" })?;
        weights.require_present("strategy", "group")?;
        weights.require_present("group_size", 32)?;
        weights.require_present("symmetric", true)?;
        weights.require_empty("actorder")?;
    }
    Ok(())
}
