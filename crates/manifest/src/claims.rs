//! Which tensor is what: names to roles, and the parts a packed weight is published in.

use std::collections::BTreeMap;

use base::{Context, Error, Quoted, Result};
use formats::{Checkpoint, Format, TensorEntry};
use spec::{Claim, Names, Role};

/// The tensors one weight is published as, by their place in the checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) values: Option<usize>,
    pub(crate) scales: Option<usize>,
    pub(crate) shape: Option<usize>,
    pub(crate) factor: Option<usize>,
    pub(crate) divisor: Option<usize>,
}

/// What a tensor is to its weight.
#[derive(Clone, Copy)]
enum Part {
    Values,
    Scales,
    Shape,
    /// What the whole weight is multiplied with.
    Factor,
    /// What the whole weight is divided by.
    Divisor,
    /// Nothing: how activations, or cached keys, were to be rounded.
    Rounding,
}

/// Why [`Part::Rounding`] is left out.
const ROUNDED: &str = "activations and cached keys are rounded in this engine's own way";

/// Name endings of the tensors a packed weight is published as (compressed-tensors; DeepSeek's FP8 and FP4; modelopt's
/// NVFP4; gpt-oss, in both layouts), and what the weight's own name ends with.
const ENDINGS: &[(&str, &str, Part)] = &[
    (".weight_packed", ".weight", Part::Values),
    (".weight_scale", ".weight", Part::Scales),
    (".weight_scale_inv", ".weight", Part::Scales),
    (".scale", ".weight", Part::Scales),
    (".weight_shape", ".weight", Part::Shape),
    ("_blocks", "", Part::Values),
    ("_scales", "", Part::Scales),
    (".blocks", "", Part::Values),
    (".scales", "", Part::Scales),
    (".weight_scale_2", ".weight", Part::Factor),
    (".weight_global_scale", ".weight", Part::Divisor),
    (".input_scale", ".weight", Part::Rounding),
    (".input_global_scale", ".weight", Part::Rounding),
    (".k_scale", ".weight", Part::Rounding),
    (".v_scale", ".weight", Part::Rounding),
];

/// Name endings of what GGUF keeps beside a weight.
const GGUF_ENDINGS: &[(&str, &str, Part)] =
    &[(".scale", ".weight", Part::Factor), (".input_scale", ".weight", Part::Rounding)];

/// What each tensor is for, and the parts of each weight. An unknown tensor is an error.
pub(crate) fn claim(checkpoint: &Checkpoint, names: &Names) -> Result<(Vec<Claim>, BTreeMap<Role, Parts>)> {
    let mut claims = Vec::with_capacity(checkpoint.tensors.len());
    let mut found: BTreeMap<Role, Parts> = BTreeMap::new();
    for (index, tensor) in checkpoint.tensors.iter().enumerate() {
        let place = || file_of(checkpoint, tensor);
        let (mut claim, part) = claim_one(checkpoint.format, names, &tensor.name);
        if let (Claim::Role(_), Part::Rounding) = (claim, part) {
            claim = Claim::Skip(ROUNDED);
        }
        match claim {
            Claim::Unknown => return Err(err_unknown(&tensor.name)).within(place),
            Claim::Skip(_) => {}
            Claim::Role(role) => {
                let parts = found.entry(role).or_default();
                let slot = match part {
                    Part::Values | Part::Rounding => &mut parts.values,
                    Part::Scales => &mut parts.scales,
                    Part::Shape => &mut parts.shape,
                    Part::Factor => &mut parts.factor,
                    Part::Divisor => &mut parts.divisor,
                };
                if slot.replace(index).is_some() {
                    return Err(err_twice(&tensor.name, role)).within(place);
                }
            }
        }
        claims.push(claim);
    }
    Ok((claims, found))
}

fn claim_one(format: Format, names: &Names, name: &str) -> (Claim, Part) {
    let endings = if format == Format::Safetensors { ENDINGS } else { GGUF_ENDINGS };
    for (ending, own, part) in endings {
        // Some weights bear such a name themselves: norms of gpt-oss are called `.scale`.
        if let Some(stem) = name.strip_suffix(ending)
            && let claim = names.claim(&format!("{stem}{own}"))
            && claim != Claim::Unknown
        {
            return (claim, *part);
        }
    }
    (names.claim(name), Part::Values)
}

/// The path of the file a tensor lies in.
pub(crate) fn file_of(checkpoint: &Checkpoint, tensor: &TensorEntry) -> String {
    let path = checkpoint.files.get(tensor.extent.file.0 as usize);
    path.map_or_else(String::new, |path| path.display().to_string())
}

fn err_unknown(name: &str) -> Error {
    Error::unsupported(format!(
        "tensor {} is not one this family has, so the model would not be computed as published",
        Quoted(name)
    ))
}

fn err_twice(name: &str, role: Role) -> Error {
    Error::corrupt(format!("tensor {} is a second {role}", Quoted(name)))
}
