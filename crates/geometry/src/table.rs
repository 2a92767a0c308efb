//! The register of geometries.

use base::{Error, Quoted, Result};

use crate::shape::{
    Alternating, Biases, Compressed, Control, Geometry, Grouped, Indexer, Kimi, Latent, Mixer, Moe, Norms,
    Rope, Shared, Text, Third, Yarn,
};

/// Every geometry.
pub const ALL: &[&Geometry] = &[
    &KIMI_K2,
    &KIMI_K25,
    &KIMI_K3,
    &KIMI_LINEAR,
    &DEEPSEEK_V3,
    &DEEPSEEK_V32,
    &DEEPSEEK_V4_FLASH,
    &QWEN35_397B,
    &QWEN35_122B,
    &QWEN35_35B,
    &QWEN38_2400B,
    &QWEN3_30B,
    &QWEN3_235B,
    &QWEN3_CODER_480B,
    &GPT_OSS_120B,
    &GPT_OSS_20B,
    &GLM_46,
    &GLM_45_AIR,
    &GLM_47_FLASH,
    &GLM_5,
    &GLM_52,
    &MINIMAX_M2,
    &MIXTRAL_8X7B,
    &MIXTRAL_8X22B,
    &OLMOE,
    &LLAMA_33_70B,
    &QWEN3_32B,
    &DEEPSEEK_30B,
    &DEEPSEEK_TINY,
    &QWEN3_TINY,
    &LLAMA_TINY,
];

/// The geometry called `name`.
///
/// Fails with [`base::Kind::Input`] and the list of names when there is none.
pub fn by_name(name: &str) -> Result<&'static Geometry> {
    let found = ALL.iter().find(|geometry| geometry.name.eq_ignore_ascii_case(name)).copied();
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|geometry| geometry.name).collect();
        Error::input(format!("no geometry is called {}; expected one of {}", Quoted(name), names.join(", ")))
    })
}

