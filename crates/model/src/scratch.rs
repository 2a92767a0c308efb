//! How much memory one pass needs beside weights, experts and KV: a pure function of the shapes.

use backend::{
    compressed_scratch_bytes, delta_scratch_bytes, grouped_scratch_bytes, index_scratch_bytes,
    latent_scratch_bytes,
};
use spec::{Compressed, DeltaNet, Ffn, Gqa, Mixer, Mla, ModelSpec, Moe, Scope};

use crate::blocks::TOGETHER_ROWS;
use crate::decoder::HEAD_ROWS;
use crate::portion::PORTION;

/// What a pass may be asked at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSize {
    /// Rows of the batch.
    pub tokens: usize,
    /// Tokens of one sequence.
    pub context: usize,
    /// Tokens of one prompt.
    pub prompt: usize,
    /// Threads that compute.
    pub threads: usize,
}

/// Bytes that one pass of this size may hold at once at most.
///
/// The sum of what is alive together in the widest block of the widest layer, each tensor counted in full; and, for
/// attention, what each head at work spells out for itself.
pub fn scratch_bytes(spec: &ModelSpec, pass: &PassSize) -> u64 {
    let PassSize { tokens, threads, .. } = *pass;
    let portion = PassSize { tokens: tokens.min(PORTION), ..*pass };
    // The residual stream and its norm, and cosines and sines.
    // Of a stream in blocks also what each began with, and a mixture of them.
    let blocks = spec.residuals.map_or(0, |of| spec.layers.len().div_ceil(of.layers) + 1);
    // Of several streams all, their norm or a copy, and each token's shares.
    let streams = spec.streams.map_or(0, |of| 2 * spec.residual() + 2 * of.shares());
    let turned: usize = spec.ropes().iter().map(|rope| rope.dims).sum();
    let residual = tokens * ((2 + blocks) * spec.hidden + streams + turned);
    // Of a pass in portions: what they add up to, and one of them going in and coming out.
    let gathered = if tokens > PORTION { (tokens + 2 * PORTION) * spec.hidden } else { 0 };
    let widest = spec.layers.iter().map(|layer| {
        let mixer = gathered + mixer(&layer.mixer, &portion);
        mixer.max(gathered + feed_forward(&layer.ffn, spec.hidden, tokens, portion.tokens))
    });
    let head = HEAD_ROWS.min(tokens) * (2 * spec.hidden + 2 * spec.vocab);
    // What products keep from one to the next: the inner rows of gated networks, and what each thread spells out.
    // Experts that are computed together have a row for each token of each.
    let uses = tokens.min(TOGETHER_ROWS) * most(spec, |moe| moe.router.top_k);
    let network = spec.layers.iter().map(|layer| inner_width(&layer.ffn)).max().unwrap_or(0);
    let inner = (portion.tokens * network).max(uses * most(spec, |moe| moe.inner));
    // In f32 the tokens of an expert, one after the other.
    let asked = portion.tokens * most(spec, |moe| moe.width(spec.hidden));
    let kept = chosen(spec, tokens, pass.context) + inner + asked;
    let numbers = residual + kept + widest.max().unwrap_or(0).max(head);
    let codes = backend::codes_scratch_bytes(widest_row(spec), portion.tokens, uses, threads);
    let floats = backend::floats_scratch_bytes(portion.tokens, threads);
    (numbers * size_of::<f32>() + codes + floats + threads * STACK) as u64
}

/// What tokens chose to attend to stays until the next indexer has them choose anew.
fn chosen(spec: &ModelSpec, tokens: usize, context: usize) -> usize {
    let of_layer = |layer: &spec::LayerSpec| match &layer.mixer {
        Mixer::Mla(mla) => mla.top_k(),
        Mixer::Gqa(_) | Mixer::Delta(_) | Mixer::Compressed(_) => None,
    };
    spec.layers.iter().filter_map(of_layer).max().unwrap_or(0).min(context) * tokens
}

/// Bytes of a thread's stack, as measured.
const STACK: usize = 64 << 10;

fn inner_width(ffn: &Ffn) -> usize {
    match ffn {
        Ffn::Dense { inner, .. } => *inner,
        Ffn::Moe(moe) => moe.inner.max(moe.shared_inner),
    }
}

/// The most of something that any mixture of experts has.
fn most(spec: &ModelSpec, of: impl Fn(&Moe) -> usize) -> usize {
    let of_layer = |layer: &spec::LayerSpec| match &layer.ffn {
        Ffn::Moe(moe) => of(moe),
        Ffn::Dense { .. } => 0,
    };
    spec.layers.iter().map(of_layer).max().unwrap_or(0)
}

