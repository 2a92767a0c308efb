//! The two formats with a plane of scales, by the plain formula, and matrices cut and refused.

use base::Kind;
use quant::{Matrix, Planes, Quant, Row};

/// fp8 e4m3 by its definition.
fn e4m3(bits: u8) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits / 8 % 16), f32::from(bits % 8));
    match (exponent, bits % 8) {
        (15, 7) => f32::NAN,
        (0, _) => sign * mantissa * 2f32.powi(-9),
        _ => sign * (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    }
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn every_int4_code_decodes_under_every_scale() {
    // Two groups hold each nibble in each half of a byte.
    let codes: [u8; 32] = std::array::from_fn(|i| (i % 16 * 17) as u8 ^ ((i / 16) as u8 * 0x90));
    let mut out = [0.0; 64];
    for bits in 0..=u16::MAX {
        let scale = f32::from_bits(u32::from(bits) << 16);
        let scales = [bits.to_le_bytes(), 0x3f80_u16.to_le_bytes()].concat();
        Quant::Int4G32.dequantize(Row { values: &codes, scales: &scales }, &mut out);
        for (i, found) in out.iter().enumerate() {
            let nibble = codes[i / 2] >> (i % 2 * 4) & 15;
            let scale = if i < 32 { scale } else { 1.0 };
            let expected = (f32::from(nibble) - 8.0) * scale;
            assert!(same(*found, expected), "value {i}, scale {scale}: {found} for {expected}");
        }
    }
}

#[test]
fn every_fp8_code_decodes_under_awkward_scales() {
    let codes: Vec<u8> = (0..=255).collect();
    let scales = [1.0, 0.0, -3.3e-3, 1e-45, 2e-38, 3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut out = [0.0; 256];
    for scale in scales {
        let row_scales = [scale.to_le_bytes(), 1f32.to_le_bytes()].concat();
        Quant::Fp8B128.dequantize(Row { values: &codes, scales: &row_scales }, &mut out);
        for (code, found) in out.iter().enumerate() {
            let expected = e4m3(code as u8) * if code < 128 { scale } else { 1.0 };
            assert!(same(*found, expected), "{code:#04x} * {scale}: {found} for {expected}");
        }
    }
}

#[test]
fn fp8_blocks_may_be_ragged_on_both_sides() {
    for (rows, cols) in
        [(1_usize, 1_usize), (127, 129), (128, 128), (129, 127), (200, 300), (257, 1), (1, 257)]
    {
        let values: Vec<u8> = (0..rows * cols).map(|i| (i * 37 % 251) as u8 & 0xf7).collect();
        let (bands, blocks) = (rows.div_ceil(128), cols.div_ceil(128));
        let scales: Vec<u8> = (0..bands * blocks).flat_map(|i| (i as f32 + 0.3).to_le_bytes()).collect();
        let matrix = Matrix::new(Quant::Fp8B128, rows, cols, &values, &scales).unwrap();
        let mut out = vec![0.0; cols];
        for r in 0..rows {
            Quant::Fp8B128.dequantize(matrix.row(r), &mut out);
            for (c, found) in out.iter().enumerate() {
                let scale = (r / 128 * blocks + c / 128) as f32 + 0.3;
                assert!(same(*found, e4m3(values[r * cols + c]) * scale), "[{r}, {c}] of [{rows}, {cols}]");
            }
        }
    }
}

#[test]
fn planes_have_the_published_sizes() {
    // An expert of Kimi K2: gate [2048, 7168], down [7168, 2048].
    let cases = [
        (Quant::Int4G32, 2048, 7168, 7_340_032, 917_504),
        (Quant::Int4G32, 7168, 2048, 7_340_032, 917_504),
        (Quant::Fp8B128, 200, 300, 60_000, 24),
        (Quant::Q8_0, 3, 64, 204, 0),
        (Quant::Q4K, 2, 512, 576, 0),
        (Quant::Q6K, 1, 256, 210, 0),
        (Quant::F32, 5, 7, 140, 0),
        (Quant::BF16, 0, 7, 0, 0),
    ];
    for (quant, rows, cols, values, scales) in cases {
        assert_eq!(quant.plane_bytes(rows, cols).unwrap(), Planes { values, scales }, "{quant}");
    }
}

#[test]
fn what_cannot_be_a_matrix_is_refused_with_the_reason() {
    let cases = [
        (Quant::Q4K, 1, 100, 0, "100 columns of Q4_K are not a whole number of blocks of 256"),
        (Quant::Int4G32, 1, 33, 0, "33 columns of INT4_G32 are not a whole number of blocks of 32"),
        (
            Quant::F32,
            usize::MAX,
            2,
            0,
            "18446744073709551615 x 2 values of F32 are more bytes than memory can address",
        ),
        (
            Quant::Fp8B128,
            usize::MAX,
            2,
            0,
            "18446744073709551615 x 2 values of FP8_B128 are more bytes than memory can address",
        ),
        (
            Quant::Q8_0,
            2,
            32,
            67,
            "2 x 32 values of Q8_0 take 68 + 0 bytes of values and scales, found 67 + 0",
        ),
        (
            Quant::Q8_0,
            2,
            32,
            69,
            "2 x 32 values of Q8_0 take 68 + 0 bytes of values and scales, found 69 + 0",
        ),
        (
            Quant::Fp8B128,
            2,
            3,
            6,
            "2 x 3 values of FP8_B128 take 6 + 4 bytes of values and scales, found 6 + 0",
        ),
    ];
    for (quant, rows, cols, bytes, message) in cases {
        let error = Matrix::new(quant, rows, cols, &vec![0; bytes], &[]).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Corrupt, message));
    }
}

#[test]
fn two_matrices_that_take_turns_are_told_apart() {
    let planes = Quant::Mxfp4G32.plane_bytes(6, 64).expect("whole groups");
    let values: Vec<u8> = (0..planes.values).map(|i| i as u8).collect();
    let scales: Vec<u8> = (0..planes.scales).map(|i| 100 + i as u8).collect();
    let whole = Matrix::new(Quant::Mxfp4G32, 6, 64, &values, &scales).expect("planes of that size");
    let [even, odd] = whole.alternating();
    for row in 0..3 {
        for (half, place) in [(even, 2 * row), (odd, 2 * row + 1)] {
            assert_eq!((half.rows(), half.cols()), (3, 64));
            assert_eq!(half.row(row).values, whole.row(place).values);
            assert_eq!(half.row(row).scales, whole.row(place).scales);
        }
    }
    assert!(std::panic::catch_unwind(|| even.row(3)).is_err());
}

#[test]
fn a_part_of_a_row_decodes_to_those_columns() {
    for quant in Quant::ALL {
        let ragged = quant.plane_bytes(1, quant.block_len() + 1).is_ok();
        let cols = 1024 + quant.block_len() + usize::from(ragged && quant.block_len() > 1) * 7;
        let values: Vec<f32> = (0..cols).map(|i| (i as f32 * 0.37).sin()).collect();
        let encoded = quant.quantize_matrix(1, cols, &values).expect("whole blocks, or a short one");
        let whole = Row { values: &encoded.values, scales: &encoded.scales };
        let mut expected = vec![0.0; cols];
        quant.dequantize(whole, &mut expected);
        for (first, end) in [(0, 512), (512, 1024), (512, cols), (1024, cols), (cols - cols % 512, cols)] {
            let mut found = vec![f32::NAN; end - first];
            quant.dequantize(quant.part(whole, first..end), &mut found);
            assert_eq!(found, expected[first..end], "{quant}, columns {first} to {end} of {cols}");
        }
    }
}
