//! Speeds of the kernels on one core, for each instruction set: `cargo bench -p kernels`, or with
//! `-- WORD` those with the word in their name.
//!
//! Each figure is the median of eleven runs of some milliseconds, on data that fits the first- or second-level cache.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A developer's program: it prints, and may stop anywhere.

use std::hint::black_box;
use std::time::Instant;

use kernels::{ActivationStrip, Activations, Compute, Isa, Kernels, MatmulScratch, Threads, matmul};
use quant::{Matrix, Quant};

const COLS: usize = 2048;

fn main() {
    for kernels in Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)) {
        println!("{}", kernels.isa.name());
        sums(kernels);
        elementwise(kernels);
        decoding(kernels);
        products(kernels);
    }
}

fn sums(kernels: &Kernels) {
    let (row, x) = (wave(COLS), wave(COLS * 12));
    let mut out = [0.0; 12];
    report("dot", "GFLOP/s", 2 * COLS, || {
        black_box(kernels.dot(black_box(&row), &x[..COLS]));
    });
    report("dot_rows, 12 tokens", "GFLOP/s", 2 * COLS * 12, || {
        kernels.dot_rows(black_box(&row), &x, &mut out);
    });
}

fn elementwise(kernels: &Kernels) {
    let (x, mut y) = (wave(COLS), wave(COLS));
    report("axpy", "Gelement/s", COLS, || kernels.axpy(0.5, black_box(&x), &mut y));
    report("rms_norm", "Gelement/s", COLS, || kernels.rms_norm(black_box(&x), &x, 1e-6, &mut y));
    report("softmax", "Gelement/s", COLS, || kernels.softmax(black_box(&mut y)));
    report("silu_mul", "Gelement/s", COLS, || kernels.silu_mul(black_box(&mut y), &x));
}

fn decoding(kernels: &Kernels) {
    let mut out = vec![0.0; COLS];
    for quant in Quant::ALL {
        let encoded = quant.quantize_matrix(1, COLS, &wave(COLS)).unwrap();
        let matrix = Matrix::new(*quant, 1, COLS, &encoded.values, &encoded.scales).unwrap();
        report(&format!("dequantize {quant}"), "Gelement/s", COLS, || {
            kernels.dequantize(*quant, black_box(matrix.row(0)), &mut out);
        });
        if quant.strip_group().is_none() {
            continue;
        }
        let mut strips = vec![ActivationStrip::ZERO; COLS / 256];
        kernels.quantize(&wave(COLS), &mut strips);
        report(&format!("dot_codes {quant}"), "Gelement/s", COLS, || {
            black_box(kernels.dot_codes(*quant, black_box(matrix.row(0)), &strips));
        });
    }
}

fn products(kernels: &'static Kernels) {
    const ROWS: usize = 256;
    let mut scratch = MatmulScratch::new();
    let encoded = Quant::Q8_0.quantize_matrix(ROWS, COLS, &wave(ROWS * COLS)).unwrap();
    let w = Matrix::new(Quant::Q8_0, ROWS, COLS, &encoded.values, &[]).unwrap();
    for (threads, tokens) in [(1, 1), (2, 1), (1, 64), (2, 64)] {
        let threads = Threads::new(threads).unwrap();
        let (x, mut out) = (wave(tokens * COLS), vec![0.0; tokens * ROWS]);
        let name = format!("matmul Q8_0, {tokens} tokens, {} threads", threads.count());
        report(&name, "GFLOP/s", 2 * ROWS * COLS * tokens, || {
            let compute = Compute { kernels, threads: &threads, activations: Activations::Int8 };
            matmul(&compute, w, black_box(&x), &mut out, &mut scratch);
        });
    }
}

/// `len` smooth values of both signs.
fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// Times `work`, which does `amount` operations, and prints 10⁹ operations a second.
fn report(name: &str, unit: &str, amount: usize, mut work: impl FnMut()) {
    if !std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| name.contains(&word)) {
        return;
    }
    let timed = |repeats: u32, work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..repeats).for_each(|_| work());
        start.elapsed().as_secs_f64() / f64::from(repeats)
    };
    let repeats = (2e-3 / timed(3, &mut work)).clamp(1.0, 1e6) as u32;
    let mut seconds: Vec<f64> = (0..11).map(|_| timed(repeats, &mut work)).collect();
    seconds.sort_by(f64::total_cmp);
    println!("  {name:36} {:8.2} {unit}", amount as f64 / seconds[5] / 1e9);
}
