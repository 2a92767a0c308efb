//! What attention keeps of memory beside tensors, from the shapes alone.

use spec::{Compressed, Gqa, Indexer, Mla};

use super::absorbed::{GROUP, lifted_floats};
use super::blocks::FEW;
use super::index::TOGETHER;
use super::sums::Width;
use super::tile::{lanes, ranges, score_floats};
use super::{TILE, WAVE, padded};
use crate::Form;

/// Bytes that latent attention keeps beside tensors at most: for passes of up to `tokens` tokens, of prompts of up to
/// `prompt`, on contexts of up to `context`, on so many threads.
pub fn latent_scratch_bytes(
    mla: &Mla,
    tokens: usize,
    context: usize,
    prompt: usize,
    threads: usize,
) -> usize {
    let absorbed = absorbed(mla, tokens.min(WAVE), context, threads);
    // Where tokens choose what they attend to, a shorter prompt may be expanded and a longer one not.
    let floats = match Form::cheaper(mla, &(0..prompt)) {
        Form::Absorbed if mla.top_k().is_none() => absorbed,
        _ => absorbed + expanded(mla, tokens, threads),
    };
    floats * size_of::<f32>()
}

/// The same of grouped-query attention.
pub fn grouped_scratch_bytes(gqa: &Gqa, tokens: usize, context: usize, threads: usize) -> usize {
    let stride = padded(gqa.head + padded(gqa.head));
    heads(tokens * gqa.heads / gqa.kv_heads, gqa.kv_heads, (gqa.head, stride), ranges(context).len(), threads)
}

/// The same of attention to a window and to compressed rows, and of computing those.
pub fn compressed_scratch_bytes(sizes: &Compressed, tokens: usize, context: usize, threads: usize) -> usize {
    // A window may lie across two ranges more than it fills.
    let near = ranges(sizes.window).len() + 2;
    let (far, each) = match &sizes.compressor {
        None => (0, 0),
        // What a thread mixes a row of, twice.
        Some(compressor) => {
            let mixed = 2 * compressor.window() * padded(sizes.head);
            (ranges(context / compressor.ratio).len(), threads * mixed + compressor.window() * sizes.head)
        }
    };
    let stride = padded(sizes.head);
    heads(tokens * sizes.heads, 1, (sizes.head, stride), near + far, threads) + each * size_of::<f32>()
}

/// Bytes for `count` queries of each of `groups` groups that look at so many ranges of rows `stride` apart.
fn heads(
    count: usize,
    groups: usize,
    (head, stride): (usize, usize),
    ranges: usize,
    threads: usize,
) -> usize {
    let width = Width { lanes: lanes(count), value: head };
    let blocks = count.div_ceil(width.lanes);
    let parts = blocks.max(blocks.min(FEW) * ranges);
    let turned = blocks * width.lanes * (head + padded(head));
    let tile = TILE * stride + score_floats(width.lanes) + width.floats();
    let group = parts * (width.floats() + 2 * width.lanes) + turned;
    (groups * group + threads * tile) * size_of::<f32>()
}

/// Bytes that choosing keeps beside tensors at most: what it works in, and what it has chosen.
pub fn index_scratch_bytes(indexer: &Indexer, tokens: usize, context: usize, threads: usize) -> usize {
    let wave = tokens.min(TOGETHER);
    let (lanes, rows) = (padded(indexer.heads), context.next_multiple_of(TILE));
    let turned = wave * (indexer.head * lanes + indexer.heads);
    let tile = TILE * (padded(indexer.head) + lanes);
    // A thread ranks the scores of one token, each with its position.
    let ranked = threads.min(wave) * 2 * context;
    let chosen = 2 * tokens * indexer.top_k.min(context);
    (turned + wave * rows + threads * tile + ranked + chosen) * size_of::<f32>()
}

fn absorbed(mla: &Mla, tokens: usize, context: usize, threads: usize) -> usize {
    let count = tokens * mla.heads;
    let width = Width { lanes: lanes(count), value: mla.latent };
    let blocks = count.div_ceil(width.lanes);
    let parts = blocks.max(blocks.min(FEW) * ranges(context).len());
    let answers = blocks * width.lanes * padded(mla.latent) + count * mla.value;
    let tile = TILE * padded(mla.row()) + score_floats(width.lanes) + width.floats();
    let lift = tokens * (mla.nope.max(mla.latent) + 1) + GROUP * padded(mla.latent) + mla.nope;
    lifted_floats(mla, tokens)
        + parts * (width.floats() + 2 * width.lanes)
        + answers
        + threads * (tile + lift)
}

fn expanded(mla: &Mla, tokens: usize, threads: usize) -> usize {
    let width = Width { lanes: lanes(tokens), value: mla.value };
    let blocks = tokens.div_ceil(width.lanes);
    let (nope, value) = (padded(mla.nope), padded(mla.value));
    let weights = mla.latent * (nope + value);
    let queries = blocks * mla.head() * width.lanes;
    let tile = TILE * (padded(mla.row()) + padded(mla.head()) + value) + score_floats(width.lanes);
    let each = weights + queries + tile + 2 * blocks * width.floats();
    mla.heads * tokens * mla.value + threads.min(mla.heads) * each
}
