//! The keys of a geometry's file, as llama.cpp's converter writes them.

use formats::gguf::{Array, Metadata, Value};

use crate::shape::{Alternating, Compressed, Geometry, Grouped, Indexer, Latent, Mixer, Shared, Third};
use crate::vocabulary;

/// All keys for a file of the first `layers` layers.
pub(crate) fn metadata(geometry: &Geometry, layers: usize) -> Metadata {
    let mut keys = Keys { out: Metadata::default(), architecture: geometry.architecture };
    keys.out.set("general.architecture", geometry.architecture);
    keys.out.set("general.type", "model");
    keys.out.set("general.name", format!("random weights in the sizes of {}", geometry.title));
    keys.out.set("general.quantization_version", 2u32);
    keys.count("block_count", layers);
    keys.count("context_length", geometry.context);
    keys.count("embedding_length", geometry.hidden);
    keys.count("vocab_size", geometry.vocab);
    if geometry.dense_inner > 0 {
        keys.count("feed_forward_length", geometry.dense_inner);
    }
    if geometry.dense_layers > 0 && !geometry.is_dense() {
        keys.count("leading_dense_block_count", geometry.dense_layers);
    }
    keys.number("attention.layer_norm_rms_epsilon", geometry.norm_eps);
    keys.mixer(geometry, layers);
    keys.rope(geometry);
    if !geometry.is_dense() {
        keys.moe(geometry);
    }
    vocabulary::set(&mut keys.out, geometry);
    keys.out
}

struct Keys {
    out: Metadata,
    architecture: &'static str,
}

impl Keys {
    fn set(&mut self, key: &str, value: Value) {
        self.out.set(&format!("{}.{key}", self.architecture), value);
    }

    fn count(&mut self, key: &str, count: usize) {
        self.set(key, Value::U32(count as u32));
    }

    fn number(&mut self, key: &str, number: f32) {
        self.set(key, Value::F32(number));
    }

    fn mixer(&mut self, geometry: &Geometry, layers: usize) {
        match geometry.mixer {
            Mixer::Latent(latent) => {
                self.count("attention.head_count_kv", 1);
                self.latent(&latent);
                if let Some(indexer) = &latent.indexer {
                    self.indexer(indexer, layers);
                }
            }
            Mixer::Kimi(kimi) => {
                let heads = (0..layers).map(|layer| i32::from(geometry.attends(layer))).collect();
                self.set("attention.head_count_kv", Value::Array(Array::I32(heads)));
                self.latent(&kimi.latent);
                self.count("kda.head_dim", kimi.width);
                self.count("ssm.conv_kernel", kimi.kernel);
                if let Some(third) = &kimi.third {
                    self.third(third);
                }
            }
            Mixer::Grouped(grouped) => self.grouped(&grouped),
            Mixer::Compressed(of) => self.compressed(&of, geometry, layers),
            Mixer::Alternating(Alternating { grouped, interval, key_heads, value_heads, width, kernel }) => {
                self.grouped(&grouped);
                self.count("full_attention_interval", interval);
                self.count("ssm.conv_kernel", kernel);
                self.count("ssm.state_size", width);
                self.count("ssm.group_count", key_heads);
                self.count("ssm.time_step_rank", value_heads);
                self.count("ssm.inner_size", value_heads * width);
            }
        }
    }

    fn compressed(&mut self, of: &Compressed, geometry: &Geometry, layers: usize) {
        self.count("attention.head_count", of.heads);
        self.count("attention.head_count_kv", 1);
        self.count("attention.key_length", of.head);
        self.count("attention.value_length", of.head);
        self.count("attention.q_lora_rank", of.query_rank);
        self.count("attention.sliding_window", of.window);
        self.count("attention.output_group_count", of.groups);
        self.count("attention.output_lora_rank", of.group_rank);
        let ratios = (0..layers).map(|layer| of.ratio(layer) as i32).collect();
        self.set("attention.compress_ratios", Value::Array(Array::I32(ratios)));
        self.number("attention.compress_rope_freq_base", of.theta);
        self.indexer(&of.indexer, layers);
        self.count("hyper_connection.count", of.streams);
        self.count("hyper_connection.sinkhorn_iterations", of.rounds);
        self.number("hyper_connection.epsilon", geometry.norm_eps);
        self.count("hash_layer_count", of.by_token.min(layers));
        for key in ["swiglu_clamp_exp", "swiglu_clamp_shexp"] {
            self.set(key, Value::Array(Array::F32(vec![of.limit; layers])));
        }
    }

