//! Every kernel of every instruction set against the scalar one: the same bits, for lengths that divide by nothing and
//! values that are awkward. And the scalar one against the plain formula, in f64.

#![allow(clippy::unwrap_used)]

use kernels::{Isa, Kernels};
use quant::{Matrix, Quant, Row};

/// Lengths around the 32 lanes of a sum, and around the tiles of tokens.
const LENGTHS: [usize; 14] = [0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 95, 100, 257, 1000];

/// The tables this CPU can run; scalar is one of them.
fn tables() -> impl Iterator<Item = &'static Kernels> {
    Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa))
}

fn scalar() -> &'static Kernels {
    Kernels::for_isa(Isa::Scalar).unwrap()
}

/// Pseudo-random bits (splitmix64).
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Values in −2..2.
fn tame(seed: u64, len: usize) -> Vec<f32> {
    let mut random = random(seed);
    (0..len).map(|_| (random() >> 40) as f32 / 4_194_304.0 - 2.0).collect()
}

/// Tame values with denormals, zeros of both signs, huge ones, infinities and NaN among them.
fn wild(seed: u64, len: usize) -> Vec<f32> {
    const AWKWARD: [f32; 11] =
        [0.0, -0.0, 1e-45, -3e-42, 1e-38, 3e38, -3e38, 88.8, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut random = random(seed);
    let mut value = |tame| match random() as usize % 40 {
        i if i < AWKWARD.len() => AWKWARD[i],
        _ => tame,
    };
    tame(!seed, len).into_iter().map(&mut value).collect()
}

#[track_caller]
fn check_same(found: &[f32], expected: &[f32], place: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(same, "{place}: {found:e} for {expected:e} at {i}");
    }
}

/// One kernel on two inputs of a length, giving whatever it computes.
type Kernel = fn(&Kernels, &[f32], &[f32]) -> Vec<f32>;

const KERNELS: &[(&str, Kernel)] = &[
    ("dot", |kernels, x, y| vec![kernels.dot(x, y)]),
    ("axpy", |kernels, x, y| changed(y, |y| kernels.axpy(-0.3, x, y))),
    ("add", |kernels, x, y| changed(y, |y| kernels.add(x, y))),
    ("rms_norm", |kernels, x, y| changed(y, |out| kernels.rms_norm(x, y, 1e-6, out))),
    ("silu_mul", |kernels, x, y| changed(x, |x| kernels.silu_mul(x, y))),
    ("clamped_mul", |kernels, x, y| changed(x, |x| kernels.clamped_mul(x, y, [1.702, 1.0], 2.5))),
    ("soft_mul", |kernels, x, y| changed(x, |x| kernels.soft_mul(x, y, 4.0, 25.0))),
    ("softmax", |kernels, x, _| changed(x, |x| kernels.softmax(x))),
    ("sigmoid", |kernels, x, _| changed(x, |x| kernels.sigmoid(x))),
    ("root_softplus", |kernels, x, _| changed(x, |x| kernels.root_softplus(x))),
];

fn changed(values: &[f32], change: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values = values.to_vec();
    change(&mut values);
    values
}

#[test]
fn every_kernel_gives_the_bits_of_the_scalar_one() {
    for kernels in tables() {
        for (name, kernel) in KERNELS {
            for len in LENGTHS {
                for (x, y) in
                    [(tame(1, len), tame(2, len)), (wild(3, len), tame(4, len)), (wild(5, len), wild(6, len))]
                {
                    let place = format!("{name} on {}, length {len}", kernels.isa.name());
                    check_same(&kernel(kernels, &x, &y), &kernel(scalar(), &x, &y), &place);
                }
            }
        }
    }
}

#[test]
fn dot_rows_gives_the_bits_of_dot_for_any_number_of_tokens() {
    for kernels in tables() {
        for cols in LENGTHS {
            let row = tame(7, cols);
            for tokens in 0..14 {
                let x = tame(8, cols * tokens);
                let mut found = vec![0.0; tokens];
                kernels.dot_rows(&row, &x, &mut found);
                let expected: Vec<f32> =
                    (0..tokens).map(|t| scalar().dot(&row, &x[t * cols..][..cols])).collect();
                check_same(&found, &expected, &format!("{} cols {cols} tokens {tokens}", kernels.isa.name()));
            }
        }
    }
}

