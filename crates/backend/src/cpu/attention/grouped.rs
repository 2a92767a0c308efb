//! Attention of heads as they are: those that share a key are lanes of a block.

use super::blocks::{Blocks, Layout, Source};
use super::{Machine, grown, tile};
use crate::cpu::memory::{host, host_mut, vector};
use crate::{CompressedQuery, GroupedQuery, Tensor};

/// See [`crate::Backend::grouped_attention`].
pub(crate) fn run(machine: &Machine<'_>, query: &GroupedQuery<'_>, out: &mut Tensor) {
    let GroupedQuery { gqa, q, span, kv, sinks } = *query;
    let layout = Layout { groups: gqa.kv_heads, key: gqa.head, value_at: gqa.head, value: gqa.head };
    let heads = Heads {
        machine,
        layout,
        per_token: gqa.heads / gqa.kv_heads,
        scale: gqa.scale(),
        sinks: sinks.map(vector),
    };
    let place = span.rows.start * out.cols..span.rows.end * out.cols;
    let source = Source { window: gqa.window, ..Source::of(kv, span.start) };
    heads.look_back(&host(q)[place.clone()], &[source], &mut host_mut(out)[place]);
}

/// See [`crate::Backend::compressed_attention`]. Rows are keys and values at once, and all heads share them.
pub(crate) fn compressed(machine: &Machine<'_>, query: &CompressedQuery<'_>, out: &mut Tensor) {
    let CompressedQuery { sizes, q, span, kv, compressed, chosen, sinks } = *query;
    let (width, head) = (out.cols, sizes.head);
    let layout = Layout { groups: 1, key: head, value_at: 0, value: head };
    let heads =
        Heads { machine, layout, per_token: sizes.heads, scale: sizes.scale(), sinks: Some(vector(sinks)) };
    let place = span.rows.start * width..span.rows.end * width;
    let (q, out) = (&host(q)[place.clone()], &mut host_mut(out)[place]);
    let near = |start| Source { window: Some(sizes.window), ..Source::of(kv, start) };
    let every = sizes.compressor.as_ref().map_or(1, |compressor| compressor.ratio);
    let Some((rows, (chosen, first))) = compressed.zip(chosen) else {
        let far = compressed.map(|rows| Source { every, ..Source::of(rows, span.start) });
        let sources: Vec<Source<'_>> = [Some(near(span.start)), far].into_iter().flatten().collect();
        return heads.look_back(q, &sources, out);
    };
    // Each token its own rows, which serve all of its heads.
    for (token, (q, out)) in q.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let of_token = chosen.of(first + token);
        let far = (!of_token.is_empty()).then(|| Source::chosen(rows, of_token));
        let sources: Vec<Source<'_>> = [Some(near(span.start + token)), far].into_iter().flatten().collect();
        heads.look_back(q, &sources, out);
    }
}

/// Heads, and how they look at rows.
struct Heads<'a> {
    machine: &'a Machine<'a>,
    layout: Layout,
    /// Heads of a group.
    per_token: usize,
    /// What scores are multiplied by.
    scale: f32,
    /// Of each head.
    sinks: Option<&'a [f32]>,
}

impl Heads<'_> {
    /// Lets the tokens of `q`, `[tokens, heads * head]`, look at `sources`, into `out`, which has the same shape.
    fn look_back(&self, q: &[f32], sources: &[Source<'_>], out: &mut [f32]) {
        let Self { machine, layout, per_token, scale, sinks } = *self;
        let head = layout.key;
        let width = layout.groups * per_token * head;
        let mut shared = machine.memory.shared();
        let shared = &mut *shared;

        // [groups, blocks, head, lanes]
        let count = q.len() / width * per_token;
        let lanes = tile::lanes(count);
        let blocks = count.div_ceil(lanes);
        let turned = grown(&mut shared.turned, layout.groups * blocks * head * lanes);
        machine.threads.for_chunks(turned, head * lanes, &|chunk, out| {
            let (group, first) = (chunk / blocks, chunk % blocks * lanes);
            let rows = (first..count.min(first + lanes)).map(|lane| {
                let at = group * per_token + lane % per_token;
                &q[lane / per_token * width + at * head..][..head]
            });
            tile::turn(rows, lanes, out);
            out.iter_mut().for_each(|q| *q *= scale);
        });

        let blocks = Blocks { machine, layout, sources, count, per_token, sinks };
        let answers = blocks.answers(turned, head, &mut shared.sums, &mut shared.answers);

        for (token, row) in out.chunks_exact_mut(width).enumerate() {
            for (at, part) in row.chunks_exact_mut(head).enumerate() {
                let query = token * per_token + at % per_token;
                part.copy_from_slice(&answers.row(at / per_token, query)[..head]);
            }
        }
    }
}
