//! DeepSeek V3 to V4, and small experts in the same architecture.

use super::kimi::{KIMI_K2, KIMI_YARN};
use super::qwen::QWEN_TEXT;
use crate::shape::{Compressed, Control, Geometry, Indexer, Latent, Mixer, Moe, Rope, Shared, Text, Yarn};

pub(super) const DEEPSEEK_V3: Geometry = Geometry {
    name: "deepseek-v3",
    title: "DeepSeek V3; R1 and V3.1 have the same sizes",
    dense_layers: 3,
    vocab: 129_280,
    context: 163_840,
    mixer: Mixer::Latent(Latent {
        heads: 128,
        query_rank: 1536,
        latent: 512,
        nope: 128,
        rotated: 64,
        value: 128,
        indexer: None,
    }),
    rope: Rope {
        theta: 1e4,
        yarn: Some(Yarn { factor: 40.0, beta_fast: 32.0, ..KIMI_YARN }),
        ..KIMI_K2.rope
    },
    moe: Moe { experts: 256, scale: Some(2.5), groups: Some((8, 4)), ..KIMI_K2.moe },
    text: Text {
        pre: "deepseek-v3",
        controls: &[
            Control { id: 0, text: "<｜begin▁of▁sentence｜>", role: "bos" },
            Control { id: 1, text: "<｜end▁of▁sentence｜>", role: "eos" },
        ],
    },
    experts: "Q4_K",
    ..KIMI_K2
};

pub(super) const DEEPSEEK_V32: Geometry = Geometry {
    name: "deepseek-v3.2",
    title: "DeepSeek V3.2",
    architecture: "deepseek32",
    mixer: Mixer::Latent(Latent {
        heads: 128,
        query_rank: 1536,
        latent: 512,
        nope: 128,
        rotated: 64,
        value: 128,
        indexer: Some(Indexer { heads: 64, head: 128, top_k: 2048, first: 1, every: 1 }),
    }),
    ..DEEPSEEK_V3
};

pub(super) const DEEPSEEK_V4_FLASH: Geometry = Geometry {
    name: "deepseek-v4-flash",
    title: "DeepSeek V4 Flash",
    architecture: "deepseek4",
    layers: 43,
    dense_layers: 0,
    dense_inner: 0,
    hidden: 4096,
    vocab: 129_280,
    context: 1_048_576,
    norm_eps: 1e-6,
    mixer: Mixer::Compressed(Compressed {
        heads: 64,
        head: 512,
        query_rank: 1024,
        groups: 8,
        group_rank: 1024,
        window: 128,
        plain: 2,
        theta: 160_000.0,
        indexer: Indexer { heads: 64, head: 128, top_k: 512, first: 1, every: 1 },
        streams: 4,
        rounds: 20,
        by_token: 3,
        limit: 10.0,
    }),
    rope: Rope {
        dims: 64,
        theta: 10_000.0,
        yarn: Some(Yarn {
            factor: 16.0,
            original: 65_536,
            beta_fast: 32.0,
            beta_slow: 1.0,
            log_multiplier: None,
        }),
        factors: false,
        sections: None,
    },
    moe: Moe {
        experts: 256,
        top_k: 6,
        inner: 2048,
        shared: Shared::Count(1),
        gating: Some(4),
        normalise: Some(true),
        scale: Some(1.5),
        bias: true,
        groups: None,
    },
    experts: "MXFP4",
    trunk: "Q8_0",
    ..DEEPSEEK_V3
};

/// Small experts, as those of Qwen3 30B-A3B, behind latent attention.
pub(super) const DEEPSEEK_30B: Geometry = Geometry {
    name: "deepseek-30b-a3b",
    title: "a stand-in: experts as those of Qwen3 30B-A3B, in DeepSeek V3's architecture",
    layers: 48,
    dense_layers: 0,
    dense_inner: 6144,
    hidden: 2048,
    vocab: 151_936,
    context: 40_960,
    mixer: Mixer::Latent(Latent {
        heads: 32,
        query_rank: 768,
        latent: 512,
        nope: 128,
        rotated: 64,
        value: 128,
        indexer: None,
    }),
    rope: Rope { dims: 64, theta: 1e6, yarn: None, factors: false, sections: None },
    moe: Moe { experts: 128, inner: 768, scale: Some(1.0), ..KIMI_K2.moe },
    text: QWEN_TEXT,
    experts: "Q4_K",
    ..KIMI_K2
};
