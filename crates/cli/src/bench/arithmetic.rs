//! `tidemill bench --kernels`: each format's products beside what memory and the arithmetic units give.
//!
//! One token streams a matrix that no cache holds, so its ceiling is memory; many tokens reuse one that fits, so
//! theirs is the register-only loop. Both ceilings are measured again beside every figure: a shared machine changes
//! from second to second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base::{Error, Result};
use kernels::{Activations, Compute, Isa, Kernels, MatmulScratch, Product, Threads, matmul};
use quant::{Matrix, Quant};
use serde_json::{Value, json};
use tidemill::machine;

use super::figures::median;
use crate::args::BenchArgs;
use crate::{probe, terminal};

/// Columns of the matrices: those of Kimi K2's and DeepSeek-V3's residual stream.
const COLS: usize = 7168;
/// Rows of the one that stays in the cache.
const FEW_ROWS: usize = 2048;
/// Tokens of a prompt.
const TOKENS: usize = 512;
/// Bytes of the matrix that is streamed, at most a quarter of memory.
const STREAMED: u64 = 1 << 30;
/// Multiply-adds of one run of the register-only loop, about.
const PEAK_ROUNDS: u64 = 2_000_000;

/// One format on one instruction set.
struct Row {
    quant: Quant,
    isa: Isa,
    /// Bytes a second with one token, and of memory alone.
    decode: f64,
    memory: f64,
    /// Multiply-adds a second with many tokens, and in registers alone.
    prefill: f64,
    peak: Option<f64>,
    /// What is multiplied.
    product: Product,
}

pub fn bench(args: &BenchArgs) -> Result<()> {
    let count = args.engine.threads.map_or_else(machine::cores, usize::from);
    let threads = Threads::new(count)?;
    let formats = formats(&args.formats)?;
    let only = args.engine.options().isa;
    let wanted = Isa::ALL.iter().filter(|isa| only.is_none_or(|only| only == **isa));
    let tables: Vec<_> = wanted.filter_map(|isa| Kernels::for_isa(*isa)).collect();
    // Bytes in which any pair or four make a float of middling size, whatever the format.
    let len = machine::memory_limit().map_or(STREAMED, |limit| STREAMED.min(limit / 4)) as usize;
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0x20 | (state >> 27) as u8
        })
        .collect();

    let bar = terminal::progress("measuring", args.engine.quiet || args.json, terminal::ANSWERS);
    bar.set_length((formats.len() * tables.len()) as u64);
    let mut rows = Vec::new();
    for quant in formats {
        for kernels in &tables {
            rows.push(measure(quant, kernels, &threads, &bytes, usize::from(args.runs))?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    terminal::answer(&if args.json { format!("{:#}\n", json(&rows, count)) } else { table(&rows, count) })
}

/// The formats of these names, or all.
fn formats(names: &[String]) -> Result<Vec<Quant>> {
    let find = |name: &String| {
        let known = Quant::ALL.iter().copied().find(|quant| quant.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let all: Vec<_> = Quant::ALL.iter().map(|quant| quant.name()).collect();
            Error::input(format!("no weight format is called {name:?}; expected one of {}", all.join(", ")))
        })
    };
    if names.is_empty() { Ok(Quant::ALL.to_vec()) } else { names.iter().map(find).collect() }
}

fn measure(
    quant: Quant,
    kernels: &'static Kernels,
    threads: &Threads,
    bytes: &[u8],
    runs: usize,
) -> Result<Row> {
    let compute = Compute { kernels, threads, activations: Activations::Int8 };
    let product = if quant.strip_group().is_some() { Product::Codes } else { Product::Floats };
    let mut scratch = MatmulScratch::new();
    let x: Vec<f32> = (0..COLS * TOKENS).map(|i| (i as f32 * 0.37).sin()).collect();

    let row_bytes = quant.plane_bytes(1, COLS)?.values;
    // The plain spelling of some formats is slow: it is given less to do.
    let share = match kernels.isa {
        Isa::Scalar => 16,
        Isa::Avx2 | Isa::AvxVnni | Isa::Neon => 4,
        Isa::Avx512 => 1,
    };
    let (large, few) = (bytes.len() * 3 / 4 / row_bytes / share, FEW_ROWS / share);
    let mut out = vec![0.0; large.max(few * TOKENS)];
    let streamed = matrix(quant, large, bytes)?;
    let kept = matrix(quant, few, bytes)?;
    let tokens = TOKENS / share;

    let mut samples = Vec::new();
    for _ in 0..runs.max(1) {
        let memory = rate(large * row_bytes, || probe::read(threads, &bytes[..large * row_bytes]));
        let decode = rate(large * row_bytes, || {
            matmul(&compute, streamed, &x[..COLS], &mut out[..large], &mut scratch);
        });
        let peak = in_registers(kernels, threads, product);
        let prefill = rate(few * COLS * tokens, || {
            matmul(&compute, kept, &x[..COLS * tokens], &mut out[..few * tokens], &mut scratch);
        });
        samples.push([memory, decode, prefill, peak.unwrap_or(0.0)]);
    }
    let [memory, decode, prefill, peak] =
        std::array::from_fn(|i| median(&samples.iter().map(|sample| sample[i]).collect::<Vec<_>>()));
    let peak = (peak > 0.0).then_some(peak);
    Ok(Row { quant, isa: kernels.isa, decode, memory, prefill, peak, product })
}

/// Multiply-adds a second of all threads in registers alone; `None` where there is no such loop.
pub fn in_registers(kernels: &Kernels, threads: &Threads, product: Product) -> Option<f64> {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    threads.run(threads.count(), &|_| {
        done.fetch_add(kernels.peak(product, PEAK_ROUNDS).unwrap_or(0), Ordering::Relaxed);
    });
    let seconds = start.elapsed().as_secs_f64();
    Some(done.into_inner()).filter(|done| *done > 0).map(|done| done as f64 / seconds)
}

/// A matrix of `rows` rows over the first of `bytes`; its scales over the last.
fn matrix(quant: Quant, rows: usize, bytes: &[u8]) -> Result<Matrix<'_>> {
    let planes = quant.plane_bytes(rows, COLS)?;
    Matrix::new(quant, rows, COLS, &bytes[..planes.values], &bytes[bytes.len() - planes.scales..])
}

