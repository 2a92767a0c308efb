//! Random blocks of each GGUF type: any bytes will do but for the scales, which decide how large the values are.

use base::{Error, Quoted, Result};
use formats::gguf::types::GgmlType;
use quant::Quant;
use quant::float::f32_to_f16;

use crate::random::Random;

/// How a type's blocks are filled.
struct Filling {
    name: &'static str,
    /// Root mean square of the values of random bytes under a scale of 1, as measured over 20,000 blocks.
    unit: f32,
    scale: Scale,
}

/// Where a block's scale lies.
enum Scale {
    /// The values are plain numbers.
    None,
    /// A half at this byte.
    Half(usize),
    /// A half, and another for minima, which is this many times larger: so values have mean 0.
    WithMinimum(usize, usize, f32),
    /// A half in the top four bits of four words from this byte on.
    Scattered(usize),
    /// A byte: a power of two.
    Exponent,
    /// Four bytes, each an unsigned float of 4 and 3 bits.
    Small,
}

const FILLINGS: &[Filling] = &[
    filling("F32", 1.0, Scale::None),
    filling("F16", 1.0, Scale::None),
    filling("BF16", 1.0, Scale::None),
    filling("Q4_0", 4.64, Scale::Half(0)),
    filling("Q4_1", 4.61, Scale::WithMinimum(0, 2, -7.5)),
    filling("Q5_0", 9.24, Scale::Half(0)),
    filling("Q5_1", 9.23, Scale::WithMinimum(0, 2, -15.5)),
    filling("Q8_0", 73.9, Scale::Half(0)),
    filling("Q2_K", 13.9, Scale::WithMinimum(80, 82, 1.5)),
    filling("Q3_K", 43.3, Scale::Half(108)),
    filling("Q4_K", 258.0, Scale::WithMinimum(0, 2, 7.5)),
    filling("Q5_K", 526.0, Scale::WithMinimum(0, 2, 15.5)),
    filling("Q6_K", 1366.0, Scale::Half(208)),
    filling("IQ1_S", 7.2, Scale::Half(0)),
    filling("IQ1_M", 7.2, Scale::Scattered(48)),
    filling("IQ2_XXS", 53.4, Scale::Half(0)),
    filling("IQ2_XS", 55.9, Scale::Half(0)),
    filling("IQ2_S", 56.4, Scale::Half(0)),
    filling("IQ3_XXS", 142.5, Scale::Half(0)),
    filling("IQ3_S", 140.4, Scale::Half(0)),
    filling("IQ4_NL", 67.4, Scale::Half(0)),
    filling("IQ4_XS", 1245.0, Scale::Half(0)),
    filling("TQ1_0", 0.817, Scale::Half(52)),
    filling("TQ2_0", 1.225, Scale::Half(64)),
    filling("MXFP4", 2.93, Scale::Exponent),
    filling("NVFP4", 2.93, Scale::Small),
    filling("Q1_0", 1.0, Scale::Half(0)),
    filling("Q2_0", 1.225, Scale::Half(0)),
];

const fn filling(name: &'static str, unit: f32, scale: Scale) -> Filling {
    Filling { name, unit, scale }
}

/// The type of weights called `name`, in upper or lower case.
///
/// Fails with [`base::Kind::Input`] and the list of names when there is none.
pub(crate) fn weight_type(name: &str) -> Result<&'static GgmlType> {
    let known = FILLINGS.iter().find(|filling| filling.name.eq_ignore_ascii_case(name));
    known.and_then(|filling| GgmlType::by_name(filling.name)).ok_or_else(|| {
        let names: Vec<&str> = FILLINGS.iter().map(|filling| filling.name).collect();
        Error::input(format!(
            "no weight format is called {}; expected one of {}",
            Quoted(name),
            names.join(", ")
        ))
    })
}

/// About `bytes` bytes of whole blocks of `of`, at least one, whose values have mean 0 and this standard deviation.
///
/// # Panics
/// When `of` is none of [`weight_type`]'s.
pub(crate) fn blocks(of: &GgmlType, deviation: f32, bytes: usize, random: &mut Random) -> Vec<u8> {
    let filling = FILLINGS.iter().find(|filling| filling.name == of.name);
    let (Some(filling), Some(block)) = (filling, of.block) else { panic!("{} is no weight format", of.name) };
    let count = (bytes / block.bytes as usize).max(1);
    if let Scale::None = filling.scale {
        return plain(of.name, deviation, count, random);
    }
    let mut blocks = vec![0; count * block.bytes as usize];
    random.fill(&mut blocks);
    for block in blocks.chunks_exact_mut(block.bytes as usize) {
        // Scales differ from block to block, by a quarter either way.
        put_scale(block, &filling.scale, deviation / filling.unit * (0.75 + 0.5 * random.unit()), random);
    }
    blocks
}