    fn third(&mut self, third: &Third) {
        self.number("kda.gate_lower_bound", third.bound);
        self.count("expert_latent_length", third.width);
        self.number("activation.situ_beta", third.beta);
        self.number("activation.situ_linear_beta", third.linear);
        self.count("attn_res.block_size", third.block);
    }

    fn latent(&mut self, of: &Latent) {
        self.count("attention.head_count", of.heads);
        self.count("attention.key_length", of.latent + of.rotated);
        self.count("attention.value_length", of.latent);
        self.count("attention.key_length_mla", of.nope + of.rotated);
        self.count("attention.value_length_mla", of.value);
        if of.query_rank > 0 {
            self.count("attention.q_lora_rank", of.query_rank);
        }
        self.count("attention.kv_lora_rank", of.latent);
    }

    fn indexer(&mut self, indexer: &Indexer, layers: usize) {
        self.count("attention.indexer.head_count", indexer.heads);
        self.count("attention.indexer.key_length", indexer.head);
        self.count("attention.indexer.top_k", indexer.top_k);
        if indexer.every > 1 {
            let types = (0..layers).map(|layer| indexer.is_in(layer)).collect();
            self.set("attention.indexer.types", Value::Array(Array::Bool(types)));
        }
    }

    fn grouped(&mut self, grouped: &Grouped) {
        self.count("attention.head_count", grouped.heads);
        self.count("attention.head_count_kv", grouped.kv_heads);
        self.count("attention.key_length", grouped.head);
        self.count("attention.value_length", grouped.head);
        if let Some(window) = grouped.window {
            self.count("attention.sliding_window", window);
        }
    }

    fn rope(&mut self, geometry: &Geometry) {
        let rope = &geometry.rope;
        self.count("rope.dimension_count", rope.dims);
        self.number("rope.freq_base", rope.theta);
        if let Some(sections) = rope.sections {
            self.set("rope.dimension_sections", Value::Array(Array::I32(sections.to_vec())));
        }
        let Some(yarn) = &rope.yarn else { return };
        self.set("rope.scaling.type", "yarn".into());
        self.number("rope.scaling.factor", yarn.factor);
        self.count("rope.scaling.original_context_length", yarn.original);
        self.number("rope.scaling.yarn_beta_fast", yarn.beta_fast);
        self.number("rope.scaling.yarn_beta_slow", yarn.beta_slow);
        if let Some(multiplier) = yarn.log_multiplier {
            self.number("rope.scaling.yarn_log_multiplier", multiplier);
        }
    }

    fn moe(&mut self, geometry: &Geometry) {
        let moe = &geometry.moe;
        self.count("expert_count", moe.experts);
        self.count("expert_used_count", moe.top_k);
        self.count("expert_feed_forward_length", moe.inner);
        match moe.shared {
            Shared::None => {}
            Shared::Count(count) => self.count("expert_shared_count", count),
            Shared::Gated(inner) => self.count("expert_shared_feed_forward_length", inner),
        }
        if let Some((groups, used)) = moe.groups {
            self.count("expert_group_count", groups);
            self.count("expert_group_used_count", used);
        }
        if let Some(gating) = moe.gating {
            self.set("expert_gating_func", Value::U32(gating));
        }
        if let Some(normalise) = moe.normalise {
            self.set("expert_weights_norm", Value::Bool(normalise));
        }
        if let Some(scale) = moe.scale {
            self.number("expert_weights_scale", scale);
        }
    }
}
