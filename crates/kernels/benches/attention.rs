//! Speeds of what attention is made of, on one core, for each instruction set: `cargo bench -p kernels --bench attention`.
//!
//! The sizes are those of Kimi K2: 64 heads, cached rows of 512 + 64, tiles of 128 rows. Medians of eleven runs.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A developer's program: it prints, and may stop anywhere.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Factors, Isa, Kernels, Size};

const TILE: usize = 128;
const ROW: usize = 576;
const LATENT: usize = 512;
const HEADS: usize = 64;

fn main() {
    for kernels in Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)) {
        println!("{}", kernels.isa.name());
        let (keys, queries) = (wave(TILE * ROW), wave(ROW * HEADS));
        let (mut scores, mut mixed) = (vec![0.0; TILE * HEADS], vec![0.0; HEADS * LATENT]);
        report("scores of a tile", "GFLOP/s", 2 * TILE * ROW * HEADS, || {
            let a = Factors { values: black_box(&keys), row: ROW, step: 1 };
            let size = Size { rows: TILE, depth: ROW, cols: HEADS };
            kernels.accumulate(a, (&queries, HEADS), (&mut scores, HEADS), size);
        });
        let weights = wave(TILE * HEADS);
        report("values of a tile", "GFLOP/s", 2 * TILE * LATENT * HEADS, || {
            let a = Factors { values: black_box(&weights), row: 1, step: HEADS };
            let size = Size { rows: HEADS, depth: TILE, cols: LATENT };
            kernels.accumulate(a, (&keys, ROW), (&mut mixed, LATENT), size);
        });
        report("one row times a matrix", "GFLOP/s", 2 * TILE * LATENT, || {
            let a = Factors { values: black_box(&weights), row: 1, step: 1 };
            let size = Size { rows: 1, depth: TILE, cols: LATENT };
            kernels.accumulate(a, (&keys, ROW), (&mut mixed, LATENT), size);
        });
        let (mut most, mut total, mut fade) = ([0.0; HEADS], [0.0; HEADS], [0.0; HEADS]);
        report("softmax of a tile", "Gelement/s", TILE * HEADS, || {
            scores.copy_from_slice(&weights);
            kernels.soften(black_box(&mut scores), &mut most, &mut total, &mut fade);
        });
        report("softmax of a tile, half of it hidden", "Gelement/s", TILE * HEADS, || {
            scores.copy_from_slice(&weights);
            scores.iter_mut().step_by(2).for_each(|score| *score = f32::NEG_INFINITY);
            kernels.soften(black_box(&mut scores), &mut most, &mut total, &mut fade);
        });
        let halves = vec![0x3c00; TILE * ROW];
        let mut keys = keys.clone();
        report("widen a tile", "Gelement/s", TILE * ROW, || kernels.widen(black_box(&halves), &mut keys));
        let codes = vec![7; 32];
        report("codes to floats", "Gelement/s", 32, || {
            kernels.scale_codes(black_box(&codes), 0.1, &mut keys[..32])
        });
    }
}

/// `len` smooth values of both signs.
fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// Times `work`, which does `amount` operations, and prints 10⁹ operations a second.
fn report(name: &str, unit: &str, amount: usize, mut work: impl FnMut()) {
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
