//! Makes the demo file: a safetensors folder of the family deepseek_v3 to one GGUF file, matrices in Q8_0.
//!
//! `cargo run -p xtask -- demo FOLDER OUT.gguf`. Names, keys and the split of the latent projection are those of
//! llama.cpp's converter, so the file opens in other engines too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use base::{Error, ExpertKey, Extent, LayerId, Result};
use formats::gguf::{Array, Metadata, Value, write};
use formats::{Checkpoint, Element};
use manifest::Manifest;
use quant::{Matrix, Quant};
use spec::{ExpertPart, Ffn, LayerWeight as W, Mixer, Mla, ModelSpec, Role, RopePairs, Score, Stretch};

/// Converts `folder` to `out`.
pub fn make(folder: &Path, out: &Path) -> Result<()> {
    let (checkpoint, manifest) = Manifest::open(folder)?;
    let source = Source { manifest: &manifest };
    let metadata = metadata(&checkpoint, &manifest, folder)?;
    let tensors = tensors(&source)?;
    let file = File::create(out).map_err(|error| Error::io(out.display(), &error))?;
    let described: Vec<write::Tensor> = tensors
        .iter()
        .map(|(name, tensor)| write::Tensor {
            name: name.clone(),
            element: Element::Weight(tensor.quant),
            shape: tensor.shape.clone(),
        })
        .collect();
    let mut writer = write::Writer::new(BufWriter::new(file), &metadata, &described)?;
    for tensor in tensors.values() {
        writer.append(&tensor.bytes)?;
    }
    writer.finish()?.into_inner().map_err(|error| Error::io(out.display(), error.error()))?;
    Ok(())
}

/// A tensor of the file to be.
struct Tensor {
    quant: Quant,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// Q8_0 where rows are whole blocks, else f32.
    fn matrix(shape: &[usize], values: &[f32]) -> Result<Self> {
        let cols = shape.last().copied().unwrap_or(1);
        let quant = if cols.is_multiple_of(32) { Quant::Q8_0 } else { Quant::F32 };
        Self::of(quant, shape, values)
    }

    fn of(quant: Quant, shape: &[usize], values: &[f32]) -> Result<Self> {
        let bytes = quant.quantize(values).ok_or_else(|| Error::input("values cannot be quantized"))?;
        Ok(Self { quant, shape: shape.iter().map(|n| *n as u64).collect(), bytes })
    }
}

/// The weights of the folder, as f32.
struct Source<'a> {
    manifest: &'a Manifest,
}

impl Source<'_> {
    fn weight(&self, role: Role) -> Result<Vec<f32>> {
        let stored = self.manifest.stored(role).ok_or_else(|| Error::input(format!("no {role}")))?;
        self.values(stored.quant, stored.rows, stored.cols, stored.values)
    }

    fn values(&self, quant: Quant, rows: usize, cols: usize, extent: Extent) -> Result<Vec<f32>> {
        let path = &self.manifest.files[extent.file.0 as usize];
        let failed = |error: std::io::Error| Error::io(path.display(), &error);
        let mut file = File::open(path).map_err(failed)?;
        let mut bytes = vec![0; extent.len as usize];
        file.seek(SeekFrom::Start(extent.offset)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        let matrix = Matrix::new(quant, rows, cols, &bytes, &[])?;
        let mut values = vec![0.0; rows * cols];
        for (row, out) in values.chunks_exact_mut(cols).enumerate() {
            quant.dequantize(matrix.row(row), out);
        }
        Ok(values)
    }
}

