//! OLMoE.

use super::qwen::QWEN3_30B;
use crate::shape::{Biases, Control, Geometry, Grouped, Mixer, Moe, Norms, Rope, Text};

pub(super) const OLMOE: Geometry = Geometry {
    name: "olmoe-1b-7b",
    title: "OLMoE 1B-7B",
    architecture: "olmoe",
    layers: 16,
    dense_inner: 1024,
    hidden: 2048,
    vocab: 50_304,
    context: 4096,
    norm_eps: 1e-5,
    mixer: Mixer::Grouped(Grouped {
        heads: 16,
        kv_heads: 16,
        head: 128,
        norms: Norms::Row,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { theta: 1e4, ..QWEN3_30B.rope },
    moe: Moe { experts: 64, inner: 1024, ..QWEN3_30B.moe },
    text: Text { pre: "olmo", controls: &[Control { id: 50_279, text: "<|endoftext|>", role: "eos" }] },
    ..QWEN3_30B
};
