//! The products against plain loops: the same bits for any instruction set, number of threads, tokens and any shape.

#![allow(clippy::unwrap_used)]

use kernels::{
    ActivationStrip, Activations, Assignment, Compute, Isa, Join, Kernels, MatmulScratch, Threads, Unit,
    matmul, unit, units,
};
use quant::{Encoded, Matrix, Quant};

const BOTH: [Activations; 2] = [Activations::F32, Activations::Int8];

fn wave(len: usize, seed: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.61 + seed).sin()).collect()
}

/// Every instruction set this CPU has.
fn tables() -> Vec<&'static Kernels> {
    Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa)).collect()
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

    /// Random bytes: every code, and scales that are denormal, huge, infinite and NaN.
    fn wild(quant: Quant, rows: usize, cols: usize) -> Self {
        let mut state = rows as u64;
        let mut byte = |_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        let planes = quant.plane_bytes(rows, cols).unwrap();
        let [values, scales] = [planes.values, planes.scales].map(|len| (0..len).map(&mut byte).collect());
        Self { quant, rows, cols, encoded: Encoded { values, scales } }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.quant, self.rows, self.cols, &self.encoded.values, &self.encoded.scales).unwrap()
    }
}

/// One dot product at a time, in the scalar kernels.
fn plain_matmul(w: Matrix<'_>, x: &[f32], activations: Activations) -> Vec<f32> {
    let kernels = Kernels::for_isa(Isa::Scalar).unwrap();
    let by_codes = activations == Activations::Int8 && w.quant().strip_group().is_some();
    let mut row = vec![0.0; w.cols()];
    let mut strips = vec![ActivationStrip::ZERO; w.cols().div_ceil(256)];
    let mut out = Vec::new();
    for x in x.chunks_exact(w.cols()) {
        kernels.quantize(x, &mut strips);
        for r in 0..w.rows() {
            out.push(if by_codes {
                kernels.dot_codes(w.quant(), w.row(r), &strips)
            } else {
                w.quant().dequantize(w.row(r), &mut row);
                kernels.dot(&row, x)
            });
        }
    }
    out
}

/// The bits, any NaN as one.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { f32::NAN } else { *v }.to_bits()).collect()
}

#[test]
fn a_product_has_the_same_bits_for_any_instruction_set_threads_and_tokens() {
    let mut scratch = MatmulScratch::new();
    let pools = [1, 3].map(|n| Threads::new(n).unwrap());
    for quant in Quant::ALL {
        let block = quant.block_len();
        for (rows, cols) in [
            (1, 256),
            (33, 256),
            (70, 512),
            (19, 1536),
            (9, 256 + block),
            (17, 3 * block),
            (50, 512 + 3 * block),
        ] {
            for (w, activations) in [
                (Weight::new(*quant, rows, cols, 0.2), Activations::F32),
                (Weight::new(*quant, rows, cols, 0.2), Activations::Int8),
                (Weight::wild(*quant, rows, cols), Activations::F32),
                (Weight::wild(*quant, rows, cols), Activations::Int8),
            ] {
                let x = wave(65 * cols, 0.9);
                let expected = bits(&plain_matmul(w.matrix(), &x, activations));
                for (kernels, tokens) in
                    tables().into_iter().flat_map(|k| [0, 1, 2, 3, 9, 17, 35, 65].map(|t| (k, t)))
                {
                    for threads in &pools {
                        let compute = Compute { kernels, threads, activations };
                        let mut out = vec![f32::NAN; tokens * rows];
                        matmul(&compute, w.matrix(), &x[..tokens * cols], &mut out, &mut scratch);
                        let place = format!(
                            "{quant} [{rows}, {cols}], {tokens} tokens, {} threads, {}, {activations:?}",
                            threads.count(),
                            kernels.isa.name()
                        );
                        assert!(bits(&out) == expected[..tokens * rows], "{place}");
                    }
                }
            }
        }
    }
}

