//! MiniMax M2.

use super::qwen::QWEN3_30B;
use crate::shape::{Biases, Control, Geometry, Grouped, Mixer, Moe, Norms, Rope, Text};

pub(super) const MINIMAX_M2: Geometry = Geometry {
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
