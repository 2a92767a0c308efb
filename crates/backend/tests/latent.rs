//! Latent attention over several tiles and ranges: what a token is answered depends on the rows it sees alone, and is
//! what the definition says.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;

use backend::{
    Activations, Backend, Cpu, Form, KvRows, LatentQuery, LatentUp, Precision, Span, Tensor, Weight,
};
use base::TokenId;
use kernels::{Isa, Kernels};
use quant::Quant;
use spec::{Mla, Rope, RopePairs, Stretch};

const CONTEXT: usize = 700;

fn mla() -> Mla {
    let rope = Rope { dims: 4, theta: 1e4, pairs: RopePairs::Adjacent, stretch: Stretch::None };
    let (heads, latent, nope, rotated, value) = (8, 20, 6, 4, 5);
    Mla {
        heads,
        query_rank: None,
        latent,
        nope,
        rotated,
        value,
        rank_eps: 1e-6,
        scale: 0.3,
        rope: Some(rope),
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

fn weight(cpu: &Cpu, rows: usize, cols: usize, values: &[f32]) -> Weight {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    cpu.place(Quant::F32, rows, cols, bytes, Vec::new()).unwrap()
}

fn tensor(cpu: &Cpu, rows: usize, cols: usize, values: &[f32]) -> Tensor {
    let tokens: Vec<TokenId> = (0..rows as TokenId).collect();
    cpu.embed(&weight(cpu, rows, cols, values), &tokens).unwrap()
}

/// One backend with a context in its cache, and queries of every position.
struct Scene {
    cpu: Cpu,
    mla: Mla,
    up: LatentUp,
    q: Tensor,
    kv: KvRows,
}

impl Scene {
    fn new(cpu: Cpu, precision: Precision) -> Self {
        let mla = mla();
        let (rows, width) = (mla.heads * (mla.nope + mla.value), mla.heads * mla.head());
        let up = LatentUp::Joint(weight(&cpu, rows, mla.latent, &numbers(rows * mla.latent, 7)));
        let q = tensor(&cpu, CONTEXT, width, &numbers(CONTEXT * width, 1));
        let cached = tensor(&cpu, CONTEXT, mla.row(), &numbers(CONTEXT * mla.row(), 2));
        let mut kv = cpu.kv_rows(CONTEXT, mla.row(), precision).unwrap();
        cpu.store_kv(&cached, 0..CONTEXT, &mut kv, 0).unwrap();
        Self { cpu, mla, up, q, kv }
    }

    /// Answers of the tokens at these positions, `[tokens, heads * value]`, in calls of at most `chunk`.
    fn answers(&self, form: Form, tokens: Range<usize>, chunk: usize) -> Vec<f32> {
        let mut out = self.cpu.tensor(CONTEXT, self.mla.heads * self.mla.value).unwrap();
        for start in tokens.clone().step_by(chunk) {
            let span = Span { rows: start..tokens.end.min(start + chunk), start };
            let query =
                LatentQuery { mla: &self.mla, up: &self.up, form, q: &self.q, span: &span, kv: &self.kv };
            self.cpu.latent_attention(&query, &mut out).unwrap();
        }
        self.cpu.to_host(&out, tokens).unwrap()
    }
}

#[test]
fn neither_threads_nor_instruction_set_nor_chunks_change_a_bit() {
    const TOKENS: Range<usize> = 500..600;
    for precision in Precision::ALL {
        for form in [Form::Absorbed, Form::Expanded] {
            let one = Scene::new(
                Cpu::with(Kernels::for_isa(Isa::Scalar).unwrap(), Activations::F32, 1).unwrap(),
                *precision,
            );
            let expected = one.answers(form, TOKENS, 100);
            for isa in Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)) {
                for (threads, chunk) in [(1, 37), (2, 100), (4, 1), (3, 70)] {
                    let scene = Scene::new(Cpu::with(isa, Activations::F32, threads).unwrap(), *precision);
                    let place = format!("{precision:?} {form:?} {} {threads} {chunk}", isa.isa.name());
                    // One token at a time is slow without instructions for it.
                    let tokens = if chunk == 1 { 590..600 } else { TOKENS };
                    let found = scene.answers(form, tokens.clone(), chunk);
                    assert_eq!(found, expected[expected.len() - found.len()..], "{place}");
                }
            }
        }
    }
}

#[test]
fn both_forms_are_what_the_definition_says_as_far_as_the_cache_is_exact() {
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::F16, 1e-3), (Precision::Q8, 2e-2)] {
        let scene = Scene::new(Cpu::new(2).unwrap(), precision);
        for form in [Form::Absorbed, Form::Expanded] {
            for position in [0, 1, 127, 128, 255, 256, 699] {
                let found = scene.answers(form, position..position + 1, 1);
                let error = found.iter().zip(defined(position)).map(|(a, b)| (f64::from(*a) - b).abs());
                let error = error.fold(0.0, f64::max);
                assert!(error < tolerance, "{precision:?} {form:?} at {position}: {error}");
                assert!(precision == Precision::F32 || position == 0 || error > 1e-7, "stored as it says");
            }
        }
    }
}

/// The definition, in f64 and without either trick.
fn defined(position: usize) -> Vec<f64> {
    let mla = mla();
    let rows = mla.nope + mla.value;
    let (joint, kv) = (numbers(mla.heads * rows * mla.latent, 7), numbers(CONTEXT * mla.row(), 2));
    let q = numbers(CONTEXT * mla.heads * mla.head(), 1);
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let mut out = Vec::new();
    for head in 0..mla.heads {
        let row = |r: usize| &joint[(head * rows + r) * mla.latent..][..mla.latent];
        let q = &q[(position * mla.heads + head) * mla.head()..][..mla.head()];
        let cached = |j: usize| kv[j * mla.row()..][..mla.row()].split_at(mla.latent);
        let score = |j: usize| -> f64 {
            let (latent, rotated) = cached(j);
            let plain: f64 = (0..mla.nope).map(|n| f64::from(q[n]) * dot(row(n), latent)).sum();
            (plain + dot(&q[mla.nope..], rotated)) * f64::from(mla.scale)
        };
        let weights: Vec<f64> = (0..=position).map(|j| score(j).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for v in 0..mla.value {
            let terms =
                weights.iter().enumerate().map(|(j, p)| p / sum * dot(row(mla.nope + v), cached(j).0));
            out.push(terms.sum());
        }
    }
    out
}

#[test]
fn rows_of_the_cache_move_bit_for_bit() {
    for precision in Precision::ALL {
        let scene = Scene::new(Cpu::new(1).unwrap(), *precision);
        let expected = scene.answers(Form::Absorbed, 400..410, 10);
        let mut moved = scene.cpu.kv_rows(CONTEXT + 9, scene.mla.row(), *precision).unwrap();
        scene.cpu.copy_kv(&scene.kv, 0..410, &mut moved).unwrap();
        let scene = Scene { kv: moved, ..scene };
        assert_eq!(scene.answers(Form::Absorbed, 400..410, 10), expected, "{precision:?}");
    }
}
