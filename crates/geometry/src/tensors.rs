//! The tensors of a geometry, by the names llama.cpp's converter gives them, and what each is filled with.

use formats::gguf::types::{Block, GgmlType};
use formats::gguf::write::Tensor;

use crate::fillings::fallback;
use crate::shape::{
    Alternating, Biases, Compressed, Geometry, Grouped, Indexer, Kimi, Latent, Mixer, Norms, Shared,
};

/// A tensor to be written.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub tensor: Tensor,
    pub of: &'static GgmlType,
    pub fill: Fill,
    /// Part of routed experts.
    pub routed: bool,
}

/// What a tensor is filled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fill {
    /// Random values that make of inputs of size 1 outputs of this size.
    Gain(f32),
    /// Random values of this size.
    Size(f32),
    /// Random values below 0: how fast a recurrent state fades.
    Decay,
    /// 1.
    Ones,
    /// 0.
    Zeros,
    /// Whole numbers below this: experts of tokens.
    Below(usize),
    /// A router's, so that experts are used as often as was asked.
    Router,
}

/// What layers add to the residual stream, beside an embedding of size 1: so that a stream of 61 layers stays of the
/// same order, and what one layer sees resembles what the next one will, as in real models.
const BRANCH: f32 = 0.5;

/// What blocks of the residual stream are scored by: so that no block has all of the mixture.
const SCORE: f32 = 0.01;

