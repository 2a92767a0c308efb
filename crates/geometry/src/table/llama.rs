//! Llama and Mixtral.

use super::qwen::{NO_EXPERTS, QWEN3_30B};
use crate::shape::{Biases, Control, Geometry, Grouped, Mixer, Moe, Norms, Rope, Text};

pub(super) const MIXTRAL_8X7B: Geometry = Geometry {
    name: "mixtral-8x7b",
    title: "Mixtral 8x7B",
    architecture: "llama",
    layers: 32,
    dense_layers: 0,
    dense_inner: 14336,
    hidden: 4096,
    vocab: 32_000,
    context: 32_768,
    mixer: Mixer::Grouped(Grouped {
        heads: 32,
        kv_heads: 8,
        head: 128,
        norms: Norms::None,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { theta: 1e6, factors: false, ..LLAMA_33_70B.rope },
    moe: Moe { experts: 8, top_k: 2, inner: 14336, ..QWEN3_30B.moe },
    text: Text {
        // Its own vocabulary is one of SentencePiece; the made-up one is byte-level.
        pre: "llama-bpe",
        controls: &[
            Control { id: 1, text: "<s>", role: "bos" },
            Control { id: 2, text: "</s>", role: "eos" },
        ],
    },
    trunk: "Q8_0",
    ..LLAMA_33_70B
};

pub(super) const MIXTRAL_8X22B: Geometry = Geometry {
    name: "mixtral-8x22b",
    title: "Mixtral 8x22B",
    layers: 56,
    dense_inner: 16384,
    hidden: 6144,
    vocab: 32_768,
    context: 65_536,
    mixer: Mixer::Grouped(Grouped {
        heads: 48,
        kv_heads: 8,
        head: 128,
        norms: Norms::None,
        biases: Biases::None,
        window: None,
    }),
    moe: Moe { inner: 16384, ..MIXTRAL_8X7B.moe },
    ..MIXTRAL_8X7B
};

pub(super) const LLAMA_33_70B: Geometry = Geometry {
    name: "llama-3.3-70b",
    title: "Llama 3.3 70B; 3.1 70B has the same sizes",
    architecture: "llama",
    layers: 80,
    dense_layers: 80,
    dense_inner: 28672,
    hidden: 8192,
    vocab: 128_256,
    context: 131_072,
    norm_eps: 1e-5,
    mixer: Mixer::Grouped(Grouped {
        heads: 64,
        kv_heads: 8,
        head: 128,
        norms: Norms::None,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { dims: 128, theta: 5e5, yarn: None, factors: true, sections: None },
    moe: NO_EXPERTS,
    text: LLAMA_TEXT,
    trunk: "Q4_K",
    ..QWEN3_30B
};

pub(super) const LLAMA_TEXT: Text = Text {
    pre: "llama-bpe",
    controls: &[
        Control { id: 128_000, text: "<|begin_of_text|>", role: "bos" },
        Control { id: 128_001, text: "<|end_of_text|>", role: "eos" },
        Control { id: 128_009, text: "<|eot_id|>", role: "eot" },
    ],
};
