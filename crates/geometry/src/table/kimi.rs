//! Kimi K2, K2.5, K3 and Kimi-Linear.

use crate::shape::{Control, Geometry, Kimi, Latent, Mixer, Moe, Rope, Shared, Text, Third, Yarn};

pub(super) const KIMI_K2: Geometry = Geometry {
    name: "kimi-k2",
    title: "Kimi K2",
    architecture: "deepseek2",
    layers: 61,
    dense_layers: 1,
    dense_inner: 18432,
    hidden: 7168,
    vocab: 163_840,
    context: 131_072,
    norm_eps: 1e-6,
    mixer: Mixer::Latent(Latent {
        heads: 64,
        query_rank: 1536,
        latent: 512,
        nope: 128,
        rotated: 64,
        value: 128,
        indexer: None,
    }),
    rope: Rope { dims: 64, theta: 5e4, yarn: Some(KIMI_YARN), factors: false, sections: None },
    moe: Moe {
        experts: 384,
        top_k: 8,
        inner: 2048,
        shared: Shared::Count(1),
        gating: Some(2),
        normalise: Some(true),
        scale: Some(2.827),
        bias: true,
        groups: Some((1, 1)),
    },
    second_norm: "ffn_norm",
    text: Text {
        pre: "kimi-k2",
        controls: &[
            Control { id: 163_584, text: "[BOS]", role: "bos" },
            Control { id: 163_585, text: "[EOS]", role: "eos" },
            Control { id: 163_586, text: "<|im_end|>", role: "eot" },
        ],
    },
    experts: "Q4_0",
    trunk: "Q8_0",
};

pub(super) const KIMI_YARN: Yarn =
    Yarn { factor: 32.0, original: 4096, beta_fast: 1.0, beta_slow: 1.0, log_multiplier: Some(0.1) };

pub(super) const KIMI_K25: Geometry = Geometry {
    name: "kimi-k2.5",
    title: "Kimi K2.5, its text part; K2 Thinking, K2.6 and K2.7 have the same sizes",
    context: 262_144,
    norm_eps: 1e-5,
    rope: Rope { yarn: Some(Yarn { factor: 64.0, ..KIMI_YARN }), ..KIMI_K2.rope },
    ..KIMI_K2
};

pub(super) const KIMI_K3: Geometry = Geometry {
    name: "kimi-k3",
    title: "Kimi K3, its text part",
    architecture: "kimi-k3",
    layers: 93,
    dense_inner: 33792,
    context: 1_048_576,
    norm_eps: 1e-5,
    mixer: Mixer::Kimi(Kimi {
        latent: Latent {
            heads: 96,
            query_rank: 1536,
            latent: 512,
            nope: 128,
            rotated: 64,
            value: 128,
            indexer: None,
        },
        interval: 4,
        width: 128,
        kernel: 4,
        third: Some(Third { width: 3584, block: 12, beta: 4.0, linear: 25.0, bound: -5.0 }),
    }),
    rope: Rope { theta: 1e4, yarn: None, ..KIMI_K2.rope },
    moe: Moe {
        experts: 896,
        top_k: 16,
        inner: 3072,
        shared: Shared::Count(2),
        scale: Some(1.0),
        groups: None,
        ..KIMI_K2.moe
    },
    text: Text {
        pre: "kimi-k2",
        controls: &[
            Control { id: 163_584, text: "[BOS]", role: "bos" },
            Control { id: 163_586, text: "<|end_of_msg|>", role: "eos" },
        ],
    },
    experts: "MXFP4",
    ..KIMI_K2
};

pub(super) const KIMI_LINEAR: Geometry = Geometry {
    name: "kimi-linear-48b-a3b",
    title: "Kimi-Linear 48B-A3B",
    architecture: "kimi-linear",
    layers: 27,
    dense_inner: 9216,
    hidden: 2304,
    context: 1_048_576,
    norm_eps: 1e-5,
    mixer: Mixer::Kimi(Kimi {
        latent: Latent {
            heads: 32,
            query_rank: 0,
            latent: 512,
            nope: 128,
            rotated: 64,
            value: 128,
            indexer: None,
        },
        interval: 4,
        width: 128,
        kernel: 4,
        third: None,
    }),
    rope: Rope { theta: 1e4, yarn: None, ..KIMI_K2.rope },
    moe: Moe { experts: 256, inner: 1024, normalise: None, scale: Some(2.446), groups: None, ..KIMI_K2.moe },
    experts: "Q4_K",
    ..KIMI_K2
};
