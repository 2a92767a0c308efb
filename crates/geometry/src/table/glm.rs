//! GLM-4.5 to GLM-5.2.

use super::kimi::KIMI_K2;
use super::qwen::QWEN3_30B;
use crate::shape::{
    Biases, Control, Geometry, Grouped, Indexer, Latent, Mixer, Moe, Norms, Rope, Shared, Text,
};

pub(super) const GLM_46: Geometry = Geometry {
    name: "glm-4.6",
    title: "GLM-4.6; 4.5 and 4.7 have the same sizes",
    architecture: "glm4moe",
    layers: 92,
    dense_layers: 3,
    dense_inner: 12288,
    hidden: 5120,
    vocab: 151_552,
    context: 202_752,
    norm_eps: 1e-5,
    mixer: Mixer::Grouped(Grouped {
        heads: 96,
        kv_heads: 8,
        head: 128,
        norms: Norms::Head,
        biases: Biases::Input,
        window: None,
    }),
    rope: Rope { dims: 64, theta: 1e6, yarn: None, factors: false, sections: None },
    moe: Moe {
        experts: 160,
        inner: 1536,
        shared: Shared::Count(1),
        gating: Some(2),
        normalise: Some(true),
        scale: Some(2.5),
        bias: true,
        ..QWEN3_30B.moe
    },
    second_norm: "post_attention_norm",
    text: Text {
        pre: "glm4",
        controls: &[
            Control { id: 151_331, text: "[gMASK]", role: "bos" },
            Control { id: 151_329, text: "<|endoftext|>", role: "eos" },
            Control { id: 151_336, text: "<|user|>", role: "eot" },
        ],
    },
    ..QWEN3_30B
};

pub(super) const GLM_45_AIR: Geometry = Geometry {
    name: "glm-4.5-air",
    title: "GLM-4.5-Air",
    layers: 46,
    dense_layers: 1,
    dense_inner: 10944,
    hidden: 4096,
    context: 131_072,
    mixer: Mixer::Grouped(Grouped {
        heads: 96,
        kv_heads: 8,
        head: 128,
        norms: Norms::None,
        biases: Biases::Input,
        window: None,
    }),
    moe: Moe { experts: 128, inner: 1408, scale: Some(1.0), ..GLM_46.moe },
    // Rows of 1408 are no whole number of larger blocks.
    experts: "Q4_0",
    ..GLM_46
};

pub(super) const GLM_47_FLASH: Geometry = Geometry {
    name: "glm-4.7-flash",
    title: "GLM-4.7-Flash",
    layers: 47,
    dense_layers: 1,
    dense_inner: 10240,
    hidden: 2048,
    vocab: 154_880,
    context: 202_752,
    norm_eps: 1e-5,
    mixer: Mixer::Latent(Latent {
        heads: 20,
        query_rank: 768,
        latent: 512,
        nope: 192,
        rotated: 64,
        value: 256,
        indexer: None,
    }),
    rope: Rope { theta: 1e6, yarn: None, ..KIMI_K2.rope },
    moe: Moe { experts: 64, top_k: 4, inner: 1536, scale: Some(1.8), ..KIMI_K2.moe },
    text: Text {
        pre: "glm4",
        controls: &[
            Control { id: 154_822, text: "[gMASK]", role: "bos" },
            Control { id: 154_820, text: "<|endoftext|>", role: "eos" },
            Control { id: 154_827, text: "<|user|>", role: "eot" },
        ],
    },
    experts: "Q4_K",
    ..KIMI_K2
};

pub(super) const GLM_5: Geometry = Geometry {
    name: "glm-5",
    title: "GLM-5; 5.1 has the same sizes",
    architecture: "glm-dsa",
    layers: 78,
    dense_layers: 3,
    dense_inner: 12288,
    hidden: 6144,
    mixer: Mixer::Latent(GLM_5_ATTENTION),
    moe: Moe { experts: 256, top_k: 8, inner: 2048, scale: Some(2.5), ..KIMI_K2.moe },
    ..GLM_47_FLASH
};

pub(super) const GLM_5_ATTENTION: Latent = Latent {
    heads: 64,
    query_rank: 2048,
    latent: 512,
    nope: 192,
    rotated: 64,
    value: 256,
    indexer: Some(GLM_5_INDEXER),
};

pub(super) const GLM_5_INDEXER: Indexer = Indexer { heads: 32, head: 128, top_k: 2048, first: 1, every: 1 };

pub(super) const GLM_52: Geometry = Geometry {
    name: "glm-5.2",
    title: "GLM-5.2",
    context: 1_048_576,
    mixer: Mixer::Latent(Latent {
        indexer: Some(Indexer { first: 3, every: 4, ..GLM_5_INDEXER }),
        ..GLM_5_ATTENTION
    }),
    rope: Rope { theta: 8e6, ..GLM_5.rope },
    ..GLM_5
};