#[test]
fn awkward_activations_give_the_same_bits() {
    let threads = Threads::new(2).unwrap();
    let mut scratch = MatmulScratch::new();
    for quant in Quant::ALL.iter().filter(|quant| quant.strip_group().is_some()) {
        let (rows, cols) = (9, 512);
        let w = Weight::new(*quant, rows, cols, 0.4);
        for odd in [0.0, -0.0, 1e-45, 1e-31, 3e38, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut x = wave(70 * cols, 0.3);
            x[300..310].fill(odd);
            x[3 * cols..].fill(odd);
            let expected = bits(&plain_matmul(w.matrix(), &x, Activations::Int8));
            for kernels in tables() {
                for tokens in [1, 6, 20, 70] {
                    let compute = Compute { kernels, threads: &threads, activations: Activations::Int8 };
                    let mut out = vec![0.0; tokens * rows];
                    matmul(&compute, w.matrix(), &x[..tokens * cols], &mut out, &mut scratch);
                    assert_eq!(
                        bits(&out),
                        expected[..tokens * rows],
                        "{quant}, {odd}, {}",
                        kernels.isa.name()
                    );
                }
            }
        }
    }
}

#[test]
fn activations_in_bytes_stay_near_the_exact_product() {
    let threads = Threads::new(1).unwrap();
    let mut scratch = MatmulScratch::new();
    for quant in Quant::ALL.iter().filter(|quant| quant.strip_group().is_some()) {
        let (rows, cols) = (64, 1024);
        let w = Weight::new(*quant, rows, cols, 0.4);
        let x = wave(cols, 0.3);
        let mut errors = [0.0_f64; 2];
        let mut row = vec![0.0; cols];
        let exact: Vec<f64> = (0..rows)
            .map(|r| {
                quant.dequantize(w.matrix().row(r), &mut row);
                row.iter().zip(&x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            })
            .collect();
        let norm = exact.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (activations, error) in BOTH.into_iter().zip(&mut errors) {
            let compute = Compute { kernels: Kernels::detect(), threads: &threads, activations };
            let mut out = vec![0.0; rows];
            matmul(&compute, w.matrix(), &x, &mut out, &mut scratch);
            let square = |(a, b): (&f32, &f64)| (f64::from(*a) - b).powi(2);
            *error = out.iter().zip(&exact).map(square).sum::<f64>().sqrt() / norm;
        }
        assert!(errors[0] < 1e-6, "{quant}: {errors:?}");
        assert!(errors[1] < 6e-3, "{quant}: {errors:?}");
    }
}

#[test]
fn the_gated_unit_is_its_three_products() {
    let kernels = Kernels::detect();
    let mut scratch = MatmulScratch::new();
    for ((hidden, units), activations) in [(256, 512), (64, 96), (96, 32)]
        .into_iter()
        .flat_map(|shape| BOTH.map(|activations| (shape, activations)))
    {
        let quant = if hidden == 256 { Quant::Q4K } else { Quant::Q8_0 };
        // Groups of 16 columns beside those of 32: products that always go row by row.
        let other = if hidden == 256 { Quant::Q6K } else { Quant::Q4_1 };
        for gate_quant in [quant, other, Quant::F16] {
            let (gate, up) =
                (Weight::new(gate_quant, units, hidden, 0.3), Weight::new(Quant::Q4_0, units, hidden, 0.5));
            let down = Weight::new(quant, hidden, units, 0.7);
            // Gate and up meet the same activations: in f32, unless both have codes.
            let inner_activations = if gate_quant == Quant::F16 { Activations::F32 } else { activations };
            for tokens in [1, 3, 17, 30] {
                let x = wave(tokens * hidden, 0.1);
                let mut inner = plain_matmul(gate.matrix(), &x, inner_activations);
                kernels.silu_mul(&mut inner, &plain_matmul(up.matrix(), &x, inner_activations));
                let expected = bits(&plain_matmul(down.matrix(), &inner, activations));
                for threads in [1, 2, 4].map(|n| Threads::new(n).unwrap()) {
                    let compute = Compute { kernels, threads: &threads, activations };
                    let mut out = vec![f32::NAN; tokens * hidden];
                    let matrices = [gate.matrix(), up.matrix(), down.matrix()];
                    let gated = Unit { matrices, biases: None, join: Join::Silu };
                    unit(&compute, &x, gated, &mut out, &mut scratch);
                    let place = format!("hidden {hidden}, {tokens} tokens, {} threads", threads.count());
                    assert_eq!(bits(&out), expected, "{place}");
                }
            }
        }
    }
}

#[test]
fn a_unit_adds_its_biases_and_clamps() {
    let (hidden, inner, limit) = (64, 96, 0.4);
    let up = Weight::new(Quant::Q8_0, 2 * inner, hidden, 0.3);
    let down = Weight::new(Quant::Mxfp4G32, hidden, inner, 0.7);
    let [gates, ups] = up.matrix().alternating();
    let biases = [wave(inner, 0.9), wave(inner, 1.9), wave(hidden, 2.9)];
    let add = |values: &mut [f32], bias: &[f32]| {
        values
            .chunks_exact_mut(bias.len())
            .flat_map(|row| row.iter_mut().zip(bias))
            .for_each(|(x, b)| *x += b);
    };
    for (tokens, activations) in [1, 3, 30].into_iter().flat_map(|tokens| BOTH.map(|by| (tokens, by))) {
        let x = wave(tokens * hidden, 0.1);
        let both = plain_matmul(up.matrix(), &x, activations);
        let by_turns = |first: usize| both.iter().skip(first).step_by(2).copied().collect::<Vec<f32>>();
        let (mut g, mut u) = (by_turns(0), by_turns(1));
        add(&mut g, &biases[0]);
        add(&mut u, &biases[1]);
        assert!(g.iter().any(|g| *g > limit) && u.iter().any(|u| u.abs() > limit));
        Kernels::for_isa(Isa::Scalar).unwrap().clamped_mul(&mut g, &u, [1.702, 1.0], limit);
        let mut expected = plain_matmul(down.matrix(), &g, activations);
        add(&mut expected, &biases[2]);
        for (kernels, threads) in tables().into_iter().flat_map(|table| [(table, 1), (table, 3)]) {
            let threads = Threads::new(threads).unwrap();
            let compute = Compute { kernels, threads: &threads, activations };
            let mut out = vec![f32::NAN; tokens * hidden];
            let unit_of = Unit {
                matrices: [gates, ups, down.matrix()],
                biases: Some([&biases[0], &biases[1], &biases[2]]),
                join: Join::Clamped { alpha: 1.702, shift: 1.0, limit },
            };
            unit(&compute, &x, unit_of, &mut out, &mut MatmulScratch::new());
            assert_eq!(bits(&out), bits(&expected), "{tokens} tokens, {}", kernels.isa.name());
        }
    }
}

#[test]
fn units_side_by_side_give_what_each_gives_alone() {
    let (hidden, inner) = (256, 96);
    let quants = [Quant::Q4K, Quant::Q8_0, Quant::Q6K, Quant::Q4K];
    let weights = quants.iter().zip(0_u8..).map(|(quant, seed)| {
        let seed = f32::from(seed);
        let gate = [0.3, 0.5].map(|more| Weight::new(*quant, inner, hidden, seed + more));
        (gate, Weight::new(Quant::Q8_0, hidden, inner, seed + 0.7))
    });
    let weights: Vec<_> = weights.collect();
    let biases = [wave(inner, 0.9), wave(inner, 1.9), wave(hidden, 2.9)];
    // Some of the same token, some of several that lie apart, and one of more than are taken as they stream by.
    let many: Vec<usize> = (0..40).rev().collect();
    for tokens in [vec![&[2][..], &[2], &[2], &[2]], vec![&[5, 0, 7], &[1], &[0, 39], &many[..]]] {
        let uses = tokens.iter().map(|tokens| tokens.len()).sum::<usize>();
        let mut backwards = (0..uses).rev();
        let places: Vec<Vec<usize>> =
            tokens.iter().map(|tokens| backwards.by_ref().take(tokens.len()).collect()).collect();
        let x = wave(40 * hidden, 0.1);
        for ((kernels, threads), activations) in tables()
            .into_iter()
            .flat_map(|table| [((table, 1), BOTH), ((table, 3), BOTH)])
            .flat_map(|(a, b)| b.map(|b| (a, b)))
        {
            let threads = Threads::new(threads).unwrap();
            let compute = Compute { kernels, threads: &threads, activations };
            let assignments = weights.iter().enumerate().map(|(i, ([gate, up], down))| Assignment {
                unit: Unit {
                    matrices: [gate.matrix(), up.matrix().times(0.5), down.matrix()],
                    biases: (i > 0).then(|| biases.each_ref().map(Vec::as_slice)),
                    join: if i == 2 { Join::Soft { beta: 2.0, linear: 3.0 } } else { Join::Silu },
                },
                tokens: tokens[i],
                places: &places[i],
            });
            let assignments: Vec<_> = assignments.collect();
            let mut out = vec![f32::NAN; uses * hidden];
            units(&compute, &x, &assignments, &mut out, &mut MatmulScratch::new());
            for one in &assignments {
                for (token, place) in one.tokens.iter().zip(one.places) {
                    let mut alone = vec![f32::NAN; hidden];
                    let x = &x[token * hidden..][..hidden];
                    unit(&compute, x, one.unit, &mut alone, &mut MatmulScratch::new());
                    let name = kernels.isa.name();
                    assert_eq!(bits(&out[place * hidden..][..hidden]), bits(&alone), "{name}, token {token}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a place of its own")]
fn two_answers_in_one_place_are_a_programming_error() {
    let w = Weight::new(Quant::Q8_0, 32, 32, 0.0);
    let threads = Threads::new(2).unwrap();
    let compute = Compute { kernels: Kernels::detect(), threads: &threads, activations: Activations::Int8 };
    let unit = Unit { matrices: [w.matrix(); 3], biases: None, join: Join::Silu };
    let twice = [Assignment { unit, tokens: &[0], places: &[1] }; 2];
    units(&compute, &[0.5; 32], &twice, &mut [0.0; 64], &mut MatmulScratch::new());
}

#[test]
fn a_factor_multiplies_what_a_matrix_answers() {
    let kernels = Kernels::detect();
    let threads = Threads::new(2).unwrap();
    let mut scratch = MatmulScratch::new();
    for (quant, activations) in
        [Quant::Nvfp4, Quant::Q4K, Quant::BF16].into_iter().flat_map(|q| BOTH.map(|a| (q, a)))
    {
        let [gate, up, down] = [0.3, 0.5, 0.7].map(|seed| Weight::new(quant, 256, 256, seed));
        let [gate, up, down] = [gate.matrix().times(0.3), up.matrix().times(-1.7), down.matrix().times(5.1)];
        for tokens in [1, 2, 20] {
            let x = wave(tokens * 256, 0.1);
            let scaled = |w: Matrix<'_>, x: &[f32], factor: f32| {
                plain_matmul(w, x, activations).iter().map(|y| y * factor).collect::<Vec<_>>()
            };
            let compute = Compute { kernels, threads: &threads, activations };
            let mut out = vec![0.0; x.len()];
            matmul(&compute, down, &x, &mut out, &mut scratch);
            assert_eq!(bits(&out), bits(&scaled(down, &x, 5.1)), "{quant}, {tokens} tokens");

            let mut inner = scaled(gate, &x, 0.3);
            kernels.silu_mul(&mut inner, &scaled(up, &x, -1.7));
            let gated = Unit { matrices: [gate, up, down], biases: None, join: Join::Silu };
            unit(&compute, &x, gated, &mut out, &mut scratch);
            assert_eq!(bits(&out), bits(&scaled(down, &inner, 5.1)), "gated, {quant}, {tokens} tokens");
        }
    }
    let w = Weight::new(Quant::Nvfp4, 2, 64, 0.3);
    let (mut plain, mut scaled) = ([0.0; 64], [0.0; 64]);
    kernels.dequantize_row(&w.matrix(), 1, &mut plain);
    kernels.dequantize_row(&w.matrix().times(3.0), 1, &mut scaled);
    assert_eq!(scaled, plain.map(|value| value * 3.0));
}

#[test]
fn empty_products_are_zero() {
    let threads = Threads::new(2).unwrap();
    let mut scratch = MatmulScratch::new();
    for activations in BOTH {
        let compute = Compute { kernels: Kernels::detect(), threads: &threads, activations };
        let no_columns = Matrix::new(Quant::Q8_0, 3, 0, &[], &[]).unwrap();
        let mut out = [1.0; 6];
        matmul(&compute, no_columns, &[], &mut out, &mut scratch);
        assert_eq!(out, [0.0; 6]);
        let no_rows = Matrix::new(Quant::Q8_0, 0, 32, &[], &[]).unwrap();
        matmul(&compute, no_rows, &[1.0; 64], &mut [], &mut scratch);
    }
}

#[test]
fn a_row_without_columns_has_the_product_zero() {
    let row = quant::Row { values: &[], scales: &[] };
    for kernels in tables() {
        for quant in Quant::ALL.iter().filter(|quant| quant.strip_group().is_some()) {
            assert_eq!(kernels.dot_codes(*quant, row, &[]), 0.0, "{quant} on {}", kernels.isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "takes x [tokens, 32] to out [tokens, 2]")]
fn lengths_that_do_not_agree_are_a_programming_error() {
    let w = Weight::new(Quant::Q8_0, 2, 32, 0.0);
    let threads = Threads::new(1).unwrap();
    let compute = Compute { kernels: Kernels::detect(), threads: &threads, activations: Activations::F32 };
    matmul(&compute, w.matrix(), &[0.0; 64], &mut [0.0; 2], &mut MatmulScratch::new());
}