/// By name, which is also their order in the file but for the experts, which are kept together layer by layer.
fn tensors(source: &Source<'_>) -> Result<BTreeMap<String, Tensor>> {
    let spec = &source.manifest.spec;
    let (vocab, hidden) = (spec.vocab, spec.hidden);
    let mut tensors = BTreeMap::new();
    // As published: a token reads one row of it, so it costs neither memory nor time.
    let embedding = Tensor::of(Quant::BF16, &[vocab, hidden], &source.weight(Role::Embedding)?)?;
    tensors.insert("token_embd.weight".into(), embedding);
    tensors.insert("output.weight".into(), Tensor::matrix(&[vocab, hidden], &source.weight(Role::Head)?)?);
    let norm = Tensor::of(Quant::F32, &[hidden], &source.weight(Role::OutputNorm)?)?;
    tensors.insert("output_norm.weight".into(), norm);
    for (index, layer) in spec.layers.iter().enumerate() {
        let id = LayerId(index as u32);
        let mla = latent(&layer.mixer)?;
        for (weight, name) in PLAIN {
            let role = Role::Layer(id, *weight);
            let (Some(shape), Some(_)) = (spec.shape(role), source.manifest.stored(role)) else { continue };
            let values = source.weight(role)?;
            let tensor = match weight {
                W::Router => Tensor::of(Quant::BF16, &shape, &values)?, // as published
                _ if shape.len() == 1 => Tensor::of(Quant::F32, &shape, &values)?,
                _ => Tensor::matrix(&shape, &values)?,
            };
            tensors.insert(format!("blk.{index}.{name}"), tensor);
        }
        let (key, value) = split(mla, &source.weight(Role::Layer(id, W::LatentUp))?);
        let key = Tensor::matrix(&[mla.heads, mla.latent, mla.nope], &key)?;
        tensors.insert(format!("blk.{index}.attn_k_b.weight"), key);
        let value = Tensor::matrix(&[mla.heads, mla.value, mla.latent], &value)?;
        tensors.insert(format!("blk.{index}.attn_v_b.weight"), value);
        if layer.moe().is_some() {
            for (place, part) in ExpertPart::ALL.into_iter().enumerate() {
                let name = ["gate", "up", "down"][place];
                tensors
                    .insert(format!("blk.{index}.ffn_{name}_exps.weight"), stack(source, id, part, place)?);
            }
        }
    }
    Ok(tensors)
}

/// Weights that keep their shape.
const PLAIN: &[(W, &str)] = &[
    (W::MixerNorm, "attn_norm.weight"),
    (W::FfnNorm, "ffn_norm.weight"),
    (W::Query, "attn_q.weight"),
    (W::QueryDown, "attn_q_a.weight"),
    (W::QueryNorm, "attn_q_a_norm.weight"),
    (W::QueryUp, "attn_q_b.weight"),
    (W::LatentDown, "attn_kv_a_mqa.weight"),
    (W::LatentNorm, "attn_kv_a_norm.weight"),
    (W::MixerOut, "attn_output.weight"),
    (W::Gate, "ffn_gate.weight"),
    (W::Up, "ffn_up.weight"),
    (W::Down, "ffn_down.weight"),
    (W::Router, "ffn_gate_inp.weight"),
    (W::RouterBias, "exp_probs_b.bias"),
    (W::SharedGate, "ffn_gate_shexp.weight"),
    (W::SharedUp, "ffn_up_shexp.weight"),
    (W::SharedDown, "ffn_down_shexp.weight"),
];

/// `[heads, nope + value, latent]` to keys `[heads, latent, nope]` and values `[heads, value, latent]`.
fn split(mla: &Mla, joint: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for head in joint.chunks_exact((mla.nope + mla.value) * mla.latent) {
        let (key, value) = head.split_at(mla.nope * mla.latent);
        keys.extend((0..mla.latent).flat_map(|c| (0..mla.nope).map(move |n| key[n * mla.latent + c])));
        values.extend_from_slice(value);
    }
    (keys, values)
}

/// All experts of a layer, one of their matrices.
fn stack(source: &Source<'_>, layer: LayerId, part: ExpertPart, place: usize) -> Result<Tensor> {
    let experts = source.manifest.experts(layer).ok_or_else(|| Error::input("no experts"))?;
    let matrix = experts.matrices[place];
    let mut values = Vec::new();
    for expert in 0..experts.count() {
        let key = ExpertKey::new(layer.0, expert as u32);
        let extent = experts.extents(key.expert)[place];
        values.extend(source.values(matrix.quant, matrix.rows, matrix.cols, extent)?);
    }
    let shape = source.manifest.spec.shape(Role::Stack(layer, part)).unwrap_or_default();
    Tensor::matrix(&shape, &values)
}

fn latent(mixer: &Mixer) -> Result<&Mla> {
    match mixer {
        Mixer::Mla(mla) => Ok(mla),
        Mixer::Gqa(_) => Err(Error::input("the demo is made from a model of latent attention")),
    }
}

/// Refuses what the keys below do not say, rather than make a file of another model.
fn check_sayable(spec: &ModelSpec) -> Result<()> {
    for layer in &spec.layers {
        let mla = latent(&layer.mixer)?;
        if mla.rope.stretch != Stretch::None {
            return Err(Error::input("the demo is made from a model without a stretched rotation"));
        }
        if mla.rope.pairs != RopePairs::Adjacent {
            return Err(Error::input("the demo is made from a model that rotates adjacent pairs"));
        }
        if layer.moe().is_some_and(|moe| moe.router.groups.is_some()) {
            return Err(Error::input("the demo is made from a model without grouped routing"));
        }
    }
    Ok(())
}

