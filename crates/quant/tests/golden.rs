//! Every format against the bytes and floats of its published implementation, and there and back.

use quant::{Matrix, Quant};
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("golden/golden.safetensors");

/// All rows of a matrix, decoded.
fn decoded(matrix: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![0.0; matrix.rows() * matrix.cols()];
    for (r, out) in out.chunks_exact_mut(matrix.cols()).enumerate() {
        matrix.quant().dequantize(matrix.row(r), out);
    }
    out
}

#[test]
fn every_format_decodes_to_the_published_bits() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    for quant in Quant::ALL {
        let floats = golden.tensor(&format!("{quant}.f32")).unwrap();
        let values = golden.tensor(&format!("{quant}.values")).unwrap();
        let scales = golden.tensor(&format!("{quant}.scales")).map_or(&[][..], |scales| scales.data());
        let [rows, cols] = floats.shape().try_into().unwrap();

        let matrix = Matrix::new(*quant, rows, cols, values.data(), scales).unwrap();
        let expected = floats.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        for (i, (found, expected)) in decoded(matrix).into_iter().zip(expected).enumerate() {
            let place = format!("{quant} [{}, {}]", i / cols, i % cols);
            assert_eq!(found.to_bits(), expected, "{place}: {found} for {}", f32::from_bits(expected));
        }
    }
}

/// Values of both signs and of sizes that differ from block to block, with a block of zeros.
fn awkward(rows: usize, cols: usize) -> Vec<f32> {
    let value = |i: usize| match i % cols / 32 {
        1 => 0.0,
        g => (i as f32 * 0.7).sin() * 2f32.powi(-(g as i32)) + 0.01,
    };
    (0..rows * cols).map(value).collect()
}

#[test]
fn encoding_errs_by_half_a_step_of_its_block() {
    // Half steps from 0 to the greatest magnitude of a block, a few less for what rounding the scale itself costs.
    let steps = |quant| match quant {
        Quant::F32 => f32::INFINITY,
        Quant::F16 => 2000.0,
        Quant::BF16 | Quant::Q8_0 => 230.0,
        Quant::Q4_1 | Quant::Int4G32 => 14.0,
        // Two bits with a minimum, three without.
        Quant::Q2K => 2.8,
        Quant::Q3K => 4.0,
        Quant::Iq4Nl | Quant::Iq4Xs => 10.0,
        // The largest gap of e2m1 is from 4 to 6; scales that are powers of two leave up to a bit of it unused.
        Quant::Mxfp4 | Quant::Mxfp4G32 => 3.9,
        Quant::Nvfp4 | Quant::Nvfp4G16 => 2.9,
        Quant::Tq1_0 | Quant::Tq2_0 | Quant::Q2_0 => 1.9,
        Quant::Q1_0 => 1.2,
        // Codebooks, whose entries leave much out.
        Quant::Iq1S | Quant::Iq1M => 1.3,
        Quant::Iq2Xxs | Quant::Iq2Xs | Quant::Iq2S => 1.6,
        Quant::Iq3Xxs | Quant::Iq3S => 2.3,
        Quant::Q5_1 => 30.0,
        // The sign that the extreme value does not have lacks a code, so it may err by a whole step.
        Quant::Q4_0 => 7.5,
        Quant::Q5_0 => 15.5,
        Quant::Q6K => 28.0,
        // Steps and minima of the groups are themselves rounded to six bits.
        Quant::Q4K => 12.0,
        Quant::Q5K => 22.0,
        // Three bits of mantissa: 1/16 of the greatest magnitude.
        Quant::Fp8B128 | Quant::Fp8B128E8m0 | Quant::Fp8B32E8m0 => 16.0,
    };
    for quant in Quant::ALL {
        let (rows, cols) = (3, 512);
        let values = awkward(rows, cols);
        let encoded = quant.quantize_matrix(rows, cols, &values).unwrap();
        let matrix = Matrix::new(*quant, rows, cols, &encoded.values, &encoded.scales).unwrap();
        let block = quant.block_len().max(32);
        for (found, wanted) in decoded(matrix).chunks(block).zip(values.chunks(block)) {
            let most = wanted.iter().fold(0f32, |most, v| most.max(v.abs()));
            let error = found.iter().zip(wanted).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(error <= most / steps(*quant), "{quant}: {error} where the greatest is {most}");
        }
    }
}

#[test]
fn encoding_what_was_decoded_changes_nothing() {
    // Formats whose scale is found again exactly from the decoded values.
    for quant in [Quant::F32, Quant::F16, Quant::BF16, Quant::Q4_0, Quant::Q5_0] {
        let (rows, cols) = (3, 512);
        let first = quant.quantize(&awkward(rows, cols)).unwrap();
        let matrix = Matrix::new(quant, rows, cols, &first, &[]).unwrap();
        assert_eq!(quant.quantize(&decoded(matrix)), Some(first), "{quant}");
    }
}

#[test]
fn formats_with_a_plane_of_scales_are_not_encoded_without_it() {
    let apart = Quant::ALL.iter().filter(|quant| quant.plane_bytes(1, 256).unwrap().scales > 0);
    for quant in apart {
        assert_eq!(quant.quantize(&[0.0; 256]), None, "{quant}");
    }
    assert_eq!(Quant::Q8_0.quantize(&[0.0; 33]), None, "part of a block");
}