const KIMI_K2: Geometry = Geometry {
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

const KIMI_YARN: Yarn =
    Yarn { factor: 32.0, original: 4096, beta_fast: 1.0, beta_slow: 1.0, log_multiplier: Some(0.1) };

const KIMI_K25: Geometry = Geometry {
    name: "kimi-k2.5",
    title: "Kimi K2.5, its text part; K2 Thinking, K2.6 and K2.7 have the same sizes",
    context: 262_144,
    norm_eps: 1e-5,
    rope: Rope { yarn: Some(Yarn { factor: 64.0, ..KIMI_YARN }), ..KIMI_K2.rope },
    ..KIMI_K2
};

const KIMI_K3: Geometry = Geometry {
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

const KIMI_LINEAR: Geometry = Geometry {
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

const DEEPSEEK_V3: Geometry = Geometry {
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

const DEEPSEEK_V32: Geometry = Geometry {
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

const DEEPSEEK_V4_FLASH: Geometry = Geometry {
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

const QWEN_TEXT: Text = Text {
    pre: "qwen2",
    controls: &[
        Control { id: 151_643, text: "<|endoftext|>", role: "bos" },
        Control { id: 151_645, text: "<|im_end|>", role: "eos" },
    ],
};

const QWEN3_30B: Geometry = Geometry {
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
const fn qwen3_attention(heads: usize, kv_heads: usize) -> Mixer {
    Mixer::Grouped(Grouped {
        heads,
        kv_heads,
        head: 128,
        norms: Norms::Head,
        biases: Biases::None,
        window: None,
    })
}

const QWEN3_235B: Geometry = Geometry {
    name: "qwen3-235b-a22b",
    title: "Qwen3 235B-A22B",
    layers: 94,
    dense_inner: 12288,
    hidden: 4096,
    mixer: qwen3_attention(64, 4),
    moe: Moe { inner: 1536, ..QWEN3_30B.moe },
    ..QWEN3_30B
};

const QWEN3_CODER_480B: Geometry = Geometry {
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

const QWEN35_397B: Geometry = Geometry {
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
const fn qwen35_mixer(heads: usize, kv_heads: usize, value_heads: usize) -> Mixer {
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

const QWEN35_122B: Geometry = Geometry {
    name: "qwen3.5-122b-a10b",
    title: "Qwen3.5 122B-A10B, its text part",
    layers: 48,
    hidden: 3072,
    moe: Moe { experts: 256, top_k: 8, ..QWEN35_397B.moe },
    ..QWEN35_397B
};

const QWEN35_35B: Geometry = Geometry {
    name: "qwen3.5-35b-a3b",
    title: "Qwen3.5 35B-A3B, its text part; Qwen3.6 35B-A3B has the same sizes",
    layers: 40,
    hidden: 2048,
    mixer: qwen35_mixer(16, 2, 32),
    moe: Moe { experts: 256, top_k: 8, inner: 512, shared: Shared::Gated(512), ..QWEN35_397B.moe },
    ..QWEN35_397B
};

const QWEN38_2400B: Geometry = Geometry {
    name: "qwen3.8-2.4t-a95b",
    title: "Qwen3.8 2.4T-A95B",
    layers: 92,
    hidden: 8192,
    mixer: qwen35_mixer(64, 4, 128),
    moe: Moe { inner: 2048, shared: Shared::Gated(2048), ..QWEN35_397B.moe },
    ..QWEN35_397B
};

const GPT_OSS_120B: Geometry = Geometry {
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

const GPT_OSS_20B: Geometry = Geometry {
    name: "gpt-oss-20b",
    title: "OpenAI's gpt-oss, the smaller",
    layers: 24,
    moe: Moe { experts: 32, ..GPT_OSS_120B.moe },
    ..GPT_OSS_120B
};

const GLM_46: Geometry = Geometry {
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

const GLM_45_AIR: Geometry = Geometry {
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

const GLM_47_FLASH: Geometry = Geometry {
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

const GLM_5: Geometry = Geometry {
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

const GLM_5_ATTENTION: Latent = Latent {
    heads: 64,
    query_rank: 2048,
    latent: 512,
    nope: 192,
    rotated: 64,
    value: 256,
    indexer: Some(GLM_5_INDEXER),
};

const GLM_5_INDEXER: Indexer = Indexer { heads: 32, head: 128, top_k: 2048, first: 1, every: 1 };

const GLM_52: Geometry = Geometry {
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

const MINIMAX_M2: Geometry = Geometry {
    name: "minimax-m2",
    title: "MiniMax M2; M2.1, M2.5 and M2.7 have the same sizes",
    architecture: "minimax-m2",
    layers: 62,
    dense_inner: 1536,
    hidden: 3072,
    vocab: 200_064,
    context: 196_608,
    mixer: Mixer::Grouped(Grouped {
        heads: 48,
        kv_heads: 8,
        head: 128,
        norms: Norms::Row,
        biases: Biases::None,
        window: None,
    }),
    rope: Rope { dims: 64, theta: 5e6, yarn: None, factors: false, sections: None },
    moe: Moe { experts: 256, inner: 1536, gating: Some(2), bias: true, ..QWEN3_30B.moe },
    text: Text {
        pre: "minimax-m2",
        controls: &[
            Control { id: 200_034, text: "]~!b[", role: "bos" },
            Control { id: 200_020, text: "[e~[", role: "eos" },
        ],
    },
    ..QWEN3_30B
};

const MIXTRAL_8X7B: Geometry = Geometry {
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

const MIXTRAL_8X22B: Geometry = Geometry {
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

const OLMOE: Geometry = Geometry {
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

const LLAMA_33_70B: Geometry = Geometry {
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

/// Of a model whose layers are all dense.
const NO_EXPERTS: Moe = Moe { experts: 0, top_k: 0, inner: 0, ..QWEN3_30B.moe };

const LLAMA_TEXT: Text = Text {
    pre: "llama-bpe",
    controls: &[
        Control { id: 128_000, text: "<|begin_of_text|>", role: "bos" },
        Control { id: 128_001, text: "<|end_of_text|>", role: "eos" },
        Control { id: 128_009, text: "<|eot_id|>", role: "eot" },
    ],
};

const QWEN3_32B: Geometry = Geometry {
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

/// Small experts, as those of Qwen3 30B-A3B, behind latent attention.
const DEEPSEEK_30B: Geometry = Geometry {
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

/// Every block of DeepSeek V3 in a few MB, for tests and for a first try.
const DEEPSEEK_TINY: Geometry = Geometry {
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
const QWEN3_TINY: Geometry = Geometry {
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
const LLAMA_TINY: Geometry = Geometry {
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
