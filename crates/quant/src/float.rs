//! The small floats: f16, bf16 and fp8 e4m3, to and from f32; and e8m0, the scale that is a power of two.
//!
//! Decoding is integer arithmetic and selects, no table and no branch, so that a loop over it vectorises under any
//! instruction set; it never makes a denormal f32 on the way, which would cost some hundred cycles each on x86.

/// The f32 equal to the IEEE half `bits`. NaNs stay NaNs, made quiet.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let sign = u32::from(bits & 0x8000) << 16;
    let normal = magnitude + (112 << 23);
    // 2^-14 * (1 + m/1024) - 2^-14 is the subnormal m * 2^-24, exactly.
    let least_normal = 113 << 23;
    let subnormal = (f32::from_bits(magnitude + least_normal) - f32::from_bits(least_normal)).to_bits();
    let quiet = if magnitude > 0x7c00 << 13 { 1 << 22 } else { 0 };
    let special = magnitude | 0x7f80_0000 | quiet;

    let finite = if magnitude < 1 << 23 { subnormal } else { normal };
    f32::from_bits(sign | if magnitude >= 0x7c00 << 13 { special } else { finite })
}

/// The half nearest to `value`, ties to even; overflow becomes infinity.
pub fn f32_to_f16(value: f32) -> u16 {
    half::f16::from_f32(value).to_bits()
}

/// The f32 equal to the bfloat16 `bits`.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bfloat16 nearest to `value`, ties to even.
pub fn f32_to_bf16(value: f32) -> u16 {
    half::bf16::from_f32(value).to_bits()
}

/// The f32 equal to the e8m0 `bits`, 2^(bits − 127); 255 is NaN.
#[inline(always)]
pub fn e8m0_to_f32(bits: u8) -> f32 {
    f32::from_bits(match bits {
        0 => 1 << 22,
        255 => 0x7fc0_0000,
        exponent => u32::from(exponent) << 23,
    })
}

/// The largest e4m3 value.
pub const E4M3_MAX: f32 = 448.0;

/// The f32 equal to the fp8 e4m3 (`e4m3fn`: no infinities, `0x7f` and `0xff` are NaN) `bits`.
#[inline(always)]
pub fn e4m3_to_f32(bits: u8) -> f32 {
    let magnitude = u32::from(bits & 0x7f) << 20;
    let sign = u32::from(bits & 0x80) << 24;
    let normal = magnitude + (120 << 23);
    // As for the half: 2^-6 * (1 + m/8) - 2^-6 is the subnormal m * 2^-9, exactly.
    let least_normal = 121 << 23;
    let subnormal = (f32::from_bits(magnitude + least_normal) - f32::from_bits(least_normal)).to_bits();

    let finite = if magnitude < 1 << 23 { subnormal } else { normal };
    f32::from_bits(sign | if magnitude == 0x7f << 20 { 0x7fc0_0000 } else { finite })
}

/// The e4m3 nearest to `value`, ties to even; what is too large, infinities included, becomes ±448.
pub fn f32_to_e4m3(value: f32) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let magnitude = value.abs();
    if value.is_nan() {
        return sign | 0x7f;
    }
    if magnitude >= E4M3_MAX {
        return sign | 0x7e;
    }
    if magnitude < 1.0 / 64.0 {
        return sign | (magnitude * 512.0).round_ties_even() as u8;
    }
    let bits = magnitude.to_bits();
    let rounded = (bits + 0x7_ffff + (bits >> 20 & 1)) >> 20;
    sign | (rounded - (120 << 3)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn every_half_and_bfloat_decodes_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            assert!(same(f16_to_f32(bits), half::f16::from_bits(bits).to_f32()), "f16 {bits:#06x}");
            assert!(same(bf16_to_f32(bits), half::bf16::from_bits(bits).to_f32()), "bf16 {bits:#06x}");
        }
    }

    #[test]
    fn every_e4m3_decodes_by_the_formula() {
        for bits in 0..=u8::MAX {
            let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
            let magnitude = match (exponent, bits & 7) {
                (15, 7) => f32::NAN,
                (0, _) => mantissa / 8.0 * 2f32.powi(-6),
                _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
            };
            let expected = if bits & 0x80 != 0 { -magnitude } else { magnitude };
            assert!(same(e4m3_to_f32(bits), expected), "{bits:#04x}");
        }
    }

    #[test]
    fn encoding_an_exact_value_gives_it_back() {
        for bits in 0..=u16::MAX {
            if !f16_to_f32(bits).is_nan() {
                assert_eq!(f32_to_f16(f16_to_f32(bits)), bits);
            }
            if !bf16_to_f32(bits).is_nan() {
                assert_eq!(f32_to_bf16(bf16_to_f32(bits)), bits);
            }
        }
        for bits in 0..=u8::MAX {
            assert_eq!(f32_to_e4m3(e4m3_to_f32(bits)), bits);
        }
    }

    #[test]
    fn e4m3_rounds_to_the_nearest_ties_to_even() {
        for low in 0..0x7e_u8 {
            let (below, above) = (e4m3_to_f32(low), e4m3_to_f32(low + 1));
            let middle = (below + above) / 2.0;
            let even = if low % 2 == 0 { low } else { low + 1 };
            assert_eq!(f32_to_e4m3(middle), even, "{middle}");
            assert_eq!(f32_to_e4m3(middle.next_down()), low, "{middle}");
            assert_eq!(f32_to_e4m3(-middle.next_up()), 0x80 | (low + 1), "{middle}");
        }
        for large in [448.0, 1e9, f32::INFINITY] {
            assert_eq!(f32_to_e4m3(large), 0x7e);
            assert_eq!(f32_to_e4m3(-large), 0xfe);
        }
    }
}