fn put_scale(block: &mut [u8], scale: &Scale, size: f32, random: &mut Random) {
    // Codes of some formats lean to one side; signs that change from block to block even that out.
    let signed = if random.bits() & 1 == 0 { size } else { -size };
    match *scale {
        Scale::None => {}
        Scale::Half(at) => block[at..at + 2].copy_from_slice(&half(signed)),
        Scale::WithMinimum(at, minimum_at, ratio) => {
            block[at..at + 2].copy_from_slice(&half(signed));
            block[minimum_at..minimum_at + 2].copy_from_slice(&half(signed * ratio));
        }
        Scale::Scattered(at) => {
            let bits = u16::from_le_bytes(half(signed));
            for part in 0..4 {
                let high = &mut block[at + 2 * part + 1];
                *high = *high & 0x0f | ((bits >> (4 * part)) as u8 & 0x0f) << 4;
            }
        }
        Scale::Exponent => block[0] = (size.log2().round() as i32 + 127).clamp(1, 254) as u8,
        Scale::Small => block[..4].fill(small_float(size)),
    }
}

fn half(value: f32) -> [u8; 2] {
    f32_to_f16(value).to_le_bytes()
}

/// The code nearest to `value`: four bits of exponent, three of mantissa, no sign.
fn small_float(value: f32) -> u8 {
    let decoded = |code: u8| match (code >> 3, f32::from(code & 7)) {
        (0, mantissa) => mantissa / 512.0,
        (exponent, mantissa) => (1.0 + mantissa / 8.0) * f32::from(exponent).exp2() / 128.0,
    };
    let distance = |code: &u8| (decoded(*code) - value).abs();
    (1..0x7f).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(1)
}

fn plain(name: &str, deviation: f32, count: usize, random: &mut Random) -> Vec<u8> {
    let values: Vec<f32> = (0..count).map(|_| random.spread(deviation)).collect();
    let quant = match name {
        "F16" => Quant::F16,
        "BF16" => Quant::BF16,
        _ => Quant::F32,
    };
    quant.quantize(&values).unwrap_or_default()
}

/// What a type is replaced with where rows are no whole number of its blocks, as llama.cpp does it.
pub(crate) fn fallback(of: &'static GgmlType, cols: u64) -> &'static GgmlType {
    let divides = |of: &GgmlType| of.block.is_some_and(|block| cols.is_multiple_of(block.len));
    let smaller = match of.name {
        "Q4_K" => "Q5_0",
        "Q5_K" => "Q5_1",
        "Q6_K" => "Q8_0",
        name if name.starts_with("IQ") => "IQ4_NL",
        _ => "Q4_0",
    };
    let chosen = [of.name, smaller, "F16"].into_iter().filter_map(GgmlType::by_name).find(|of| divides(of));
    chosen.unwrap_or(of)
}

#[cfg(test)]
mod tests {
    use formats::Element;
    use quant::Matrix;

    use super::*;

    #[test]
    fn values_of_every_format_that_is_computed_with_are_as_large_as_asked() {
        for filling in FILLINGS {
            let of = weight_type(filling.name).unwrap();
            let Element::Weight(quant) = of.element() else { continue };
            let bytes = blocks(of, 0.02, 64 << 10, &mut Random::new(7));
            let cols = bytes.len() / of.block.unwrap().bytes as usize * quant.block_len();
            let mut values = vec![0.0; cols];
            quant.dequantize(Matrix::new(quant, 1, cols, &bytes, &[]).unwrap().row(0), &mut values);
            let mean = values.iter().sum::<f32>() / cols as f32;
            let size = (values.iter().map(|v| v * v).sum::<f32>() / cols as f32).sqrt();
            assert!((0.014..0.028).contains(&size), "{quant}: {size}");
            assert!(mean.abs() < 0.002, "{quant}: {mean}");
        }
    }

    #[test]
    fn every_format_that_a_file_can_hold_can_be_filled() {
        for quant in Quant::ALL {
            if GgmlType::by_name(quant.name()).is_some_and(|of| of.block.is_some()) {
                assert_eq!(weight_type(&quant.name().to_lowercase()).unwrap().name, quant.name());
            }
        }
    }

    #[test]
    fn rows_of_odd_lengths_fall_back_as_in_published_files() {
        let cases =
            [("Q4_K", 128, "Q5_0"), ("Q4_K", 256, "Q4_K"), ("IQ2_S", 2880, "IQ4_NL"), ("Q2_K", 33, "F16")];
        for (name, cols, expected) in cases {
            assert_eq!(fallback(weight_type(name).unwrap(), cols).name, expected, "{name} of {cols}");
        }
    }

    #[test]
    fn small_floats_are_met_exactly() {
        let cases = [(1.0, 0x38), (1.0 / 512.0, 1), (448.0, 0x7e), (1.0 / 64.0, 0x08)];
        for (value, code) in cases {
            assert_eq!(small_float(value), code, "{value}");
        }
    }
}
