//! Latent attention of one layer in the shapes of Kimi K2, by context: `cargo bench -p backend --bench attention`.
//!
//! Two threads. Figures are the fastest and the median of a few calls, in milliseconds.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A developer's program: it prints, and may stop anywhere.

use std::time::Instant;

use backend::{Backend, Cpu, Form, LatentQuery, LatentUp, Precision, Span, Tensor, Weight};
use quant::Quant;
use spec::{Mla, Rope, RopePairs, Scope, Stretch};

fn main() {
    let (cpu, mla) = (Cpu::new(2).unwrap(), k2());
    println!("{}", cpu.name());
    let joint = LatentUp::Joint(weight(&cpu, mla.heads * (mla.nope + mla.value), mla.latent));
    let split = LatentUp::Split {
        key: weight(&cpu, mla.heads * mla.latent, mla.nope),
        value: weight(&cpu, mla.heads * mla.value, mla.latent),
    };
    for (name, up) in [("joint", &joint), ("split", &split)] {
        report(&cpu, &mla, up, Form::Absorbed, Precision::F16, 1, 1, name);
    }
    for precision in Precision::ALL {
        for context in [512, 1024, 4096, 16_384, 32_768] {
            report(&cpu, &mla, &split, Form::Absorbed, *precision, 1, context, "one token");
        }
    }
    for tokens in [8, 16, 32, 64, 96, 128, 192, 256, 512] {
        for form in [Form::Absorbed, Form::Expanded] {
            report(
                &cpu,
                &mla,
                &split,
                form,
                Precision::F16,
                tokens,
                tokens,
                &format!("{tokens} tokens, {form:?}"),
            );
        }
    }
    for form in [Form::Absorbed, Form::Expanded] {
        report(
            &cpu,
            &mla,
            &split,
            form,
            Precision::F16,
            512,
            4096,
            &format!("the last 512 tokens, {form:?}"),
        );
    }
}

fn k2() -> Mla {
    let rope = Rope { dims: 64, theta: 5e4, pairs: RopePairs::Adjacent, stretch: Stretch::None };
    let (heads, latent, nope, rotated, value) = (64, 512, 128, 64, 128);
    Mla {
        heads,
        query_rank: None,
        latent,
        nope,
        rotated,
        value,
        gate: false,
        rank_eps: 1e-6,
        scale: 0.1,
        scope: Scope::All,
        rope: Some(rope),
    }
}

/// Q8_0, as files of this size have it.
fn weight(cpu: &Cpu, rows: usize, cols: usize) -> Weight {
    let encoded = Quant::Q8_0.quantize_matrix(rows, cols, &wave(rows * cols)).unwrap();
    cpu.place(Quant::Q8_0, rows, cols, encoded.values, encoded.scales).unwrap()
}

fn tensor(cpu: &Cpu, rows: usize, cols: usize) -> Tensor {
    let bytes = wave(rows * cols).iter().flat_map(|value| value.to_le_bytes()).collect();
    let table = cpu.place(Quant::F32, rows, cols, bytes, Vec::new()).unwrap();
    cpu.embed(&table, &(0..rows as u32).collect::<Vec<_>>()).unwrap()
}

fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin() * 0.05).collect()
}

fn report(
    cpu: &Cpu,
    mla: &Mla,
    up: &LatentUp,
    form: Form,
    precision: Precision,
    tokens: usize,
    context: usize,
    name: &str,
) {
    let q = tensor(cpu, tokens, mla.heads * mla.head());
    let rows = tensor(cpu, context, mla.row());
    let mut kv = cpu.kv_rows(context, mla.row(), precision).unwrap();
    cpu.store_kv(&rows, 0..context, &mut kv, 0).unwrap();
    let mut out = cpu.tensor(tokens, mla.heads * mla.value).unwrap();
    let span = Span { rows: 0..tokens, start: context - tokens };
    let query = LatentQuery { mla, up, form, q: &q, span: &span, kv: &kv, chosen: None };
    let mut seconds: Vec<f64> = (0..7)
        .map(|_| {
            let start = Instant::now();
            cpu.latent_attention(&query, &mut out).unwrap();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let (best, median) = (seconds[0] * 1e3, seconds[3] * 1e3);
    println!("  {:4} context {context:6}  {name:32} {best:9.2} ms, median {median:9.2}", precision.name());
}
