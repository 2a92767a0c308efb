//! A few MB each, for tests and for a first try.

use super::kimi::KIMI_K2;
use super::llama::LLAMA_33_70B;
use super::qwen::QWEN3_30B;
use crate::shape::{Biases, Control, Geometry, Grouped, Latent, Mixer, Moe, Norms, Rope, Text};

/// Every block of DeepSeek V3 in a few MB, for tests and for a first try.
pub(super) const DEEPSEEK_TINY: Geometry = Geometry {
    name: "deepseek-tiny",
    title: "a stand-in of a few MB: every block of DeepSeek V3",
    layers: 4,
    dense_layers: 1,
    dense_inner: 512,
    hidden: 256,
    vocab: 1024,
    context: 4096,
    mixer: Mixer::Latent(Latent {
        heads: 4,
        query_rank: 64,
        latent: 64,
        nope: 32,
        rotated: 32,
        value: 32,
        indexer: None,
    }),
    rope: Rope { dims: 32, theta: 1e4, yarn: None, factors: false, sections: None },
    moe: Moe { experts: 32, top_k: 4, inner: 256, scale: Some(1.0), ..KIMI_K2.moe },
    text: Text {
        pre: "deepseek-v3",
        controls: &[
            Control { id: 0, text: "<｜begin▁of▁sentence｜>", role: "bos" },
            Control { id: 1, text: "<｜end▁of▁sentence｜>", role: "eos" },
        ],
    },
    ..KIMI_K2
};

/// The same in Qwen3's architecture.
pub(super) const QWEN3_TINY: Geometry = Geometry {
    name: "qwen3-tiny",
    title: "a stand-in of a few MB: every block of Qwen3-MoE",
    layers: 4,
    dense_inner: 256,
    hidden: 256,
    vocab: 1024,
    context: 4096,
    mixer: Mixer::Grouped(Grouped {
        heads: 4,
        kv_heads: 2,
        head: 64,
        norms: Norms::Head,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { dims: 64, theta: 1e6, yarn: None, factors: false, sections: None },
    moe: Moe { experts: 32, top_k: 4, inner: 256, ..QWEN3_30B.moe },
    text: Text {
        pre: "qwen2",
        controls: &[
            Control { id: 1022, text: "<|endoftext|>", role: "bos" },
            Control { id: 1023, text: "<|im_end|>", role: "eos" },
        ],
    },
    ..QWEN3_30B
};

/// Llama 3's architecture, without experts.
pub(super) const LLAMA_TINY: Geometry = Geometry {
    name: "llama-tiny",
    title: "a stand-in of a few MB: every block of Llama 3",
    layers: 4,
    dense_layers: 4,
    dense_inner: 512,
    hidden: 256,
    vocab: 1024,
    context: 4096,
    mixer: Mixer::Grouped(Grouped {
        heads: 4,
        kv_heads: 2,
        head: 64,
        norms: Norms::None,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { dims: 64, ..LLAMA_33_70B.rope },
    text: Text {
        pre: "llama-bpe",
        controls: &[
            Control { id: 1022, text: "<|begin_of_text|>", role: "bos" },
            Control { id: 1023, text: "<|end_of_text|>", role: "eos" },
        ],
    },
    ..LLAMA_33_70B
};
