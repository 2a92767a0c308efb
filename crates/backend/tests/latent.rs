//! Latent attention over several tiles and ranges: what a token is answered depends on the rows it sees alone, and is
//! what the definition says.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::Range;

use backend::{
    Activations, Backend, Chosen, Cpu, Form, IndexQuery, KvRows, LatentQuery, LatentUp, Precision, Span,
    Tensor, Weight,
};
use base::TokenId;
use kernels::{Isa, Kernels};
use quant::Quant;
use spec::{Indexer, Mla, Rope, RopePairs, Scope, Stretch};

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
        gate: false,
        rank_eps: 1e-6,
        scale: 0.3,
        scope: Scope::All,
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
        self.chosen_answers(form, tokens, chunk, None)
    }

    /// The same, of tokens at these positions that attend to what `choose` says of each.
    fn chosen_answers(
        &self,
        form: Form,
        tokens: Range<usize>,
        chunk: usize,
        choose: Option<&dyn Fn(usize) -> Vec<u32>>,
    ) -> Vec<f32> {
        let mut out = self.cpu.tensor(CONTEXT, self.mla.heads * self.mla.value).unwrap();
        for start in tokens.clone().step_by(chunk) {
            let span = Span { rows: start..tokens.end.min(start + chunk), start };
            let chosen = choose.map(|choose| Chosen::new((start..span.len()).map(choose)));
            let query = LatentQuery {
                mla: &self.mla,
                up: &self.up,
                form,
                q: &self.q,
                span: &span,
                kv: &self.kv,
                chosen: chosen.as_ref(),
            };
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

#[test]
fn who_chooses_everything_is_answered_as_who_chooses_nothing() {
    let scene = Scene::new(Cpu::new(2).unwrap(), Precision::F16);
    for form in [Form::Absorbed, Form::Expanded] {
        let all = |position: usize| (0..=position as u32).collect();
        let found = scene.chosen_answers(form, 500..540, 40, Some(&all));
        assert_eq!(found, scene.answers(form, 500..540, 40), "{form:?}");
    }
}

#[test]
fn what_is_not_chosen_is_not_seen() {
    let choose = |position: usize| (0..=position as u32).filter(|row| row % 3 == 1).collect::<Vec<u32>>();
    let scene = Scene::new(Cpu::new(2).unwrap(), Precision::F32);
    let [absorbed, expanded] = [Form::Absorbed, Form::Expanded].map(|form| {
        let whole = scene.chosen_answers(form, 600..630, 30, Some(&choose));
        assert_eq!(scene.chosen_answers(form, 600..630, 7, Some(&choose)), whole, "{form:?} in chunks");
        whole
    });
    let error = absorbed.iter().zip(&expanded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 1e-5 && error > 0.0, "{error}");

    // A cache of the chosen rows alone.
    let few = Scene::new(Cpu::new(1).unwrap(), Precision::F32);
    let (at, rows) = (610, choose(610));
    let mut kv = few.cpu.kv_rows(rows.len(), few.mla.row(), Precision::F32).unwrap();
    for (to, row) in rows.iter().enumerate() {
        let bytes = few.cpu.kv_bytes(&few.kv, *row as usize..*row as usize + 1).unwrap();
        few.cpu.set_kv_bytes(&bytes, &mut kv, to).unwrap();
    }
    let span = Span { rows: at..at + 1, start: rows.len() - 1 };
    let mut out = few.cpu.tensor(CONTEXT, few.mla.heads * few.mla.value).unwrap();
    let (mla, up, q) = (&few.mla, &few.up, &few.q);
    let query = LatentQuery { mla, up, form: Form::Absorbed, q, span: &span, kv: &kv, chosen: None };
    few.cpu.latent_attention(&query, &mut out).unwrap();
    let width = out.cols;
    assert_eq!(few.cpu.to_host(&out, at..at + 1).unwrap(), absorbed[(at - 600) * width..][..width]);
}

/// What the tokens at these positions choose, in calls of at most `chunk`.
fn choices(cpu: &Cpu, precision: Precision, tokens: Range<usize>, chunk: usize) -> Vec<Vec<u32>> {
    let indexer = Indexer { heads: 5, head: 12, top_k: 40, pairs: RopePairs::Halves };
    let q = tensor(cpu, CONTEXT, 60, &numbers(CONTEXT * 60, 3));
    let weights = tensor(cpu, CONTEXT, 5, &numbers(CONTEXT * 5, 4));
    let cached = tensor(cpu, CONTEXT, 20, &numbers(CONTEXT * 20, 5));
    let mut kv = cpu.kv_rows(CONTEXT, 20, precision).unwrap();
    cpu.store_kv(&cached, 0..CONTEXT, &mut kv, 0).unwrap();
    let mut lists = Vec::new();
    for start in tokens.clone().step_by(chunk) {
        let span = Span { rows: start..tokens.end.min(start + chunk), start };
        let query = IndexQuery {
            indexer: &indexer,
            q: &q,
            weights: &weights,
            span: &span,
            kv: &kv,
            key_at: 8,
            every: 1,
        };
        let chosen = cpu.choose_rows(&query).unwrap();
        lists.extend((0..span.rows.len()).map(|token| chosen.of(token).to_vec()));
    }
    lists
}

#[test]
fn a_choice_is_the_same_however_it_is_computed() {
    for precision in Precision::ALL {
        let scalar = Cpu::with(Kernels::for_isa(Isa::Scalar).unwrap(), Activations::F32, 1).unwrap();
        let expected = choices(&scalar, *precision, 20..300, 280);
        assert!(
            (20..40).all(|position| expected[position - 20] == (0..=position as u32).collect::<Vec<_>>())
        );
        for isa in Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)) {
            for (threads, chunk) in [(3, 280), (2, 37), (1, 1)] {
                let cpu = Cpu::with(isa, Activations::F32, threads).unwrap();
                let tokens = if chunk == 1 { 290..300 } else { 20..300 };
                let found = choices(&cpu, *precision, tokens, chunk);
                assert_eq!(found, expected[expected.len() - found.len()..], "{} {chunk}", isa.isa.name());
            }
        }
    }
}

#[test]
fn the_tokens_chosen_are_those_whose_definition_is_highest() {
    let (q, weights, cached) = (numbers(CONTEXT * 60, 3), numbers(CONTEXT * 5, 4), numbers(CONTEXT * 20, 5));
    let cpu = Cpu::new(2).unwrap();
    for position in [40, 127, 128, 600] {
        let found = choices(&cpu, Precision::F32, position..position + 1, 1).remove(0);
        let score = |key: usize| -> f64 {
            let product = |head: usize| -> f64 {
                let q = &q[position * 60 + head * 12..][..12];
                let key = &cached[key * 20 + 8..][..12];
                q.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            (0..5).map(|head| f64::from(weights[position * 5 + head]) * product(head).max(0.0)).sum()
        };
        let mut ranked: Vec<usize> = (0..=position).collect();
        ranked.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
        let mut expected: Vec<u32> = ranked[..40].iter().map(|row| *row as u32).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "at {position}");
    }
}
