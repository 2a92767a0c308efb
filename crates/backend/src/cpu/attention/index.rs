//! The lightning indexer: which cached rows a token attends to.
//!
//! Rows of keys are widened tile by tile, once for a wave of tokens; the scores of one tile with one token are a small
//! matrix `[keys, heads]` that is summed over heads at once. A token's scores depend on its own query and on the keys
//! alone, each a sum in one order, so neither threads nor the cut of a prompt change what it chooses.

use std::ops::Range;

use kernels::{Factors, Size};
use spec::Indexer;

use super::{Machine, TILE, grown, padded, tile};
use crate::cpu::kv_rows;
use crate::cpu::memory::host;
use crate::{Chosen, IndexQuery};

/// Tokens whose scores are held at once.
pub(super) const TOGETHER: usize = 16;

/// See [`crate::Backend::choose_rows`].
pub(crate) fn run(machine: &Machine<'_>, query: &IndexQuery<'_>) -> Chosen {
    let (top_k, span, every) = (query.indexer.top_k, query.span, query.every);
    // Tokens that see no more rows than they may choose.
    let free = (every * (top_k + 1) - 1).saturating_sub(span.start).min(span.rows.len());
    let mut lists: Vec<Vec<u32>> =
        (0..free).map(|token| (0..((span.start + token + 1) / every) as u32).collect()).collect();
    let mut shared = machine.memory.shared();
    for first in (free..span.rows.len()).step_by(TOGETHER) {
        let wave = first..span.rows.len().min(first + TOGETHER);
        let scores = score(machine, query, wave.clone(), &mut shared.index);
        let mut chosen = vec![Vec::new(); wave.len()];
        machine.threads.for_chunks(&mut chosen, 1, &|token, out| {
            let seen = (span.start + wave.start + token + 1) / every;
            let tiles = scores.chunks_exact(wave.len() * TILE).map(|tile| &tile[token * TILE..][..TILE]);
            out[0] = best(tiles.flatten().take(seen).copied(), top_k);
        });
        lists.append(&mut chosen);
    }
    Chosen::new(lists)
}

/// Scores of the tokens `wave` of the span with all rows that the last of them sees: `[tiles, tokens, TILE]`.
fn score<'b>(
    machine: &Machine<'_>,
    query: &IndexQuery<'_>,
    wave: Range<usize>,
    out: &'b mut Vec<f32>,
) -> &'b [f32] {
    let IndexQuery { indexer, q, weights, span, kv, key_at, every } = *query;
    let Indexer { heads, head, .. } = *indexer;
    let (kernels, lanes, stride) = (machine.kernels, padded(heads), padded(head));
    let (seen, rows) = ((span.start + wave.end) / every, span.rows.start + wave.start);
    // [tokens, head, lanes], and what heads weigh, [tokens, heads]
    let mut turned = vec![0.0; wave.len() * head * lanes];
    for (token, out) in turned.chunks_exact_mut(head * lanes).enumerate() {
        tile::turn(host(q)[(rows + token) * heads * head..][..heads * head].chunks_exact(head), lanes, out);
    }
    let scale = ((heads * head) as f64).powf(-0.5) as f32;
    let weights = &host(weights)[rows * heads..(rows + wave.len()) * heads];
    let weights: Vec<f32> = weights.iter().map(|weight| weight * scale).collect();

    let out = grown(out, seen.div_ceil(TILE) * wave.len() * TILE);
    machine.threads.for_chunks(out, wave.len() * TILE, &|at, out| {
        let positions = at * TILE..seen.min((at + 1) * TILE);
        let count = positions.len();
        machine.memory.with_space(|space| {
            let keys = grown(&mut space.tile, TILE * stride);
            kv_rows::widen(kernels, kv, positions, key_at..key_at + head, keys, stride);
            let keys = Factors { values: keys, row: stride, step: 1 };
            let products = grown(&mut space.scores, TILE * lanes);
            for (token, out) in out.chunks_exact_mut(TILE).enumerate() {
                products.fill(0.0);
                let queries = &turned[token * head * lanes..][..head * lanes];
                let size = Size { rows: count, depth: head, cols: lanes };
                kernels.accumulate(keys, (queries, lanes), (products, lanes), size);
                products.iter_mut().for_each(|product| *product = product.max(0.0));
                let weights = &weights[token * heads..][..heads];
                for (out, products) in out.iter_mut().zip(products.chunks_exact(lanes)) {
                    *out = kernels.dot(weights, &products[..heads]);
                }
            }
        });
    });
    out
}

/// The positions of the `count` highest scores, in order. Of equal ones the earlier counts, and 0 equals -0.
fn best(scores: impl Iterator<Item = f32>, count: usize) -> Vec<u32> {
    let mut ranked: Vec<(f32, u32)> = scores.zip(0..).map(|(score, at)| (score + 0.0, at)).collect();
    if count < ranked.len() {
        ranked.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(count);
    }
    let mut rows: Vec<u32> = ranked.into_iter().map(|(_, at)| at).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_scores_are_chosen_and_the_earlier_of_equal_ones() {
        let choose = |scores: &[f32], count| best(scores.iter().copied(), count);
        assert_eq!(choose(&[0.5, -1.0, 2.0, 0.5, 0.5], 3), [0, 2, 3]);
        assert_eq!(choose(&[-0.0, 0.0, -0.0, 0.0], 2), [0, 1], "no head likes any of them");
        assert_eq!(choose(&[-3.0, -2.0], 5), [0, 1]);
        assert_eq!(choose(&[f32::NEG_INFINITY, 1.0, f32::INFINITY], 1), [2]);
    }
}
