//! What attention is made of, on every instruction set against the scalar one to the bit, and that one against the
//! plain formulas.

#![allow(clippy::unwrap_used)]

use kernels::{Factors, Isa, Kernels, Size};

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
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut random = random(seed);
    (0..len).map(|_| (random() >> 40) as f32 / 4_194_304.0 - 2.0).collect()
}

#[track_caller]
fn check_same(found: &[f32], expected: &[f32], place: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(same, "{place}: {found:e} for {expected:e} at {i}");
    }
}

#[test]
fn every_sum_of_a_product_takes_its_terms_in_order() {
    for (rows, depth) in [(0, 3), (1, 0), (1, 1), (2, 5), (4, 17), (5, 127), (7, 129), (13, 300), (25, 3)] {
        for cols in [16, 32, 48, 64, 112, 144] {
            let size = Size { rows, depth, cols };
            let (b_stride, c_stride) = (cols + 3, cols + 16);
            let (b, start) = (values(2, depth * b_stride), values(3, rows * c_stride));
            // Rows of factors, and columns of them.
            for (row, step) in [(depth + 1, 1), (1, rows + 2)] {
                let a = values(1, (rows * row + depth * step).max(1));
                let mut expected = start.clone();
                for r in 0..rows {
                    for c in 0..cols {
                        let sum = &mut expected[r * c_stride + c];
                        for k in 0..depth {
                            *sum = a[r * row + k * step].mul_add(b[k * b_stride + c], *sum);
                        }
                    }
                }
                for kernels in tables() {
                    let mut found = start.clone();
                    let a = Factors { values: &a, row, step };
                    kernels.accumulate(a, (&b, b_stride), (&mut found, c_stride), size);
                    check_same(&found, &expected, &format!("{size:?} on {}", kernels.isa.name()));
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "lies inside its operands")]
fn a_product_past_its_operands_is_refused() {
    let a = Factors { values: &[0.0; 7], row: 4, step: 1 };
    Kernels::detect().accumulate(
        a,
        (&[0.0; 64], 16),
        (&mut [0.0; 32], 16),
        Size { rows: 2, depth: 4, cols: 16 },
    );
}

#[test]
fn a_softmax_tile_by_tile_is_that_of_the_whole() {
    const LANES: usize = 32;
    let mut scores = values(4, 50 * LANES);
    scores.iter_mut().for_each(|score| *score *= 30.0);
    // A lane that sees nothing of the first tile, one that sees nothing at all, and one that overflows without care.
    for key in 0..50 {
        for (lane, from) in [(1, 20), (2, 50), (3, 0)] {
            if key < from {
                scores[key * LANES + lane] = f32::NEG_INFINITY;
            }
        }
        scores[key * LANES + 3] *= 1e3;
    }
    for kernels in tables() {
        let (mut most, mut total, mut fade) = ([f32::NEG_INFINITY; LANES], [0.0; LANES], [0.0; LANES]);
        let mut weights = scores.clone();
        for tile in [0..20, 20..21, 21..50] {
            let tile = tile.start * LANES..tile.end * LANES;
            let before = weights[..tile.start].len();
            kernels.soften(&mut weights[tile], &mut most, &mut total, &mut fade);
            for (i, weight) in weights[..before].iter_mut().enumerate() {
                *weight *= fade[i % LANES];
            }
        }
        for lane in 0..LANES {
            let column = |values: &[f32]| -> Vec<f64> {
                (0..50).map(|key| f64::from(values[key * LANES + lane])).collect()
            };
            let (found, scores) = (column(&weights), column(&scores));
            if lane == 2 {
                assert!(
                    total[lane] == 0.0 && most[lane] == f32::NEG_INFINITY && found.iter().all(|w| *w == 0.0)
                );
                continue;
            }
            let highest = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
            let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            for (found, score) in found.iter().zip(&scores) {
                let (found, expected) = (found / f64::from(total[lane]), (score - highest).exp() / sum);
                assert!((found - expected).abs() < 1e-6, "lane {lane}: {found} for {expected}");
            }
        }
    }
}

/// What a kernel makes of some values.
type Kernel = fn(&Kernels, &[f32]) -> Vec<f32>;

const KERNELS: &[(&str, Kernel)] = &[
    ("soften", |kernels, x| {
        let (mut most, mut total, mut fade) = ([0.5; 16], [2.0; 16], [0.0; 16]);
        let mut scores = x[..x.len() / 16 * 16].to_vec();
        kernels.soften(&mut scores, &mut most, &mut total, &mut fade);
        [&scores[..], &most, &total, &fade].concat()
    }),
    ("blend", |kernels, x| {
        let mut y = x.to_vec();
        y.reverse();
        kernels.blend(0.7, &mut y, -0.3, x);
        y
    }),
    ("scale_codes", |kernels, x| {
        let codes: Vec<i8> = x.iter().map(|x| (x * 60.0) as i8).collect();
        let mut out = vec![0.0; codes.len()];
        kernels.scale_codes(&codes, 0.37, &mut out);
        out
    }),
];

#[test]
fn every_kernel_of_attention_gives_the_bits_of_the_scalar_one() {
    for (name, kernel) in KERNELS {
        for len in [0, 1, 15, 16, 17, 64, 100, 1000] {
            let mut x = values(5, len);
            x.iter_mut().step_by(7).for_each(|x| *x = f32::NEG_INFINITY);
            x.iter_mut().skip(3).step_by(31).for_each(|x| *x = f32::NAN);
            for kernels in tables() {
                check_same(&kernel(kernels, &x), &kernel(scalar(), &x), &format!("{name}, length {len}"));
            }
        }
    }
}

#[test]
fn every_half_is_widened_to_its_value() {
    let halves: Vec<u16> = (0..=u16::MAX).chain(0..5).collect();
    let expected: Vec<f32> = halves.iter().map(|half| quant::float::f16_to_f32(*half)).collect();
    for kernels in tables() {
        let mut found = vec![0.0; halves.len()];
        kernels.widen(&halves, &mut found);
        check_same(&found, &expected, kernels.isa.name());
    }
}
