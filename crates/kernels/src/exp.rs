//! The exponential, as a polynomial of our own: its bits do not depend on a C library, and loops over it vectorise.

/// 1.5·2^23: adding it leaves the nearest integer in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts; the first has nine trailing zeros, so its product with a small integer is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Below this e^x is 0 here. It would be less than 1.22e-38, next to subnormal, and processors take some hundred
/// cycles for each subnormal answer: a mask of −∞ made the softmax of a prompt's tile ten times slower.
const LEAST: f32 = -87.3;

/// e^x, within 1.5 units in the last place. 0 below −87.3, infinity above 88.72, NaN for NaN.
///
/// Cody and Waite: x = n·ln 2 + r with |r| ≤ ln 2 / 2; then e^r by a polynomial, times 2^n in two steps, since 2^n
/// itself may lie outside the range of f32 where the product does not.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Outside these bounds the answer is 0 or infinity anyway; inside them, n fits the exponent arithmetic, and no
    // product is subnormal. `max` and `min` return the number when one side is NaN: the last line puts NaN back.
    let bounded = x.clamp(LEAST, 95.0);
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, bounded));

    // The minimax polynomial of Cephes for (e^r − 1 − r) / r².
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p.mul_add(r, coefficient);
    }
    let p = p.mul_add(r * r, r) + 1.0;

    let n = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
    let half = n >> 1;
    let y = p * power_of_two(half) * power_of_two(n - half);
    let y = if x < LEAST { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// 2^n for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance of `y` from the exact e^x, in units in the last place of f32 (of the least normal, below it).
    fn error_in_ulps(x: f32, y: f32) -> f64 {
        let exact = f64::from(x).exp();
        let exponent = (exact as f32).max(f32::MIN_POSITIVE).log2().floor() as i32;
        (f64::from(y) - exact).abs() / 2f64.powi(exponent - 23)
    }

    #[test]
    fn exp_is_within_one_and_a_half_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -87_300..=88_700 {
            let x = i as f32 * 1e-3 + 1.7e-4;
            worst = worst.max(error_in_ulps(x, exp(x)));
        }
        assert!(worst < 1.5, "{worst} ulp");
    }

    #[test]
    fn exp_has_the_limits_of_e_to_the_x() {
        let cases = [
            (0.0, 1.0),
            (-0.0, 1.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (88.73, f32::INFINITY),
            (-87.31, 0.0),
            (-104.0, 0.0),
            (f32::MIN, 0.0),
            (f32::NEG_INFINITY, 0.0),
            (1e-45, 1.0),
        ];
        for (x, y) in cases {
            assert_eq!(exp(x), y, "e^{x}");
        }
        assert!(exp(88.72).is_finite());
        assert!(exp(LEAST).is_normal());
        assert!(exp(f32::NAN).is_nan());
    }
}
