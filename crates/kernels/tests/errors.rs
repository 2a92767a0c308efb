//! What activations in bytes cost, format by format: the figures that `docs/formats.md` holds against llama.cpp's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use kernels::{Activations, Compute, Kernels, MatmulScratch, Threads, matmul};
use quant::{Matrix, Quant};

const ROWS: usize = 64;
const COLS: usize = 2048;
const TOKENS: usize = 16;

/// Normally distributed numbers (splitmix64, Box and Muller).
fn normal(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut one = || {
        let (radius, angle) = (uniform().max(1e-300), uniform());
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    };
    (0..len).map(|_| one()).collect()
}

/// The root mean square of the errors of products over that of the products.
fn error(quant: Quant, w: &[f32], x: &[f32], threads: &Threads) -> f64 {
    let encoded = quant.quantize_matrix(ROWS, COLS, w).unwrap();
    let matrix = Matrix::new(quant, ROWS, COLS, &encoded.values, &encoded.scales).unwrap();
    let compute = Compute { kernels: Kernels::detect(), threads, activations: Activations::Int8 };
    let mut out = vec![0.0; ROWS * TOKENS];
    matmul(&compute, matrix, x, &mut out, &mut MatmulScratch::new());
    let (mut errors, mut squares) = (0.0, 0.0);
    let mut row = vec![0.0; COLS];
    for r in 0..ROWS {
        quant.dequantize(matrix.row(r), &mut row);
        for (token, x) in x.chunks_exact(COLS).enumerate() {
            let exact: f64 = row.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            errors += (f64::from(out[token * ROWS + r]) - exact).powi(2);
            squares += exact * exact;
        }
    }
    f64::sqrt(errors / squares)
}

/// The table: what is said of this engine, and of llama.cpp.
fn table() -> BTreeMap<&'static str, (f64, Option<f64>)> {
    let text = include_str!("../../../docs/formats.md");
    let (_, section) = text.split_once("## Errors of products").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, figures)| {
        let (here, other) = figures.split_once(" |").unwrap();
        (name, (here.parse().unwrap(), other.trim_matches([' ', '|']).parse().ok()))
    })
    .collect()
}

#[test]
fn products_err_as_little_as_the_table_says_and_no_more_than_llama_cpps() {
    let (w, x) = (normal(ROWS * COLS, 3), normal(TOKENS * COLS, 7));
    let (table, threads) = (table(), Threads::new(1).unwrap());
    for quant in Quant::ALL {
        let (here, other) = table[quant.name()];
        let found = error(*quant, &w, &x, &threads);
        assert!(found < here * 1.01, "{quant}: {found:e}, and the table says {here:e}");
        assert!(
            other.is_none_or(|other| here <= other) || *quant == Quant::F32,
            "{quant}: {here:e}, {other:?}"
        );
    }
    assert_eq!(table.len(), Quant::ALL.len());
}
