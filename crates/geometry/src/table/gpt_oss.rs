//! gpt-oss.

use super::qwen::QWEN3_30B;
use crate::shape::{Biases, Control, Geometry, Grouped, Mixer, Moe, Norms, Rope, Text, Yarn};

pub(super) const GPT_OSS_120B: Geometry = Geometry {
    name: "gpt-oss-120b",
    title: "OpenAI's gpt-oss, the larger",
    architecture: "gpt-oss",
    layers: 36,
    dense_inner: 2880,
    hidden: 2880,
    vocab: 201_088,
    context: 131_072,
    norm_eps: 1e-5,
    mixer: Mixer::Grouped(Grouped {
        heads: 64,
        kv_heads: 8,
        head: 64,
        norms: Norms::None,
        biases: Biases::All,
        window: Some(128),
    }),
    rope: Rope {
        dims: 64,
        theta: 150_000.0,
        yarn: Some(Yarn {
            factor: 32.0,
            original: 4096,
            beta_fast: 32.0,
            beta_slow: 1.0,
            log_multiplier: None,
        }),
        factors: false,
        sections: None,
    },
    moe: Moe { top_k: 4, inner: 2880, ..QWEN3_30B.moe },
    second_norm: "post_attention_norm",
    text: Text {
        pre: "gpt-4o",
        controls: &[
            Control { id: 199_998, text: "<|startoftext|>", role: "bos" },
            Control { id: 200_002, text: "<|return|>", role: "eos" },
        ],
    },
    experts: "MXFP4",
    ..QWEN3_30B
};

pub(super) const GPT_OSS_20B: Geometry = Geometry {
    name: "gpt-oss-20b",
    title: "OpenAI's gpt-oss, the smaller",
    layers: 24,
    moe: Moe { experts: 32, ..GPT_OSS_120B.moe },
    ..GPT_OSS_120B
};
