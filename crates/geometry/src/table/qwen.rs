//! Qwen3 and Qwen3.5.

use crate::shape::{Alternating, Biases, Control, Geometry, Grouped, Mixer, Moe, Norms, Rope, Shared, Text};

pub(super) const QWEN_TEXT: Text = Text {
    pre: "qwen2",
    controls: &[
        Control { id: 151_643, text: "<|endoftext|>", role: "bos" },
        Control { id: 151_645, text: "<|im_end|>", role: "eos" },
    ],
};

pub(super) const QWEN3_30B: Geometry = Geometry {
    name: "qwen3-30b-a3b",
    title: "Qwen3 30B-A3B",
    architecture: "qwen3moe",
    layers: 48,
    dense_layers: 0,
    dense_inner: 6144,
    hidden: 2048,
    vocab: 151_936,
    context: 40_960,
    norm_eps: 1e-6,
    mixer: Mixer::Grouped(Grouped {
        heads: 32,
        kv_heads: 4,
        head: 128,
        norms: Norms::Head,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { dims: 128, theta: 1e6, yarn: None, factors: false, sections: None },
    moe: Moe {
        experts: 128,
        top_k: 8,
        inner: 768,
        shared: Shared::None,
        gating: None,
        normalise: None,
        scale: None,
        bias: false,
        groups: None,
    },
    second_norm: "ffn_norm",
    text: QWEN_TEXT,
    experts: "Q4_K",
    trunk: "Q8_0",
};

/// Grouped-query attention as Qwen3 has it.
pub(super) const fn qwen3_attention(heads: usize, kv_heads: usize) -> Mixer {
    Mixer::Grouped(Grouped {
        heads,
        kv_heads,
        head: 128,
        norms: Norms::Head,
        biases: Biases::None,
        window: None,
    })
}

pub(super) const QWEN3_235B: Geometry = Geometry {
    name: "qwen3-235b-a22b",
    title: "Qwen3 235B-A22B",
    layers: 94,
    dense_inner: 12288,
    hidden: 4096,
    mixer: qwen3_attention(64, 4),
    moe: Moe { inner: 1536, ..QWEN3_30B.moe },
    ..QWEN3_30B
};

pub(super) const QWEN3_CODER_480B: Geometry = Geometry {
    name: "qwen3-coder-480b-a35b",
    title: "Qwen3-Coder 480B-A35B",
    layers: 62,
    dense_inner: 8192,
    hidden: 6144,
    context: 262_144,
    mixer: qwen3_attention(96, 8),
    rope: Rope { theta: 1e7, ..QWEN3_30B.rope },
    moe: Moe { experts: 160, inner: 2560, ..QWEN3_30B.moe },
    ..QWEN3_30B
};

pub(super) const QWEN35_397B: Geometry = Geometry {
    name: "qwen3.5-397b-a17b",
    title: "Qwen3.5 397B-A17B, its text part",
    architecture: "qwen35moe",
    layers: 60,
    dense_inner: 0,
    hidden: 4096,
    vocab: 248_320,
    context: 262_144,
    mixer: qwen35_mixer(32, 2, 64),
    rope: Rope { dims: 64, theta: 1e7, yarn: None, factors: false, sections: Some([11, 11, 10, 0]) },
    moe: Moe { experts: 512, top_k: 10, inner: 1024, shared: Shared::Gated(1024), ..QWEN3_30B.moe },
    second_norm: "post_attention_norm",
    text: Text {
        pre: "qwen35",
        controls: &[
            Control { id: 248_044, text: "<|endoftext|>", role: "bos" },
            Control { id: 248_046, text: "<|im_end|>", role: "eos" },
        ],
    },
    ..QWEN3_30B
};

/// Gated DeltaNet and gated attention as Qwen3.5 has them.
pub(super) const fn qwen35_mixer(heads: usize, kv_heads: usize, value_heads: usize) -> Mixer {
    Mixer::Alternating(Alternating {
        grouped: Grouped {
            heads,
            kv_heads,
            head: 256,
            norms: Norms::Head,
            biases: Biases::None,
            window: None,
        },
        interval: 4,
        key_heads: 16,
        value_heads,
        width: 128,
        kernel: 4,
    })
}

pub(super) const QWEN35_122B: Geometry = Geometry {
    name: "qwen3.5-122b-a10b",
    title: "Qwen3.5 122B-A10B, its text part",
    layers: 48,
    hidden: 3072,
    moe: Moe { experts: 256, top_k: 8, ..QWEN35_397B.moe },
    ..QWEN35_397B
};

pub(super) const QWEN35_35B: Geometry = Geometry {
    name: "qwen3.5-35b-a3b",
    title: "Qwen3.5 35B-A3B, its text part; Qwen3.6 35B-A3B has the same sizes",
    layers: 40,
    hidden: 2048,
    mixer: qwen35_mixer(16, 2, 32),
    moe: Moe { experts: 256, top_k: 8, inner: 512, shared: Shared::Gated(512), ..QWEN35_397B.moe },
    ..QWEN35_397B
};

pub(super) const QWEN38_2400B: Geometry = Geometry {
    name: "qwen3.8-2.4t-a95b",
    title: "Qwen3.8 2.4T-A95B",
    layers: 92,
    hidden: 8192,
    mixer: qwen35_mixer(64, 4, 128),
    moe: Moe { inner: 2048, shared: Shared::Gated(2048), ..QWEN35_397B.moe },
    ..QWEN35_397B
};

/// Of a model whose layers are all dense.
pub(super) const NO_EXPERTS: Moe = Moe { experts: 0, top_k: 0, inner: 0, ..QWEN3_30B.moe };

pub(super) const QWEN3_32B: Geometry = Geometry {
    name: "qwen3-32b",
    title: "Qwen3 32B",
    architecture: "qwen3",
    layers: 64,
    dense_layers: 64,
    dense_inner: 25600,
    hidden: 5120,
    mixer: Mixer::Grouped(Grouped {
        heads: 64,
        kv_heads: 8,
        head: 128,
        norms: Norms::Head,
        biases: Biases::None,
        window: None,
    }),
    moe: NO_EXPERTS,
    trunk: "Q4_K",
    ..QWEN3_30B
};
