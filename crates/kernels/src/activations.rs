//! Activations as signed bytes, 256 columns at a time, for products with integer codes.
//!
//! Each 32 columns share a scale: codes are steps of their largest magnitude over 127, and the scale is what fits them
//! best, which takes 1 % off the error of a product; what a group of weights with a minimum needs
//! besides, the sum of its activations, is kept with them. The same bits under every instruction set: nothing here
//! is rounded but each element by itself, and sums in one order.

/// How activations meet quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    /// As they are: weights are dequantized, and everything is summed in f32.
    F32,
    /// As signed bytes with a scale for 32 columns, where the weights are integer codes; as they are, elsewhere.
    Int8,
}

impl Activations {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

/// Columns of a strip.
pub const STRIP: usize = 256;

/// Magnitudes below this are taken for 0: their inverse would overflow.
pub(crate) const LEAST: f32 = 1e-30;

/// 256 columns of one token. The columns past the end of a row are zeros.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct ActivationStrip {
    /// x = scale · code.
    pub codes: [i8; STRIP],
    /// The scale of each 16 columns; two neighbours are equal.
    pub scales16: [f32; 16],
    /// Σ code of each 16 columns.
    pub sums16: [i32; 16],
    /// scale · Σ code of each 16 columns.
    pub totals16: [f32; 16],
    /// The scale of each 32 columns.
    pub scales32: [f32; 8],
    /// Σ code of each 32 columns.
    pub sums32: [i32; 8],
    /// scale · Σ code of each 32 columns.
    pub totals32: [f32; 8],
}

impl ActivationStrip {
    /// All zeros.
    pub const ZERO: Self = Self {
        codes: [0; STRIP],
        scales16: [0.0; 16],
        sums16: [0; 16],
        totals16: [0.0; 16],
        scales32: [0.0; 8],
        sums32: [0; 8],
        totals32: [0.0; 8],
    };

    /// Of group `g`, of 16 groups or else of 8: Σ code, the scale, scale · Σ code.
    pub(crate) fn group(&self, groups: usize, g: usize) -> (i32, f32, f32) {
        match groups {
            16 => (self.sums16[g], self.scales16[g], self.totals16[g]),
            _ => (self.sums32[g], self.scales32[g], self.totals32[g]),
        }
    }
}

/// Spells `x`, at most 256 columns, as `out`.
///
/// A group that holds an infinity or a NaN gets a scale of NaN: what is multiplied with it is NaN too.
#[inline(always)]
pub(crate) fn quantize(x: &[f32], out: &mut ActivationStrip) {
    if let Ok(whole) = x.try_into() {
        return quantize_whole(whole, out);
    }
    let mut whole = [0.0; STRIP];
    whole[..x.len()].copy_from_slice(x);
    quantize_whole(&whole, out);
}

#[inline(always)]
fn quantize_whole(x: &[f32; STRIP], out: &mut ActivationStrip) {
    let (groups, codes) = (x.as_chunks::<32>().0, out.codes.as_chunks_mut::<32>().0);
    for (g, (x, codes)) in groups.iter().zip(codes).enumerate() {
        let scale = quantize_group(x, codes);
        out.scales32[g] = scale;
        let mut sums = [0; 2];
        for (half, codes) in codes.as_chunks::<16>().0.iter().enumerate() {
            sums[half] = codes.iter().map(|code| i32::from(*code)).sum();
            out.scales16[2 * g + half] = scale;
            out.sums16[2 * g + half] = sums[half];
            out.totals16[2 * g + half] = scale * sums[half] as f32;
        }
        out.sums32[g] = sums[0] + sums[1];
        out.totals32[g] = scale * out.sums32[g] as f32;
    }
}

/// The codes of 32 columns, and their scale.
#[inline(always)]
fn quantize_group(x: &[f32; 32], codes: &mut [i8; 32]) -> f32 {
    // Halved, so that the comparisons of the upper and lower half run side by side.
    let mut most = [0.0_f32; 16];
    let mut taint = [0.0_f32; 16];
    for half in x.as_chunks::<16>().0 {
        for (i, x) in half.iter().enumerate() {
            most[i] = if x.abs() > most[i] { x.abs() } else { most[i] };
            taint[i] += x * 0.0;
        }
    }
    let (most, taint) = (in_halves(most, larger), in_halves(taint, sum));
    if most <= LEAST {
        codes.fill(0);
        return taint;
    }
    let per_step = 127.0 / most;
    let (mut products, mut squares) = ([0.0_f32; 16], [0.0_f32; 16]);
    for (x, codes) in x.as_chunks::<16>().0.iter().zip(codes.as_chunks_mut::<16>().0) {
        for i in 0..16 {
            let shifted = x[i] * per_step + ROUND;
            codes[i] = shifted.to_bits() as i8;
            let code = shifted - ROUND;
            products[i] += x[i] * per_step * code;
            squares[i] += code * code;
        }
    }
    // The scale that fits these codes best, by least squares: a few thousandths from that of the largest.
    let fit = in_halves(products, sum) / in_halves(squares, sum);
    most / 127.0 * fit + taint
}

