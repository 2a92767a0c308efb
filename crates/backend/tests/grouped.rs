//! Grouped-query attention over several tiles and ranges, with a window and without.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;

use backend::{Activations, Backend, Cpu, GroupedQuery, KvRows, Precision, Span, Tensor};
use base::TokenId;
use kernels::{Isa, Kernels};
use quant::Quant;
use spec::{Gqa, Rope, RopePairs, Stretch};

const CONTEXT: usize = 700;

/// One that drowns, one that is drowned by, all keys.
const SINKS: [f32; 6] = [-0.5, 30.0, 0.25, -30.0, 1.5, 3.0];

fn gqa(window: Option<usize>, sinks: bool) -> Gqa {
    let rope = Rope { dims: 4, theta: 1e4, pairs: RopePairs::Halves, stretch: Stretch::None };
    Gqa {
        heads: 6,
        kv_heads: 2,
        head: 20,
        norm: None,
        gate: false,
        input_bias: false,
        output_bias: false,
        sinks,
        window,
        rope,
    }
}

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(cpu: &Cpu, rows: usize, cols: usize, seed: u32) -> Tensor {
    let bytes = numbers(rows * cols, seed).iter().flat_map(|value| value.to_le_bytes()).collect();
    let table = cpu.place(Quant::F32, rows, cols, bytes, Vec::new()).unwrap();
    cpu.embed(&table, &(0..rows as TokenId).collect::<Vec<_>>()).unwrap()
}

/// Answers of the tokens at these positions, in calls of at most `chunk`.
fn answers(cpu: &Cpu, gqa: &Gqa, precision: Precision, tokens: Range<usize>, chunk: usize) -> Vec<f32> {
    let width = gqa.heads * gqa.head;
    let q = tensor(cpu, CONTEXT, width, 1);
    let mut kv: KvRows = cpu.kv_rows(CONTEXT, gqa.row(), precision).unwrap();
    cpu.store_kv(&tensor(cpu, CONTEXT, gqa.row(), 2), 0..CONTEXT, &mut kv, 0).unwrap();
    let bytes = SINKS.iter().flat_map(|sink| sink.to_le_bytes()).collect();
    let sinks = gqa.sinks.then(|| cpu.place(Quant::F32, 1, gqa.heads, bytes, Vec::new()).unwrap());
    let mut out = cpu.tensor(CONTEXT, width).unwrap();
    for start in tokens.clone().step_by(chunk) {
        let span = Span { rows: start..tokens.end.min(start + chunk), start };
        let query = GroupedQuery { gqa, q: &q, span: &span, kv: &kv, sinks: sinks.as_ref() };
        cpu.grouped_attention(&query, &mut out).unwrap();
    }
    cpu.to_host(&out, tokens).unwrap()
}

#[test]
fn neither_threads_nor_instruction_set_nor_chunks_change_a_bit() {
    const TOKENS: Range<usize> = 560..700;
    for precision in Precision::ALL {
        for (window, sinks) in [(None, false), (None, true), (Some(300), true), (Some(300), false)] {
            let gqa = gqa(window, sinks);
            let expected = answers(&Cpu::new(1).unwrap(), &gqa, *precision, TOKENS, 140);
            for isa in Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)) {
                for (threads, chunk) in [(1, 37), (2, 140), (4, 1)] {
                    let cpu = Cpu::with(isa, Activations::F32, threads).unwrap();
                    let tokens = if chunk == 1 { 690..700 } else { TOKENS };
                    let found = answers(&cpu, &gqa, *precision, tokens, chunk);
                    let place =
                        format!("{precision:?} {window:?} {sinks} {} {threads} {chunk}", isa.isa.name());
                    assert_eq!(found, expected[expected.len() - found.len()..], "{place}");
                }
            }
        }
    }
}

#[test]
fn answers_are_what_the_definition_says() {
    let cpu = Cpu::new(2).unwrap();
    let cases = [None, Some(1), Some(129), Some(300)].map(|window| [(window, false), (window, true)]);
    for (window, sinks) in cases.into_iter().flatten() {
        let gqa = gqa(window, sinks);
        for position in [0, 127, 128, 256, 699] {
            let found = answers(&cpu, &gqa, Precision::F32, position..position + 1, 1);
            let expected = defined(&gqa, position);
            let error = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
            let error = error.fold(0.0, f64::max);
            assert!(error < 1e-5, "{window:?} at {position}: {error}");
        }
    }
}

/// The definition, in f64.
fn defined(gqa: &Gqa, position: usize) -> Vec<f64> {
    let (q, kv) = (numbers(CONTEXT * gqa.heads * gqa.head, 1), numbers(CONTEXT * gqa.row(), 2));
    let first = gqa.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let mut out = Vec::new();
    for head in 0..gqa.heads {
        let q = &q[(position * gqa.heads + head) * gqa.head..][..gqa.head];
        let group = head / (gqa.heads / gqa.kv_heads);
        let cached = |j: usize| kv[j * gqa.row() + group * 2 * gqa.head..][..2 * gqa.head].split_at(gqa.head);
        let score = |j: usize| -> f64 {
            let dot: f64 = q.iter().zip(cached(j).0).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (dot / (gqa.head as f64).sqrt()).exp()
        };
        let sink = if gqa.sinks { f64::from(SINKS[head]).exp() } else { 0.0 };
        let sum: f64 = sink + (first..=position).map(score).sum::<f64>();
        for v in 0..gqa.head {
            out.push((first..=position).map(|j| score(j) / sum * f64::from(cached(j).1[v])).sum());
        }
    }
    out
}
