//! Latent attention: the first demo.

use base::{Error, LayerId, Result};
use formats::gguf::{Metadata, Value};
use quant::Quant;
use spec::{Ffn, LayerWeight as W, Mixer, Mla, ModelSpec, Role, RopePairs, Score, Stretch};

use super::{Source, Tensor, Tensors, count, frame, stacks};

const ARCHITECTURE: &str = "deepseek2";

/// The tensors of all layers.
pub(super) fn tensors(source: &Source<'_>) -> Result<Tensors> {
    let spec = &source.manifest.spec;
    let mut tensors = Tensors::new();
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
            tensors.append(&mut stacks(source, id)?);
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

fn latent(mixer: &Mixer) -> Result<&Mla> {
    match mixer {
        Mixer::Mla(mla) => Ok(mla),
        _ => Err(Error::input("the demo is made from a model of latent attention")),
    }
}

/// Refuses what the keys below do not say, rather than make a file of another model.
fn check_sayable(spec: &ModelSpec) -> Result<()> {
    for layer in &spec.layers {
        let mla = latent(&layer.mixer)?;
        let Some(rope) = &mla.rope else {
            return Err(Error::input("the demo is made from a model whose attention is rotated"));
        };
        if rope.stretch != Stretch::None {
            return Err(Error::input("the demo is made from a model without a stretched rotation"));
        }
        if rope.pairs != RopePairs::Adjacent {
            return Err(Error::input("the demo is made from a model that rotates adjacent pairs"));
        }
        if layer.moe().is_some_and(|moe| moe.router.groups.is_some()) {
            return Err(Error::input("the demo is made from a model without grouped routing"));
        }
    }
    Ok(())
}

/// All keys but the vocabulary's.
pub(super) fn describe(out: &mut Metadata, spec: &ModelSpec) -> Result<()> {
    let mla = latent(&spec.layers[0].mixer)?;
    check_sayable(spec)?;
    frame(out, spec, ARCHITECTURE, "tidemill demo: DeepSeek-V3 architecture, 21.6 M weights, stories");
    let dense = spec.layers.iter().take_while(|layer| layer.moe().is_none()).count();
    let mut set = |key: &str, value: Value| out.set(&format!("{ARCHITECTURE}.{key}"), value);
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
    if let Some(rope) = &mla.rope {
        set("rope.freq_base", Value::F32(rope.theta as f32));
    }
    for layer in &spec.layers {
        match &layer.ffn {
            Ffn::Dense { inner, .. } => set("feed_forward_length", count(*inner)),
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
    Ok(())
}