/// How much of `amount` is done in a second.
fn rate(amount: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    amount as f64 / start.elapsed().as_secs_f64()
}

fn table(rows: &[Row], threads: usize) -> String {
    let mut text = format!(
        "{threads} threads; one token streams weights from memory, {TOKENS} tokens of {COLS} columns multiply\n\n\
         {:10} {:7} {:>12} {:>12} {:>6} {:>14} {:>14} {:>6}\n",
        "format", "isa", "decode GB/s", "memory GB/s", "share", "prefill GMAC/s", "peak GMAC/s", "share"
    );
    for row in rows {
        let peak = row.peak.map_or("-".to_owned(), |peak| format!("{:.0}", peak / 1e9));
        let share = row.peak.map_or("-".to_owned(), |peak| format!("{:.0} %", 100.0 * row.prefill / peak));
        text += &format!(
            "{:10} {:7} {:12.1} {:12.1} {:>6} {:14.0} {peak:>14} {share:>6}\n",
            row.quant.name(),
            row.isa.name(),
            row.decode / 1e9,
            row.memory / 1e9,
            format!("{:.0} %", 100.0 * row.decode / row.memory),
            row.prefill / 1e9,
        );
    }
    text
}

fn json(rows: &[Row], threads: usize) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "format": row.quant.name(),
                "isa": row.isa.name(),
                "decode_bytes_per_second": row.decode as u64,
                "memory_bytes_per_second": row.memory as u64,
                "decode_share": row.decode / row.memory,
                "prefill_multiply_adds_per_second": row.prefill as u64,
                "peak_multiply_adds_per_second": row.peak.map(|peak| peak as u64),
                "prefill_share": row.peak.map(|peak| row.prefill / peak),
                "multiplied": if row.product == Product::Codes { "int8" } else { "f32" },
            })
        })
        .collect();
    json!({ "threads": threads, "kernels": rows })
}
