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
        "modelopt" => modelopt(quantization),
        // Only says what is not quantized.
        "mxfp4" => Ok(()),
        _ => Err(quantization.err_implemented("quant_method", "fp8, mxfp4, compressed-tensors or modelopt")),
    }
}

/// NVFP4. Its `config_groups` repeat what the tensors' types and shapes say, which are checked.
fn modelopt(config: Config<'_>) -> Result<()> {
    // With the second, activations stay as they are.
    if config.text_or("quant_algo", "")? != "W4A16_NVFP4" {
        config.require_present("quant_algo", "NVFP4")?;
    }
    config.require("group_size", 16)
}

fn fp8(config: Config<'_>) -> Result<()> {
    if config.text_or("fmt", "e4m3")? != "float8_e4m3fn" {
        config.require("fmt", "e4m3")?;
    }
    if config.get("weight_block_size") == Some(&vec![32, 32].into()) {
        return config.require_present("scale_fmt", "ue8m0");
    }
    config.require_present("weight_block_size", vec![128, 128])
}

/// What a layout of compressed-tensors says of its weights.
struct Layout {
    element: &'static str,
    strategy: &'static str,
    group: u32,
}

fn compressed_tensors(config: Config<'_>) -> Result<()> {
    let layout = match config.text_or("format", "")? {
        "mxfp4-pack-quantized" => Layout { element: "float", strategy: "group", group: 32 },
        "nvfp4-pack-quantized" => Layout { element: "float", strategy: "tensor_group", group: 16 },
        _ => {
            config.require_present("format", "pack-quantized")?;
            Layout { element: "int", strategy: "group", group: 32 }
        }
    };
    for unread in ["kv_cache_scheme", "sparsity_config", "transform_config"] {
        config.require_empty(unread)?;
    }
    let groups = config.get("config_groups").and_then(|groups| groups.as_object());
    let Some(groups) = groups.filter(|groups| !groups.is_empty()) else {
        return Err(config.err_expected("config_groups", "at least one group"));
    };
    for (name, group) in groups {
        let group = Config::new(group);
        // NVFP4 says how activations may be rounded: this engine keeps more of them.
        if layout.group != 16 {
            group.require_empty("input_activations")?;
        }
        group.require_empty("output_activations")?;
        let Some(weights) = group.child("weights")? else {
            return Err(Error::corrupt(format!("quantization group {name} says nothing of its weights")));
        };
        weights.require_present("num_bits", 4)?;
        weights.require_present("type", layout.element)?;
        weights.require_present("strategy", layout.strategy)?;
        weights.require_present("group_size", layout.group)?;
        weights.require_present("symmetric", true)?;
        weights.require_empty("actorder")?;
    }
    Ok(())
}
