//! What recurrent mixers are made of, on every instruction set against the scalar one to the bit, and that one against
//! the plain formulas.

#![allow(clippy::unwrap_used)]

use kernels::{DeltaToken, Isa, Kernels};

fn tables() -> impl Iterator<Item = &'static Kernels> {
    Isa::ALL.iter().filter_map(|isa| Kernels::for_isa(*isa))
}

/// Values in −1..1, by splitmix64.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The largest difference.
fn apart(found: &[f32], expected: &[f64]) -> f64 {
    let pairs = found.iter().zip(expected);
    pairs.map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max)
}

/// The rule as the paper has it, in f64: `state` is `[keys, values]`.
fn plainly(state: &mut [f64], token: &DeltaToken<'_>, value: &[f32]) -> Vec<f64> {
    let width = value.len();
    let mut out = vec![0.0; width];
    for v in 0..width {
        let mut known = 0.0;
        for (i, key) in token.key.iter().enumerate() {
            let cell = &mut state[i * width + v];
            *cell *= f64::from(token.decay[i]);
            known += *cell * f64::from(*key);
        }
        let change = f64::from(token.strength) * (f64::from(value[v]) - known);
        for (i, key) in token.key.iter().enumerate() {
            let cell = &mut state[i * width + v];
            *cell += f64::from(*key) * change;
            out[v] += *cell * f64::from(token.query[i]);
        }
    }
    out
}

#[test]
fn the_delta_rule_is_the_papers_and_the_same_bits_everywhere() {
    for (keys, panels) in [(1, 1), (3, 2), (16, 3), (18, 5), (31, 1), (64, 4), (128, 8)] {
        let width = panels * 16;
        let mut states: Vec<Vec<f32>> = tables().map(|_| vec![0.0; keys * width]).collect();
        let mut exact = vec![0.0; keys * width];
        for step in 0..40 {
            let seed = step * 7 + keys as u64;
            let key: Vec<f32> = values(seed, keys).iter().map(|k| k / (keys as f32).sqrt()).collect();
            let decay: Vec<f32> = values(seed + 1, keys).iter().map(|d| d.abs()).collect();
            let faded: Vec<f32> = key.iter().zip(&decay).map(|(k, d)| k * d).collect();
            let (query, value) = (values(seed + 2, keys), values(seed + 3, width));
            let token = DeltaToken { key: &key, faded: &faded, decay: &decay, query: &query, strength: 0.7 };
            let expected = plainly(&mut exact, &token, &value);
            let mut first: Option<Vec<f32>> = None;
            for (kernels, state) in tables().zip(&mut states) {
                let mut out = vec![0.0; width];
                kernels.delta(state, token, &value, &mut out);
                assert!(apart(&out, &expected) < 1e-5, "{keys} x {width} at {step}");
                assert_eq!(first.get_or_insert_with(|| out.clone()), &out, "{}", kernels.isa.name());
            }
        }
        assert!(states.iter().all(|state| *state == states[0]), "{keys} x {width}");
    }
}

#[test]
fn convolutions_and_gates_are_their_formulas_and_the_same_bits_everywhere() {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
    for cols in [1, 15, 16, 33, 100] {
        let rows: Vec<Vec<f32>> = (0..4).map(|row| values(row, cols)).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let (weights, gate) =
            (values(9, 4 * cols), values(10, cols).iter().map(|g| g * 9.0).collect::<Vec<_>>());
        let expected: Vec<f64> = (0..cols)
            .map(|c| {
                let sum: f64 = (0..4).map(|r| f64::from(rows[r][c]) * f64::from(weights[r * cols + c])).sum();
                sum * sigmoid(sum as f32)
            })
            .collect();
        let gated = |f: &dyn Fn(f32) -> f64| -> Vec<f64> {
            rows[0].iter().zip(&gate).map(|(x, gate)| f64::from(*x) * f(*gate)).collect()
        };
        let mut first: Option<[Vec<f32>; 3]> = None;
        for kernels in tables() {
            let [mut convolved, mut by_silu, mut by_sigmoid] =
                [vec![7.0; cols], rows[0].to_vec(), rows[0].to_vec()];
            kernels.convolve(&rows, &weights, &mut convolved);
            kernels.gate_silu(&mut by_silu, &gate);
            kernels.gate_sigmoid(&mut by_sigmoid, &gate);
            assert!(apart(&convolved, &expected) < 1e-6);
            assert!(apart(&by_silu, &gated(&|gate| f64::from(gate) * sigmoid(gate))) < 1e-5);
            assert!(apart(&by_sigmoid, &gated(&sigmoid)) < 1e-6);
            let found = [convolved, by_silu, by_sigmoid];
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{}", kernels.isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "whole panels")]
fn half_a_panel_is_refused() {
    let token = DeltaToken { key: &[1.0], faded: &[1.0], decay: &[1.0], query: &[1.0], strength: 1.0 };
    Kernels::detect().delta(&mut [0.0; 8], token, &[0.0; 8], &mut [0.0; 8]);
}

#[test]
fn a_state_fades_by_softplus_the_same_everywhere() {
    let given: Vec<f32> = (-2400..=2400).map(|i| i as f32 * 0.05 + 1e-3).collect();
    for rate in [-1e-3_f32, -0.3, -1.0, -16.0] {
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let mut first: Option<Vec<f32>> = None;
        for kernels in tables() {
            let mut found = given.clone();
            kernels.fade(&mut found, rate);
            for (x, found) in given.iter().zip(&found) {
                let power = f64::from(rate) * softplus(f64::from(*x));
                // Rounding before the exponential grows with what is raised to; the exponential adds its own.
                let allowed = power.exp() * (2.0 + 3.0 * power.abs()) * f64::from(f32::EPSILON) + 1e-37;
                let error = (f64::from(*found) - power.exp()).abs();
                assert!(error <= allowed, "{x} at {rate}: {found}, off by {error:e} of {allowed:e}");
            }
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{}", kernels.isa.name());
        }
    }
}
