//! Makes the demo files: a safetensors folder of the family deepseek_v3 or qwen3_5_moe to one GGUF file, matrices in
//! Q8_0.
//!
//! `cargo run -p xtask -- demo FOLDER OUT.gguf`. Names, keys and the order of heads are those of llama.cpp's converter,
//! so the file opens in other engines too.

mod delta;
mod latent;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use base::{Error, ExpertKey, Extent, LayerId, Result};
use formats::gguf::{Array, Metadata, Value, write};
use formats::{Checkpoint, Element};
use manifest::Manifest;
use quant::{Matrix, Quant};
use spec::{ExpertPart, Mixer, ModelSpec, Role};

/// Converts `folder` to `out`.
pub fn make(folder: &Path, out: &Path) -> Result<()> {
    let (checkpoint, manifest) = Manifest::open(folder)?;
    let source = Source { manifest: &manifest };
    let latent = matches!(manifest.spec.layers[0].mixer, Mixer::Mla(_));
    let mut metadata = Metadata::default();
    match latent {
        true => latent::describe(&mut metadata, &manifest.spec)?,
        false => delta::describe(&mut metadata, &manifest.spec)?,
    }
    tokenizer(&mut metadata, &checkpoint, folder)?;
    // As published: a token reads one row of it, so it costs neither memory nor time. The second demo has 20 MB at most.
    let mut tensors = ends(&source, if latent { Quant::BF16 } else { Quant::Q8_0 })?;
    tensors.append(&mut if latent { latent::tensors(&source)? } else { delta::tensors(&source)? });
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

/// By name, which is also their order in the file but for the experts, which are kept together layer by layer.
type Tensors = BTreeMap<String, Tensor>;

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

    /// The weights of a norm, as they multiply.
    fn norm(&self, role: Role) -> Result<Vec<f32>> {
        let offset = self.manifest.spec.norm_offset;
        Ok(self.weight(role)?.into_iter().map(|weight| weight + offset).collect())
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

/// The embedding, the head and the norm before it.
fn ends(source: &Source<'_>, embedding: Quant) -> Result<Tensors> {
    let spec = &source.manifest.spec;
    let (vocab, hidden) = (spec.vocab, spec.hidden);
    let embedding = Tensor::of(embedding, &[vocab, hidden], &source.weight(Role::Embedding)?)?;
    let head = Tensor::matrix(&[vocab, hidden], &source.weight(Role::Head)?)?;
    let norm = Tensor::of(Quant::F32, &[hidden], &source.norm(Role::OutputNorm)?)?;
    let named = [("token_embd.weight", embedding), ("output.weight", head), ("output_norm.weight", norm)];
    Ok(named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())
}

/// All experts of a layer.
fn stacks(source: &Source<'_>, layer: LayerId) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for (place, part) in ExpertPart::ALL.into_iter().enumerate() {
        let name = ["gate", "up", "down"][place];
        tensors.insert(format!("blk.{}.ffn_{name}_exps.weight", layer.0), stack(source, layer, part, place)?);
    }
    Ok(tensors)
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

/// The keys of every architecture.
fn frame(out: &mut Metadata, spec: &ModelSpec, architecture: &str, name: &str) {
    out.set("general.architecture", architecture);
    out.set("general.name", name);
    out.set("general.file_type", 7u32);
    let mut set = |key: &str, value: Value| out.set(&format!("{architecture}.{key}"), value);
    set("vocab_size", count(spec.vocab));
    set("block_count", count(spec.layers.len()));
    set("context_length", count(spec.context));
    set("embedding_length", count(spec.hidden));
}

fn count(n: usize) -> Value {
    Value::U32(n as u32)
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