/// 1.5·2²³: adding it to a number within ±127.01 leaves the nearest integer in the low bits, ties to even.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Sixteen lanes folded in halves: one after the other, each would wait for the one before. Each half has its own loop,
/// since only one of known length is compiled to a few shuffles.
#[inline(always)]
fn in_halves(lanes: [f32; 16], with: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut eight, mut four, mut two) = ([0.0; 8], [0.0; 4], [0.0; 2]);
    for l in 0..8 {
        eight[l] = with(lanes[l], lanes[l + 8]);
    }
    for l in 0..4 {
        four[l] = with(eight[l], eight[l + 4]);
    }
    for l in 0..2 {
        two[l] = with(four[l], four[l + 2]);
    }
    with(two[0], two[1])
}

#[inline(always)]
fn sum(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Puts a strip in the order in which several tokens are multiplied: the first four columns of every 16, then the next four
/// of each, and so on; even sixteens before odd ones, here and of what belongs to them; and the sums negative.
pub(crate) fn turn(strip: &mut ActivationStrip) {
    let from = *strip;
    let (quads, out) = (from.codes.as_chunks::<4>().0, strip.codes.as_chunks_mut::<4>().0);
    for sixteen in 0..16 {
        let place = sixteen % 2 * 8 + sixteen / 2;
        for quad in 0..4 {
            out[16 * quad + place] = quads[4 * sixteen + quad];
        }
        strip.scales16[place] = from.scales16[sixteen];
        strip.sums16[place] = -from.sums16[sixteen];
        strip.totals16[place] = from.totals16[sixteen];
    }
    strip.sums32 = from.sums32.map(|sum| -sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_near_the_steps_of_the_largest_over_127() {
        let x: Vec<f32> = (0..256).map(|i| (i as f32 * 0.37).sin() * (1 + i / 32) as f32).collect();
        let mut strip = ActivationStrip::ZERO;
        quantize(&x, &mut strip);
        for (i, x) in x.iter().enumerate() {
            let scale = strip.scales32[i / 32];
            assert!((f32::from(strip.codes[i]) * scale - x).abs() <= scale * 0.7, "column {i}");
        }
        assert!(strip.codes.iter().any(|code| code.abs() == 127));
    }

    #[test]
    fn sums_and_totals_are_those_of_the_codes() {
        let x: Vec<f32> = (0..200).map(|i| (i as f32 * 1.7).cos() + 0.3).collect();
        let mut strip = ActivationStrip::ZERO;
        quantize(&x, &mut strip);
        assert!(strip.codes[200..].iter().all(|code| *code == 0));
        for g in 0..16 {
            let sum: i32 = strip.codes[g * 16..][..16].iter().map(|code| i32::from(*code)).sum();
            assert_eq!(strip.sums16[g], sum);
            assert_eq!(strip.scales16[g], strip.scales32[g / 2]);
            assert_eq!(strip.totals16[g], strip.scales16[g] * sum as f32);
        }
        for g in 0..8 {
            assert_eq!(strip.sums32[g], strip.sums16[2 * g] + strip.sums16[2 * g + 1]);
            assert_eq!(strip.totals32[g], strip.scales32[g] * strip.sums32[g] as f32);
        }
    }

    #[test]
    fn what_is_not_finite_is_not_lost() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1.0; 64];
            x[40] = odd;
            let mut strip = ActivationStrip::ZERO;
            quantize(&x, &mut strip);
            assert!(strip.scales32[1].is_nan(), "{odd}");
            assert_eq!(strip.scales32[0], 1.0 / 127.0);
        }
        let mut strip = ActivationStrip::ZERO;
        quantize(&[1e-40; 32], &mut strip);
        assert_eq!((strip.scales32[0], strip.codes[0]), (0.0, 0));
        quantize(&[f32::MAX; 32], &mut strip);
        assert!((strip.scales32[0] / (f32::MAX / 127.0) - 1.0).abs() < 1e-6 && strip.codes[0] == 127);
    }
}