/// The longest row of any matrix.
fn widest_row(spec: &ModelSpec) -> usize {
    let of_layer = |layer: &spec::LayerSpec| {
        let widest = match &layer.mixer {
            Mixer::Mla(mla) => (mla.heads * mla.value).max(mla.query_rank.unwrap_or(0)),
            Mixer::Gqa(gqa) => gqa.heads * gqa.head,
            Mixer::Delta(net) => net.values(),
            Mixer::Compressed(of) => (of.heads * of.head / of.groups).max(of.groups * of.group_rank),
        };
        inner_width(&layer.ffn).max(widest)
    };
    spec.layers.iter().map(of_layer).max().unwrap_or(0).max(spec.residual())
}

fn mixer(mixer: &Mixer, pass: &PassSize) -> usize {
    match mixer {
        Mixer::Mla(mla) => latent(mla, pass),
        Mixer::Gqa(gqa) => grouped(gqa, pass),
        Mixer::Delta(net) => delta(net, pass),
        Mixer::Compressed(of) => compressed(of, pass),
    }
}

fn compressed(of: &Compressed, pass: &PassSize) -> usize {
    let PassSize { tokens, context, threads, .. } = *pass;
    // Queries twice (a product keeps its transpose), answers, a group of them as a product takes and gives them, and what
    // groups answer.
    let answers = of.heads * of.head;
    let group = (answers / of.groups).max(of.group_rank);
    let rows = tokens * (of.query_rank + 3 * answers + of.head + 2 * group + of.groups * of.group_rank);
    let compressed = of.compressor.as_ref().map_or(0, |compressor| {
        let rows = tokens / compressor.ratio + 1;
        let inputs = tokens * 2 * compressor.inputs(of.head) + 3 * rows * compressor.row(of.head);
        let index = compressor.indexer.as_ref().map_or(0, |indexer| {
            let context = context / compressor.ratio;
            let asked = tokens * (2 * indexer.heads * indexer.head + indexer.heads);
            asked + index_scratch_bytes(indexer, tokens, context, threads) / size_of::<f32>()
        });
        inputs + index
    });
    rows + compressed + compressed_scratch_bytes(of, tokens, context, threads) / size_of::<f32>()
}

fn delta(net: &DeltaNet, pass: &PassSize) -> usize {
    let PassSize { tokens, threads, .. } = *pass;
    // Inputs and gates twice (together and apart, or a product's transpose), rates likewise, and answers.
    let rates = net.value_heads + net.decays();
    let rows = tokens * (2 * (net.channels() + net.values() + rates) + net.values());
    rows + delta_scratch_bytes(net, tokens, threads) / size_of::<f32>()
}

fn grouped(gqa: &Gqa, pass: &PassSize) -> usize {
    let PassSize { tokens, context, threads, .. } = *pass;
    // Queries twice (a product keeps its transpose), keys and values twice, and answers.
    let gated = if gqa.gate { 3 } else { 0 }; // queries and gates together, and the gates
    let rows = tokens * ((3 + gated) * gqa.heads * gqa.head + 2 * gqa.row());
    rows + grouped_scratch_bytes(gqa, tokens, context, threads) / size_of::<f32>()
}

fn latent(mla: &Mla, pass: &PassSize) -> usize {
    let PassSize { tokens, context, prompt, threads } = *pass;
    let low = tokens * mla.query_rank.unwrap_or(0);
    // Queries twice (a product keeps its transpose), rows for the cache, and answers.
    let answers = if mla.gate { 3 } else { 1 }; // their gates, too, and a product's transpose
    let rows = tokens * (2 * mla.heads * mla.head() + 2 * mla.row() + answers * mla.heads * mla.value);
    let index = match &mla.scope {
        Scope::All | Scope::Former { .. } => 0,
        // Queries twice, keys twice and beside the rows, and what heads weigh.
        Scope::Indexed(indexer) => {
            let each = 2 * indexer.heads * indexer.head + 2 * indexer.head + mla.cached() + indexer.heads;
            tokens * each + index_scratch_bytes(indexer, tokens, context, threads) / size_of::<f32>()
        }
    };
    low + rows + index + latent_scratch_bytes(mla, tokens, context, prompt, threads) / size_of::<f32>()
}

/// Of a pass of `tokens` rows, `portion` of which are worked on at once.
fn feed_forward(ffn: &Ffn, hidden: usize, tokens: usize, portion: usize) -> usize {
    match ffn {
        Ffn::Dense { inner, .. } => portion * (inner + 2 * hidden),
        Ffn::Moe(moe) => {
            let width = moe.width(hidden);
            // Also, in a width of their own, what goes in, the sum of answers, and what comes out.
            let narrow =
                if moe.latent.is_some() { tokens * (2 * width + hidden) + portion * width } else { 0 };
            let parts = tokens * moe.router.top_k * width + narrow;
            let shared = portion * (moe.shared_inner + hidden);
            parts + shared + tokens * (hidden + 2 * moe.experts)
        }
    }
}
