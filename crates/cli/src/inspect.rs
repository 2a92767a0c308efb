//! `tidemill inspect`: what a model is made of, and what each tensor is for.

use base::{ByteSize, Excerpt, LayerId, Result};
use formats::Format;
use serde_json::{Value, json};
use spec::{Claim, Ffn, Mixer};
use tidemill::Opened;

use crate::args::InspectArgs;
use crate::{models, terminal};

pub fn inspect(args: &InspectArgs) -> Result<()> {
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    if args.json { terminal::json(&object(&opened)) } else { terminal::answer(&text(&opened, args.tensors)) }
}

fn format(opened: &Opened) -> &'static str {
    match opened.checkpoint.format {
        Format::Gguf => "gguf",
        Format::Safetensors => "safetensors",
    }
}

/// Each tensor with what it is for.
fn tensors(opened: &Opened) -> impl Iterator<Item = (&formats::TensorEntry, Claim)> {
    opened.checkpoint.tensors.iter().zip(opened.manifest.claims.iter().copied())
}

fn object(opened: &Opened) -> Value {
    let mut used = Vec::new();
    let mut skipped = Vec::new();
    for (tensor, claim) in tensors(opened) {
        match claim {
            Claim::Skip(reason) => {
                skipped.push(json!({ "name": tensor.name, "bytes": tensor.extent.len, "reason": reason }));
            }
            Claim::Role(role) => used.push(json!({
                "name": tensor.name,
                "type": tensor.element.name(),
                "shape": tensor.shape,
                "bytes": tensor.extent.len,
                "file": tensor.extent.file.0,
                "offset": tensor.extent.offset,
                "role": role.to_string(),
            })),
            Claim::Unknown => {}
        }
    }
    json!({
        "format": format(opened),
        "family": opened.manifest.spec.family,
        "parameters": opened.manifest.parameters(),
        "resident_bytes": opened.manifest.trunk_bytes(),
        "expert_bytes": opened.manifest.expert_bytes(),
        "context": opened.manifest.spec.context,
        "files": opened.manifest.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "metadata": opened.checkpoint.config,
        "tensors": used,
        "skipped": skipped,
    })
}

fn text(opened: &Opened, list: bool) -> String {
    let (spec, manifest) = (&opened.manifest.spec, &opened.manifest);
    let mut text = format!(
        "{}\n  {} of family {}, {} files, {} tensors\n  {:.2} billion weights: {} resident, {} in experts\n",
        opened.path.display(),
        format(opened),
        spec.family,
        manifest.files.len(),
        opened.checkpoint.tensors.len(),
        manifest.parameters() as f64 / 1e9,
        ByteSize(manifest.trunk_bytes()),
        ByteSize(manifest.expert_bytes()),
    );
    text += &format!(
        "  {} layers, hidden {}, vocabulary {}, context {}\n",
        spec.layers.len(),
        spec.hidden,
        spec.vocab,
        spec.context
    );
    if spec.tied_head {
        text += "  the output head is the embedding (tied)\n";
    }
    text += &layers(opened);
    text += &skipped(opened);
    if list {
        text += "\ntensors\n";
        for (tensor, claim) in tensors(opened) {
            let purpose = match claim {
                Claim::Role(role) => role.to_string(),
                Claim::Skip(reason) => format!("left out: {reason}"),
                Claim::Unknown => String::new(),
            };
            let size = ByteSize(tensor.extent.len).to_string();
            let element = Excerpt(tensor.element.name()).to_string();
            let (name, shape) = (Excerpt(&tensor.name), &tensor.shape);
            text += &format!("  {element:<10} {size:>10}  {name} {shape:?}  {purpose}\n");
        }
    } else {
        text += "\ntidemill inspect MODEL --tensors lists every tensor and where it lies\n";
    }
    text
}