fn metadata(checkpoint: &Checkpoint, manifest: &Manifest, folder: &Path) -> Result<Metadata> {
    let spec = &manifest.spec;
    let mla = latent(&spec.layers[0].mixer)?;
    check_sayable(spec)?;
    let mut out = Metadata::default();
    out.set("general.architecture", "deepseek2");
    out.set("general.name", "tidemill demo: DeepSeek-V3 architecture, 21.6 M weights, stories");
    out.set("general.file_type", 7u32);
    let dense = spec.layers.iter().take_while(|layer| layer.moe().is_none()).count();
    let mut set = |key: &str, value: Value| out.set(&format!("deepseek2.{key}"), value);
    let count = |n: usize| Value::U32(n as u32);
    set("vocab_size", count(spec.vocab));
    set("block_count", count(spec.layers.len()));
    set("context_length", count(spec.context));
    set("embedding_length", count(spec.hidden));
    set("leading_dense_block_count", count(dense));
    set("attention.head_count", count(mla.heads));
    set("attention.head_count_kv", count(1));
    set("attention.key_length", count(mla.row()));
    set("attention.value_length", count(mla.latent));
    set("attention.key_length_mla", count(mla.head()));
    set("attention.value_length_mla", count(mla.value));
    set("attention.kv_lora_rank", count(mla.latent));
    if let Some(rank) = mla.query_rank {
        set("attention.q_lora_rank", count(rank));
    }
    set("attention.layer_norm_rms_epsilon", Value::F32(spec.norm_eps));
    set("rope.dimension_count", count(mla.rotated));
    set("rope.freq_base", Value::F32(mla.rope.theta as f32));
    for layer in &spec.layers {
        match &layer.ffn {
            Ffn::Dense { inner } => set("feed_forward_length", count(*inner)),
            Ffn::Moe(moe) => {
                set("expert_count", count(moe.experts));
                set("expert_used_count", count(moe.router.top_k));
                set("expert_shared_count", count(moe.shared_inner / moe.inner));
                set("expert_feed_forward_length", count(moe.inner));
                set("expert_gating_func", count(if moe.router.score == Score::Sigmoid { 2 } else { 1 }));
                set("expert_weights_norm", Value::Bool(moe.router.normalise));
                set("expert_weights_scale", Value::F32(moe.router.scale));
            }
        }
    }
    tokenizer(&mut out, checkpoint, folder)?;
    Ok(out)
}

/// The vocabulary of `tokenizer.json`, as GGUF has it: tokens by id, their kinds, merges; and the chat template.
fn tokenizer(out: &mut Metadata, checkpoint: &Checkpoint, folder: &Path) -> Result<()> {
    let read = |name: &str| -> Result<String> {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| Error::io(path.display(), &error))
    };
    let json: serde_json::Value = serde_json::from_str(&read("tokenizer.json")?)
        .map_err(|error| Error::corrupt(format!("tokenizer.json: {error}")))?;
    let mut tokens = BTreeMap::new();
    for (token, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
        tokens.insert(id.as_u64().unwrap_or_default(), (token.clone(), 1));
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let token = added["content"].as_str().unwrap_or_default().to_owned();
        tokens.insert(added["id"].as_u64().unwrap_or_default(), (token, 3));
    }
    if !tokens.keys().copied().eq(0..tokens.len() as u64) {
        return Err(Error::input("the demo is made from a vocabulary whose ids have no holes"));
    }
    let merges =
        json["model"]["merges"].as_array().into_iter().flatten().map(|merge| match merge.as_array() {
            Some(pair) => pair.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join(" "),
            None => merge.as_str().unwrap_or_default().to_owned(),
        });
    out.set("tokenizer.ggml.model", "gpt2");
    out.set("tokenizer.ggml.pre", "qwen2");
    out.set("tokenizer.ggml.tokens", Array::String(tokens.values().map(|(token, _)| token).collect()));
    out.set("tokenizer.ggml.token_type", Array::I32(tokens.values().map(|(_, kind)| *kind).collect()));
    out.set("tokenizer.ggml.merges", Array::String(merges.collect()));
    let stops =
        checkpoint.generation_config.as_ref().and_then(|config| config["eos_token_id"].as_array().cloned());
    let stops: Vec<u64> = stops.iter().flatten().filter_map(|stop| stop.as_u64()).collect();
    let [eos, eot] = stops[..] else {
        return Err(Error::input("the demo is made from a model whose eos_token_id is a list of two"));
    };
    out.set("tokenizer.ggml.eos_token_id", Value::U32(eos as u32));
    out.set("tokenizer.ggml.eot_token_id", Value::U32(eot as u32));
    out.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
    out.set("tokenizer.chat_template", read("chat_template.jinja")?.as_str());
    Ok(())
}
