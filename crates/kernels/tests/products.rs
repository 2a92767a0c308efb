//! The products against plain loops: the same bits for any number of threads, tokens and any shape.

#![allow(clippy::unwrap_used)]

use kernels::{Isa, Kernels, MatmulScratch, Threads, gated, matmul};
use quant::{Encoded, Matrix, Quant};

fn wave(len: usize, seed: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.61 + seed).sin()).collect()
}

struct Weight {
    quant: Quant,
    rows: usize,
    cols: usize,
    encoded: Encoded,
}

impl Weight {
    fn new(quant: Quant, rows: usize, cols: usize, seed: f32) -> Self {
        let encoded = quant.quantize_matrix(rows, cols, &wave(rows * cols, seed)).unwrap();
        Self { quant, rows, cols, encoded }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.quant, self.rows, self.cols, &self.encoded.values, &self.encoded.scales).unwrap()
    }
}

/// One dot product at a time, in the scalar kernels.
fn plain_matmul(w: Matrix<'_>, x: &[f32]) -> Vec<f32> {
    let kernels = Kernels::for_isa(Isa::Scalar).unwrap();
    let mut row = vec![0.0; w.cols()];
    let mut out = Vec::new();
    for x in x.chunks_exact(w.cols()) {
        for r in 0..w.rows() {
            w.quant().dequantize(w.row(r), &mut row);
            out.push(kernels.dot(&row, x));
        }
    }
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn a_product_has_the_same_bits_for_any_threads_and_tokens() {
    let mut scratch = MatmulScratch::new();
    let pools = [1, 2, 3, 5].map(|n| Threads::new(n).unwrap());
    for quant in Quant::ALL {
        for (rows, cols) in [(1, 256), (33, 256), (130, 512)] {
            let w = Weight::new(*quant, rows, cols, 0.2);
            let x = wave(40 * cols, 0.9);
            let expected = bits(&plain_matmul(w.matrix(), &x));
            for tokens in [0, 1, 2, 12, 13, 40] {
                for threads in &pools {
                    let mut out = vec![f32::NAN; tokens * rows];
                    matmul(
                        Kernels::detect(),
                        threads,
                        w.matrix(),
                        &x[..tokens * cols],
                        &mut out,
                        &mut scratch,
                    );
                    let place =
                        format!("{quant} [{rows}, {cols}], {tokens} tokens, {} threads", threads.count());
                    assert_eq!(bits(&out), expected[..tokens * rows], "{place}");
                }
            }
        }
    }
}

#[test]
fn the_gated_unit_is_its_three_products() {
    let kernels = Kernels::detect();
    let mut scratch = MatmulScratch::new();
    for (hidden, units) in [(256, 512), (64, 96), (96, 32)] {
        let quant = if hidden == 256 { Quant::Q4K } else { Quant::Q8_0 };
        let (gate, up) =
            (Weight::new(quant, units, hidden, 0.3), Weight::new(Quant::Q4_0, units, hidden, 0.5));
        let down = Weight::new(quant, hidden, units, 0.7);
        for tokens in [1, 3, 30] {
            let x = wave(tokens * hidden, 0.1);
            let mut inner = plain_matmul(gate.matrix(), &x);
            kernels.silu_mul(&mut inner, &plain_matmul(up.matrix(), &x));
            let expected = bits(&plain_matmul(down.matrix(), &inner));
            for threads in [1, 2, 4].map(|n| Threads::new(n).unwrap()) {
                let mut out = vec![f32::NAN; tokens * hidden];
                gated(
                    kernels,
                    &threads,
                    &x,
                    gate.matrix(),
                    up.matrix(),
                    down.matrix(),
                    &mut out,
                    &mut scratch,
                );
                assert_eq!(
                    bits(&out),
                    expected,
                    "hidden {hidden}, {tokens} tokens, {} threads",
                    threads.count()
                );
            }
        }
    }
}

#[test]
fn empty_products_are_zero() {
    let threads = Threads::new(2).unwrap();
    let mut scratch = MatmulScratch::new();
    let no_columns = Matrix::new(Quant::F32, 3, 0, &[], &[]).unwrap();
    let mut out = [1.0; 6];
    matmul(Kernels::detect(), &threads, no_columns, &[], &mut out, &mut scratch);
    assert_eq!(out, [0.0; 6]);
    let no_rows = Matrix::new(Quant::F32, 0, 3, &[], &[]).unwrap();
    matmul(Kernels::detect(), &threads, no_rows, &[1.0; 6], &mut [], &mut scratch);
}

#[test]
#[should_panic(expected = "takes x [tokens, 32] to out [tokens, 2]")]
fn lengths_that_do_not_agree_are_a_programming_error() {
    let w = Weight::new(Quant::Q8_0, 2, 32, 0.0);
    let threads = Threads::new(1).unwrap();
    matmul(Kernels::detect(), &threads, w.matrix(), &[0.0; 64], &mut [0.0; 3], &mut MatmulScratch::new());
}