/// One line for each run of equal layers.
fn layers(opened: &Opened) -> String {
    let spec = &opened.manifest.spec;
    let describe = |index: usize| {
        let layer = &spec.layers[index];
        let kept = layer.mixer.row();
        let mixer = match &layer.mixer {
            Mixer::Mla(mla) => format!("latent attention, {} heads, {kept} numbers kept a token", mla.heads),
            Mixer::Gqa(gqa) => {
                let window =
                    gqa.window.map_or(String::new(), |window| format!(" of the last {window} tokens"));
                let (heads, keys) = (gqa.heads, gqa.kv_heads);
                let gated = if gqa.gate { "gated " } else { "" };
                format!("{gated}attention{window}, {heads} heads on {keys}, {kept} numbers kept a token")
            }
            Mixer::Delta(net) => {
                let (heads, keys, size) = (net.value_heads, net.key_heads, (net.key, net.value));
                let name = if net.kimi.is_some() { "Kimi Delta Attention" } else { "gated DeltaNet" };
                format!("{name}, {heads} heads on {keys}, a state of {} x {} each", size.0, size.1)
            }
            Mixer::Compressed(of) => {
                let rows = match &of.compressor {
                    None => String::new(),
                    Some(rows) if rows.indexer.is_some() => {
                        format!(" and to chosen rows of {} each", rows.ratio)
                    }
                    Some(rows) => format!(" and to rows of {} each", rows.ratio),
                };
                format!("attention to the last {} tokens{rows}, {} heads", of.window, of.heads)
            }
        };
        let experts = opened.manifest.experts(LayerId(index as u32));
        match (&layer.ffn, experts) {
            (Ffn::Dense { inner, .. }, _) => format!("{mixer}; dense {inner}"),
            (Ffn::Moe(moe), experts) => {
                let names = experts.map(|e| e.matrices.map(|matrix| matrix.quant.name()).join("/"));
                let bytes = experts.map_or(0, |e| e.expert_bytes());
                format!(
                    "{mixer}; {} of {} experts of {} ({}), shared {}",
                    moe.router.top_k,
                    moe.experts,
                    ByteSize(bytes),
                    names.unwrap_or_default(),
                    moe.shared_inner
                )
            }
        }
    };
    let mut text = String::from("\nlayers\n");
    let mut start = 0;
    for end in 1..=spec.layers.len() {
        if end == spec.layers.len() || describe(end) != describe(start) {
            text += &format!("  {start}-{}: {}\n", end - 1, describe(start));
            start = end;
        }
    }
    text
}

/// What is left out by rule, by reason.
fn skipped(opened: &Opened) -> String {
    let mut groups = std::collections::BTreeMap::new();
    for (tensor, claim) in tensors(opened) {
        if let Claim::Skip(reason) = claim {
            let group: &mut (usize, u64) = groups.entry(reason).or_default();
            *group = (group.0 + 1, group.1 + tensor.extent.len);
        }
    }
    let lines = groups
        .into_iter()
        .map(|(reason, (count, bytes))| format!("  {reason}: {count} tensors, {}\n", ByteSize(bytes)));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\nleft out\n{lines}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Opened {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/deepseek_v3/");
        Opened::read(&std::path::Path::new(fixtures).join(name)).unwrap()
    }

    #[test]
    fn a_head_that_is_the_embedding_is_said() {
        let says = |opened| text(&opened, false).contains("the output head is the embedding (tied)");
        assert!(says(fixture("odd/hf")));
        assert!(!says(fixture("lite/model.gguf")));
    }

    #[test]
    fn names_and_types_from_files_are_printed_on_one_line() {
        let mut opened = fixture("lite/model.gguf");
        let lines = text(&opened, true).lines().count();
        let tensor = &mut opened.checkpoint.tensors[0];
        tensor.name.push_str("\n\u{1b}[2J");
        tensor.element = formats::Element::Other("a\rb".into());
        let text = text(&opened, true);
        assert_eq!(text.lines().count(), lines);
        assert!(text.contains("\\n\\u{1b}[2J [") && text.contains("a\\rb "), "{text}");
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text}");
    }
}