/// All tensors of the first `layers` layers, with routed experts in the types `experts`, of which the second is for what
/// projects down, and other matrices in `trunk`.
pub(crate) fn tensors(
    geometry: &Geometry,
    layers: usize,
    experts: [&'static GgmlType; 2],
    trunk: &'static GgmlType,
) -> Vec<Planned> {
    let mut list = List { all: Vec::new(), layer: None, experts, trunk };
    list.matrix("token_embd", &[geometry.vocab, geometry.hidden], Fill::Size(1.0));
    if geometry.rope.factors {
        list.vector("rope_freqs.weight", geometry.rope.dims / 2, Fill::Ones);
    }
    for layer in 0..layers {
        list.layer = Some(layer);
        list.vector("attn_norm.weight", geometry.hidden, Fill::Ones);
        if geometry.third().is_some() {
            list.vector("attn_res_score.weight", geometry.hidden, Fill::Size(SCORE));
            list.vector("ffn_res_score.weight", geometry.hidden, Fill::Size(SCORE));
        }
        if let Some(of) = geometry.compressed() {
            list.streams("hc_attn", of.shares(), 3, (of.streams * geometry.hidden, Fill::Size(0.1)));
            list.streams("hc_ffn", of.shares(), 3, (of.streams * geometry.hidden, Fill::Size(0.1)));
        }
        list.mixer(geometry, layer);
        list.vector(&format!("{}.weight", geometry.second_norm), geometry.hidden, Fill::Ones);
        if layer < geometry.dense_layers { list.dense(geometry) } else { list.moe(geometry) }
    }
    list.layer = None;
    if geometry.third().is_some() {
        list.vector("output_res_score.weight", geometry.hidden, Fill::Size(SCORE));
    }
    if let Some(of) = geometry.compressed() {
        list.streams("output_hc", of.streams, 1, (of.streams * geometry.hidden, Fill::Size(0.1)));
    }
    list.vector("output_norm.weight", geometry.hidden, Fill::Ones);
    list.matrix("output", &[geometry.vocab, geometry.hidden], Fill::Gain(1.0));
    list.all
}

struct List {
    all: Vec<Planned>,
    layer: Option<usize>,
    experts: [&'static GgmlType; 2],
    trunk: &'static GgmlType,
}

impl List {
    fn mixer(&mut self, geometry: &Geometry, layer: usize) {
        let hidden = geometry.hidden;
        match geometry.mixer {
            Mixer::Latent(latent) => {
                self.latent(hidden, &latent);
                if let Some(indexer) = latent.indexer.filter(|indexer| indexer.is_in(layer)) {
                    self.indexer(hidden, latent.query_rank, &indexer);
                }
            }
            Mixer::Kimi(kimi) if geometry.attends(layer) => {
                self.latent(hidden, &kimi.latent);
                if kimi.third.is_some() {
                    let rows = kimi.latent.heads * kimi.latent.value;
                    self.matrix("attn_gate", &[rows, hidden], Fill::Gain(1.0));
                }
            }
            Mixer::Kimi(kimi) => self.kimi_delta(hidden, &kimi),
            Mixer::Compressed(of) => self.compressed(hidden, &of, of.ratio(layer)),
            Mixer::Grouped(grouped) => self.grouped(hidden, &grouped, 1),
            Mixer::Alternating(Alternating { grouped, .. }) if geometry.attends(layer) => {
                self.grouped(hidden, &grouped, 2);
            }
            Mixer::Alternating(Alternating { key_heads, value_heads, width, kernel, .. }) => {
                let values = value_heads * width;
                let channels = 2 * key_heads * width + values;
                self.matrix("attn_qkv", &[channels, hidden], Fill::Gain(1.0));
                self.matrix("attn_gate", &[values, hidden], Fill::Gain(1.0));
                self.plain("ssm_conv1d.weight", &[channels, kernel], Fill::Gain(1.0));
                self.vector("ssm_dt.bias", value_heads, Fill::Size(0.1));
                self.vector("ssm_a", value_heads, Fill::Decay);
                self.matrix("ssm_beta", &[value_heads, hidden], Fill::Gain(1.0));
                self.matrix("ssm_alpha", &[value_heads, hidden], Fill::Gain(1.0));
                self.vector("ssm_norm.weight", width, Fill::Ones);
                self.matrix("ssm_out", &[hidden, values], Fill::Gain(BRANCH));
            }
        }
    }

    fn latent(&mut self, hidden: usize, of: &Latent) {
        let Latent { heads, query_rank, latent, nope, rotated, value, .. } = *of;
        let queries = heads * (nope + rotated);
        if query_rank > 0 {
            self.matrix("attn_q_a", &[query_rank, hidden], Fill::Gain(1.0));
            self.vector("attn_q_a_norm.weight", query_rank, Fill::Ones);
            self.matrix("attn_q_b", &[queries, query_rank], Fill::Gain(1.0));
        } else {
            self.matrix("attn_q", &[queries, hidden], Fill::Gain(1.0));
        }
        self.matrix("attn_kv_a_mqa", &[latent + rotated, hidden], Fill::Gain(1.0));
        self.vector("attn_kv_a_norm.weight", latent, Fill::Ones);
        self.matrix("attn_k_b", &[heads, latent, nope], Fill::Gain(1.0));
        self.matrix("attn_v_b", &[heads, value, latent], Fill::Gain(1.0));
        self.matrix("attn_output", &[hidden, heads * value], Fill::Gain(BRANCH));
    }

    /// What `shares` of residual streams of `width` numbers together are projected by, in so many kinds.
    fn streams(&mut self, name: &str, shares: usize, kinds: usize, (width, bias): (usize, Fill)) {
        self.plain(&format!("{name}_fn.weight"), &[shares, width], Fill::Gain(0.5));
        self.vector(&format!("{name}_base.weight"), shares, bias);
        self.vector(&format!("{name}_scale.weight"), kinds, Fill::Ones);
    }

    fn compressed(&mut self, hidden: usize, of: &Compressed, ratio: usize) {
        let Compressed { heads, head, query_rank, groups, group_rank, indexer, .. } = *of;
        self.matrix("attn_q_a", &[query_rank, hidden], Fill::Gain(1.0));
        self.vector("attn_q_a_norm.weight", query_rank, Fill::Ones);
        self.matrix("attn_q_b", &[heads * head, query_rank], Fill::Gain(1.0));
        self.matrix("attn_kv", &[head, hidden], Fill::Gain(1.0));
        self.vector("attn_kv_a_norm.weight", head, Fill::Ones);
        self.vector("attn_sinks.weight", heads, Fill::Size(1.0));
        self.matrix("attn_output_a", &[groups * group_rank, heads * head / groups], Fill::Gain(1.0));
        self.matrix("attn_output_b", &[hidden, groups * group_rank], Fill::Gain(BRANCH));
        match ratio {
            0 => {}
            4 => {
                self.compressor("attn_compressor", (hidden, head), 2, ratio);
                self.compressor("indexer_compressor", (hidden, indexer.head), 2, ratio);
                self.matrix("indexer.proj", &[indexer.heads, hidden], Fill::Gain(1.0));
                let rows = indexer.heads * indexer.head;
                self.matrix("indexer.attn_q_b", &[rows, query_rank], Fill::Gain(1.0));
            }
            _ => self.compressor("attn_compressor", (hidden, head), 1, ratio),
        }
    }

    /// What makes compressed rows of `head` numbers, of which a token projects so many for each.
    fn compressor(&mut self, name: &str, (hidden, head): (usize, usize), parts: usize, ratio: usize) {
        self.matrix(&format!("{name}_kv"), &[parts * head, hidden], Fill::Gain(1.0));
        self.matrix(&format!("{name}_gate"), &[parts * head, hidden], Fill::Gain(1.0));
        self.plain(&format!("{name}_ape.weight"), &[ratio, parts * head], Fill::Size(0.1));
        self.vector(&format!("{name}_norm.weight"), head, Fill::Ones);
    }

    fn indexer(&mut self, hidden: usize, query_rank: usize, of: &Indexer) {
        let Indexer { heads, head, .. } = *of;
        self.vector("indexer.k_norm.weight", head, Fill::Ones);
        self.vector("indexer.k_norm.bias", head, Fill::Zeros);
        self.matrix("indexer.proj", &[heads, hidden], Fill::Gain(1.0));
        self.matrix("indexer.attn_k", &[head, hidden], Fill::Gain(1.0));
        self.matrix("indexer.attn_q_b", &[heads * head, query_rank], Fill::Gain(1.0));
    }

    fn kimi_delta(&mut self, hidden: usize, of: &Kimi) {
        let (heads, width) = (of.latent.heads, of.width);
        let all = heads * width;
        for part in ["q", "k", "v"] {
            self.matrix(&format!("attn_{part}"), &[all, hidden], Fill::Gain(1.0));
            self.plain(&format!("ssm_conv1d_{part}.weight"), &[1, all, 1, of.kernel], Fill::Gain(1.0));
        }
        let low_ranks: &[&str] = if of.third.is_some() { &["f"] } else { &["f", "g"] };
        if of.third.is_some() {
            self.matrix("ssm_g", &[all, hidden], Fill::Gain(1.0));
        }
        for gate in low_ranks {
            self.matrix(&format!("ssm_{gate}_a"), &[width, hidden], Fill::Gain(1.0));
            self.matrix(&format!("ssm_{gate}_b"), &[all, width], Fill::Gain(1.0));
        }
        self.matrix("ssm_beta", &[heads, hidden], Fill::Gain(1.0));
        match of.third {
            Some(_) => self.vector("ssm_a", heads, Fill::Decay),
            None => self.plain("ssm_a", &[1, 1, heads, 1], Fill::Decay),
        }
        self.vector("ssm_dt.bias", all, Fill::Size(0.1));
        self.vector("ssm_norm.weight", width, Fill::Ones);
        self.matrix("attn_output", &[hidden, all], Fill::Gain(BRANCH));
    }

    /// Grouped-query attention; `parts` is 2 when queries come with a gate of their own width.
    fn grouped(&mut self, hidden: usize, of: &Grouped, parts: usize) {
        let (queries, keys) = (of.heads * of.head, of.kv_heads * of.head);
        for (name, rows) in [("attn_q", parts * queries), ("attn_k", keys), ("attn_v", keys)] {
            self.matrix(name, &[rows, hidden], Fill::Gain(1.0));
            if of.biases != Biases::None {
                self.vector(&format!("{name}.bias"), rows, Fill::Size(0.1));
            }
        }
        self.matrix("attn_output", &[hidden, queries], Fill::Gain(BRANCH));
        if of.biases == Biases::All {
            self.vector("attn_output.bias", hidden, Fill::Size(0.01));
        }
        match of.norms {
            Norms::None => {}
            Norms::Head => {
                self.vector("attn_q_norm.weight", of.head, Fill::Ones);
                self.vector("attn_k_norm.weight", of.head, Fill::Ones);
            }
            Norms::Row => {
                self.vector("attn_q_norm.weight", queries, Fill::Ones);
                self.vector("attn_k_norm.weight", keys, Fill::Ones);
            }
        }
        if of.window.is_some() {
            self.vector("attn_sinks.weight", of.heads, Fill::Size(1.0));
        }
    }

    fn dense(&mut self, geometry: &Geometry) {
        let (hidden, inner) = (geometry.hidden, geometry.dense_inner);
        self.matrix("ffn_gate", &[inner, hidden], Fill::Gain(1.0));
        self.matrix("ffn_up", &[inner, hidden], Fill::Gain(1.0));
        self.matrix("ffn_down", &[hidden, inner], Fill::Gain(BRANCH));
    }

    fn moe(&mut self, geometry: &Geometry) {
        let (hidden, moe) = (geometry.hidden, &geometry.moe);
        self.plain("ffn_gate_inp.weight", &[moe.experts, hidden], Fill::Router);
        let by_token = geometry.compressed().is_some_and(|of| self.layer < Some(of.by_token));
        if by_token {
            let shape = [geometry.vocab, moe.top_k];
            self.push("ffn_gate_tid2eid.weight", &shape, &I32, Fill::Below(moe.experts), false);
        } else if moe.bias {
            self.vector("exp_probs_b.bias", moe.experts, Fill::Zeros);
        }
        let width = geometry.expert_width();
        if geometry.third().is_some() {
            self.matrix("ffn_routed_down", &[width, hidden], Fill::Gain(1.0));
            self.vector("ffn_routed_norm.weight", width, Fill::Ones);
            self.matrix("ffn_routed_up", &[hidden, width], Fill::Gain(BRANCH));
        }
        let shapes = [
            ("gate", moe.inner, width, 1.0, self.experts[0]),
            ("up", moe.inner, width, 1.0, self.experts[0]),
            ("down", width, moe.inner, BRANCH, self.experts[1]),
        ];
        for (name, rows, cols, gain, of) in shapes {
            let shape = [moe.experts, rows, cols];
            self.push(&format!("ffn_{name}_exps.weight"), &shape, of, Fill::Gain(gain), true);
        }
        if matches!(geometry.mixer, Mixer::Grouped(Grouped { biases: Biases::All, .. })) {
            self.vector("ffn_gate_inp.bias", moe.experts, Fill::Zeros);
            for (name, rows, ..) in shapes {
                self.expert_biases(&format!("ffn_{name}_exps.bias"), &[moe.experts, rows]);
            }
        }
        let shared = moe.shared_inner();
        if shared > 0 {
            self.matrix("ffn_gate_shexp", &[shared, hidden], Fill::Gain(1.0));
            self.matrix("ffn_up_shexp", &[shared, hidden], Fill::Gain(1.0));
            self.matrix("ffn_down_shexp", &[hidden, shared], Fill::Gain(BRANCH));
        }
        if let Shared::Gated(_) = moe.shared {
            self.plain("ffn_gate_inp_shexp.weight", &[hidden], Fill::Gain(1.0));
        }
    }

    /// A matrix of the trunk; a token's row of it when it is the embedding.
    fn matrix(&mut self, name: &str, shape: &[usize], fill: Fill) {
        let of = fallback(self.trunk, shape.last().copied().unwrap_or(1) as u64);
        self.push(&format!("{name}.weight"), shape, of, fill, false);
    }

    fn expert_biases(&mut self, name: &str, shape: &[usize]) {
        self.push(name, shape, &F32, Fill::Size(0.01), true);
    }

    fn vector(&mut self, name: &str, len: usize, fill: Fill) {
        self.plain(name, &[len], fill);
    }

    fn plain(&mut self, name: &str, shape: &[usize], fill: Fill) {
        self.push(name, shape, &F32, fill, false);
    }

    fn push(&mut self, name: &str, shape: &[usize], of: &'static GgmlType, fill: Fill, routed: bool) {
        let name = self.layer.map_or(name.to_owned(), |layer| format!("blk.{layer}.{name}"));
        let shape = shape.iter().map(|size| *size as u64).collect();
        self.all.push(Planned { tensor: Tensor { name, element: of.element(), shape }, of, fill, routed });
    }
}

/// What is never quantized: norms, routers, biases, convolutions.
static F32: GgmlType = GgmlType { id: 0, name: "F32", block: Some(Block { len: 1, bytes: 4 }) };

/// Which experts tokens have.
static I32: GgmlType = GgmlType { id: 26, name: "I32", block: Some(Block { len: 1, bytes: 4 }) };

impl Planned {
    /// Numbers in it.
    pub fn values(&self) -> u64 {
        self.tensor.shape.iter().product()
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        self.of.block.map_or(0, |block| self.values() / block.len * block.bytes)
    }

    /// Whether every token needs all of it: the embedding gives a token one row.
    pub fn is_resident(&self) -> bool {
        !self.routed && self.tensor.name != "token_embd.weight"
    }

    /// Whether its numbers are made one by one, not taken from blocks that repeat.
    pub fn is_fresh(&self) -> bool {
        self.of.name == I32.name || self.of.name == F32.name && self.values() <= FRESH_MAX
    }
}

/// More than any published router has; a whole trunk in f32 is not made one by one.
const FRESH_MAX: u64 = 1 << 22;
