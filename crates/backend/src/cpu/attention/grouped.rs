//! Grouped-query attention: the heads that share a key are lanes of a block.

use super::blocks::{Blocks, Layout};
use super::{Machine, grown, tile};
use crate::cpu::memory::{host, host_mut, vector};
use crate::{GroupedQuery, Tensor};

/// See [`crate::Backend::grouped_attention`].
pub(crate) fn run(machine: &Machine<'_>, query: &GroupedQuery<'_>, out: &mut Tensor) {
    let GroupedQuery { gqa, q, span, kv, sinks } = *query;
    let (tokens, width, head) = (span.rows.len(), out.cols, gqa.head);
    let per_token = gqa.heads / gqa.kv_heads;
    let q = &host(q)[span.rows.start * width..span.rows.end * width];
    let mut shared = machine.memory.shared();
    let shared = &mut *shared;

    // [groups, blocks, head, lanes]
    let count = tokens * per_token;
    let lanes = tile::lanes(count);
    let blocks = count.div_ceil(lanes);
    let turned = grown(&mut shared.turned, gqa.kv_heads * blocks * head * lanes);
    let scale = gqa.scale();
    machine.threads.for_chunks(turned, head * lanes, &|chunk, out| {
        let (group, first) = (chunk / blocks, chunk % blocks * lanes);
        let rows = (first..count.min(first + lanes)).map(|lane| {
            let at = group * per_token + lane % per_token;
            &q[lane / per_token * width + at * head..][..head]
        });
        tile::turn(rows, lanes, out);
        out.iter_mut().for_each(|q| *q *= scale);
    });

    let layout = Layout { groups: gqa.kv_heads, key: head, value_at: head, value: head };
    let blocks = Blocks {
        machine,
        kv,
        layout,
        start: span.start,
        count,
        per_token,
        window: gqa.window,
        rows: None,
        sinks: sinks.map(vector),
    };
    let answers = blocks.answers(turned, head, &mut shared.sums, &mut shared.answers);

    let rows = &mut host_mut(out)[span.rows.start * width..span.rows.end * width];
    for (token, row) in rows.chunks_exact_mut(width).enumerate() {
        for (at, part) in row.chunks_exact_mut(head).enumerate() {
            let query = token * per_token + at % per_token;
            part.copy_from_slice(&answers.row(at / per_token, query)[..head]);
        }
    }
}
