//! Strips against the decoded values: `scale * code - minimum` to the bit, for every format that has them.

#![allow(clippy::unwrap_used)]

use quant::{Matrix, Quant, Row, Strip};

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

/// The values a strip stands for.
fn values(quant: Quant, strip: &Strip) -> Vec<f32> {
    let group = quant.strip_group().unwrap().cols();
    let value = |(i, code): (usize, &i8)| {
        let product = strip.scales[i / group] * f32::from(*code);
        if quant.has_minima() { product - strip.minima[i / group] } else { product }
    };
    strip.codes.iter().enumerate().map(value).collect()
}

fn check(quant: Quant, row: Row<'_>, cols: usize) {
    let mut decoded = vec![0.0; cols];
    quant.dequantize(row, &mut decoded);
    // What a strip held before must not show.
    let mut strip = Strip { codes: [77; 256], scales: [f32::NAN; 16], minima: [f32::NAN; 16] };
    for (index, expected) in decoded.chunks(256).enumerate() {
        quant.strip(row, index, &mut strip);
        let found = values(quant, &strip);
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(same, "{quant}, strip {index}, column {i} of {cols}: {found:e} for {expected:e}");
        }
        assert!(strip.codes[expected.len()..].iter().all(|code| *code == 0), "{quant}: codes past the row");
        let group = quant.strip_group().unwrap().cols();
        let past = expected.len() / group..256 / group;
        assert!(strip.scales[past.clone()].iter().all(|scale| *scale == 0.0), "{quant}: scales past the row");
        assert!(!quant.has_minima() || strip.minima[past].iter().all(|minimum| *minimum == 0.0), "{quant}");
    }
}

#[test]
fn a_strip_has_the_bits_of_the_decoded_row() {
    for quant in Quant::ALL.iter().filter(|quant| quant.strip_group().is_some()) {
        for (seed, blocks) in [1, 2, 3, 7, 8, 9, 16, 21].into_iter().enumerate() {
            // Random bytes make every code, and scales that are denormal, infinite and NaN.
            let cols = blocks * quant.block_len();
            let planes = quant.plane_bytes(1, cols).unwrap();
            for seed in 0..20 {
                let mut random = random(seed << 8 | blocks as u64);
                let [values, scales] = [planes.values, planes.scales]
                    .map(|len| (0..len).map(|_| random() as u8).collect::<Vec<_>>());
                check(*quant, Row { values: &values, scales: &scales }, cols);
            }
            let x: Vec<f32> = (0..cols).map(|i| ((i * 7 + seed) as f32 * 0.11).sin() * 0.3).collect();
            let encoded = quant.quantize_matrix(1, cols, &x).unwrap();
            let matrix = Matrix::new(*quant, 1, cols, &encoded.values, &encoded.scales).unwrap();
            check(*quant, matrix.row(0), cols);
        }
    }
}

#[test]
#[should_panic(expected = "a row has no strip 2")]
fn a_strip_past_the_row_is_a_mistake() {
    let values = Quant::Q8_0.quantize(&[1.0; 512]).unwrap();
    let mut strip = Strip::ZERO;
    Quant::Q8_0.strip(Row { values: &values, scales: &[] }, 2, &mut strip);
}
