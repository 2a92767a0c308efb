//! Gated DeltaNet and gated attention with experts: the second demo.

use base::{Error, LayerId, Result};
use formats::gguf::{Array, Metadata, Value};
use quant::Quant;
use spec::{
    DeltaNet, Gqa, LayerSpec, LayerWeight as W, Mixer, ModelSpec, Moe, Names, Role, Stretch, families,
};

use super::{Source, Tensor, Tensors, count, frame, stacks};

const ARCHITECTURE: &str = "qwen35moe";

/// The tensors of all layers.
pub(super) fn tensors(source: &Source<'_>) -> Result<Tensors> {
    let spec = &source.manifest.spec;
    let family = families::by_gguf_architecture(ARCHITECTURE)?;
    let names = Names::new(family.gguf_names, "", &[], spec);
    let mut tensors = Tensors::new();
    for role in spec.trunk(|_| false) {
        let Role::Layer(id, weight) = role else { continue };
        let name = names.name(role).ok_or_else(|| Error::input(format!("{role} has no name in GGUF")))?;
        let shape = spec.shape(role).unwrap_or_default();
        tensors.insert(name, tensor(source, &spec.layers[id.0 as usize], (role, weight), &shape)?);
    }
    for layer in 0..spec.layers.len() {
        tensors.append(&mut stacks(source, LayerId(layer as u32))?);
    }
    Ok(tensors)
}

fn tensor(
    source: &Source<'_>,
    layer: &LayerSpec,
    (role, weight): (Role, W),
    shape: &[usize],
) -> Result<Tensor> {
    let mut values = match weight {
        W::MixerNorm | W::FfnNorm | W::QueryNorm | W::KeyNorm => source.norm(role)?,
        W::DecayRate => source.weight(role)?.iter().map(|log| -log.exp()).collect(),
        _ => source.weight(role)?,
    };
    if let Mixer::Delta(net) = &layer.mixer {
        values = dealt(net, weight, values);
    }
    match weight {
        W::SharedScale => Tensor::of(Quant::F32, &shape[1..], &values),
        W::Convolution => Tensor::of(Quant::F32, shape, &values),
        W::Router | W::Strength | W::Decay => Tensor::of(Quant::BF16, shape, &values), // as published
        _ if shape.len() == 1 => Tensor::of(Quant::F32, shape, &values),
        _ => Tensor::matrix(shape, &values),
    }
}

/// A weight with heads of values dealt out: the first one of every head of keys, then every second, and so on.
fn dealt(net: &DeltaNet, weight: W, values: Vec<f32>) -> Vec<f32> {
    let heads = net.value_heads;
    let queries_and_keys = 2 * net.key_heads * net.key;
    let (each, first) = match weight {
        W::OutGate | W::Strength | W::Decay | W::DecayBias | W::DecayRate => (values.len() / heads, 0),
        W::Inputs | W::Convolution => {
            let row = values.len() / net.channels();
            (row * net.value, row * queries_and_keys)
        }
        W::DeltaOut => {
            let rows = values.chunks_exact(net.values());
            return rows.flat_map(|row| deal(net, row, net.value)).collect();
        }
        _ => return values,
    };
    let (kept, changed) = values.split_at(first);
    [kept.to_vec(), deal(net, changed, each)].concat()
}

fn deal(net: &DeltaNet, values: &[f32], each: usize) -> Vec<f32> {
    let places = (0..net.per_key()).flat_map(|j| (0..net.key_heads).map(move |k| k * net.per_key() + j));
    places.flat_map(|head| values[head * each..][..each].iter().copied()).collect()
}

/// The layers' parts, refused where the keys below do not say them.
fn parts(spec: &ModelSpec) -> Result<(&DeltaNet, &Gqa, &Moe)> {
    let net = spec.layers.iter().find_map(|layer| match &layer.mixer {
        Mixer::Delta(net) if !net.joint_inputs && !net.joint_rates => Some(net),
        _ => None,
    });
    let gqa = spec.layers.iter().find_map(|layer| match &layer.mixer {
        Mixer::Gqa(gqa) if gqa.gate && gqa.rope.stretch == Stretch::None => Some(gqa),
        _ => None,
    });
    let moe = spec.layers.iter().find_map(LayerSpec::moe);
    let found = net.zip(gqa).zip(moe).map(|((net, gqa), moe)| (net, gqa, moe));
    found.ok_or_else(|| Error::input("the demo is made from a model of the family qwen3_5_moe"))
}

/// All keys but the vocabulary's.
pub(super) fn describe(out: &mut Metadata, spec: &ModelSpec) -> Result<()> {
    let (net, gqa, moe) = parts(spec)?;
    frame(out, spec, ARCHITECTURE, "tidemill demo: Qwen3.5-MoE architecture, 17.8 M weights, stories");
    let recurrent = spec.layers.iter().map(|layer| matches!(layer.mixer, Mixer::Delta(_))).collect();
    let interval = 1 + spec.layers.iter().take_while(|layer| matches!(layer.mixer, Mixer::Delta(_))).count();
    // Text has one position, however pairs are shared out to time, height and width.
    let third = gqa.rope.dims as i32 / 6;
    let sections = vec![gqa.rope.dims as i32 / 2 - 2 * third, third, third, 0];
    let mut set = |key: &str, value: Value| out.set(&format!("{ARCHITECTURE}.{key}"), value);
    set("attention.head_count", count(gqa.heads));
    set("attention.head_count_kv", count(gqa.kv_heads));
    set("attention.key_length", count(gqa.head));
    set("attention.value_length", count(gqa.head));
    set("attention.layer_norm_rms_epsilon", Value::F32(spec.norm_eps));
    set("rope.dimension_count", count(gqa.rope.dims));
    set("rope.dimension_sections", Value::Array(Array::I32(sections)));
    set("rope.freq_base", Value::F32(gqa.rope.theta as f32));
    set("full_attention_interval", count(interval));
    set("attention.recurrent_layers", Value::Array(Array::Bool(recurrent)));
    set("ssm.conv_kernel", count(net.kernel));
    set("ssm.state_size", count(net.key));
    set("ssm.group_count", count(net.key_heads));
    set("ssm.time_step_rank", count(net.value_heads));
    set("ssm.inner_size", count(net.values()));
    set("expert_count", count(moe.experts));
    set("expert_used_count", count(moe.router.top_k));
    set("expert_feed_forward_length", count(moe.inner));
    set("expert_shared_feed_forward_length", count(moe.shared_inner));
    Ok(())
}