#[test]
fn every_format_decodes_to_the_bits_of_the_scalar_truth() {
    for quant in Quant::ALL {
        // Random bytes make every code, and scales that are denormal, infinite and NaN.
        for blocks in [0, 1, 2, 3, 17] {
            let ragged = quant.plane_bytes(1, 1).is_ok() && quant.block_len() > 1;
            let cols = blocks * quant.block_len() + if ragged { blocks % 3 } else { 0 };
            let planes = quant.plane_bytes(1, cols).unwrap();
            let mut random = random(blocks as u64);
            let [values, scales] = [planes.values, planes.scales]
                .map(|len| (0..len).map(|_| random() as u8).collect::<Vec<_>>());
            let row = Row { values: &values, scales: &scales };
            let mut expected = vec![0.0; cols];
            quant.dequantize(row, &mut expected);
            for kernels in tables() {
                let mut found = vec![7.0; cols];
                kernels.dequantize(*quant, row, &mut found);
                check_same(&found, &expected, &format!("{quant} on {}, {cols} columns", kernels.isa.name()));
            }
        }
    }
}

#[test]
fn every_scale_of_a_block_decodes_alike() {
    // All f16 steps, denormals, infinities and NaNs included.
    let mut bytes = vec![0x9c_u8; 34 * (1 << 16)];
    for (block, bits) in bytes.chunks_exact_mut(34).zip(0..=u16::MAX) {
        block[..2].copy_from_slice(&bits.to_le_bytes());
    }
    let matrix = Matrix::new(Quant::Q8_0, 1, 32 << 16, &bytes, &[]).unwrap();
    let (mut expected, mut found) = (vec![0.0; matrix.cols()], vec![0.0; matrix.cols()]);
    Quant::Q8_0.dequantize(matrix.row(0), &mut expected);
    for kernels in tables() {
        kernels.dequantize(Quant::Q8_0, matrix.row(0), &mut found);
        check_same(&found, &expected, kernels.isa.name());
    }
}

#[test]
fn the_scalar_kernels_follow_the_formulas() {
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    for len in LENGTHS.into_iter().filter(|len| *len > 0) {
        let (x, y) = (tame(9, len), tame(10, len));
        let (x64, y64) = (wide(&x), wide(&y));
        let pairs = || x64.iter().zip(&y64);
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let total: f64 = x64.iter().map(|v| v.exp()).sum();
        let rms = (x64.iter().map(|v| v * v).sum::<f64>() / len as f64 + 1e-6).sqrt();
        let soft = |x: f64, most: f64| most * (x / most).tanh();
        let clamped = |x: f64, y: f64| {
            let g = x.min(2.5);
            g * sigmoid(f64::from(1.702_f32) * g) * (y.clamp(-2.5, 2.5) + 1.0)
        };
        let formulas: [(&str, Vec<f64>); 10] = [
            ("dot", vec![pairs().map(|(x, y)| x * y).sum()]),
            ("axpy", pairs().map(|(x, y)| y - f64::from(0.3_f32) * x).collect()),
            ("add", pairs().map(|(x, y)| x + y).collect()),
            ("rms_norm", pairs().map(|(x, y)| x / rms * y).collect()),
            ("silu_mul", pairs().map(|(x, y)| x * sigmoid(*x) * y).collect()),
            ("clamped_mul", pairs().map(|(x, y)| clamped(*x, *y)).collect()),
            ("soft_mul", pairs().map(|(x, y)| soft(*x, 4.0) * sigmoid(*x) * soft(*y, 25.0)).collect()),
            ("softmax", x64.iter().map(|v| v.exp() / total).collect()),
            ("sigmoid", x64.iter().map(|v| sigmoid(*v)).collect()),
            ("root_softplus", x64.iter().map(|v| v.exp().ln_1p().sqrt()).collect()),
        ];
        for ((name, kernel), (formula, expected)) in KERNELS.iter().zip(formulas) {
            assert_eq!(*name, formula);
            for (found, expected) in kernel(scalar(), &x, &y).iter().zip(&expected) {
                // f32 rounding of sums of up to 1000 products of up to 4.
                let tolerance = if *name == "dot" { 1e-4 } else { 1e-6 * expected.abs().max(1.0) };
                assert!(
                    (f64::from(*found) - expected).abs() <= tolerance,
                    "{name}, length {len}: {found} for {expected}"
                );
            }
        }
    }
}

#[test]
fn a_sum_follows_the_canonical_order() {
    // Lane by lane, fused, then folded in halves.
    let (a, b) = (tame(11, 77), tame(12, 77));
    let mut lanes = [0f32; 32];
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        lanes[i % 32] = a.mul_add(*b, lanes[i % 32]);
    }
    for half in [16, 8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
    }
    assert_eq!(scalar().dot(&a, &b).to_bits(), lanes[0].to_bits());
}

#[test]
fn the_detected_kernels_are_the_last_this_cpu_can_run() {
    assert_eq!(Some(Kernels::detect().isa), tables().last().map(|kernels| kernels.isa));
}
