//! Products of integer codes in AVX2: the canonical order of `integer.rs`, eight lanes at a time.

use std::arch::x86_64::*;

use quant::{Group, Quant, Row, Strip};

use crate::activations::ActivationStrip;

/// See [`crate::Kernels::dot_codes`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot_codes(quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
    let mut strip = Strip::ZERO;
    let mut sums = Sums::new(quant);
    for (index, x) in x.iter().enumerate() {
        quant.strip(row, index, &mut strip);
        // SAFETY: this function has the instruction set.
        unsafe { sums.add(&strip, x) };
    }
    // SAFETY: as above.
    unsafe { sums.fold() }
}

/// See [`crate::tiles::Many::OneByOne`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn spell(quant: Quant, row: Row<'_>, out: &mut [Strip]) {
    crate::integer::spell(quant, row, out);
}

/// See [`crate::tiles::Many::OneByOne`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dot_spelled(quant: Quant, row: &[Strip], x: &[ActivationStrip]) -> f32 {
    let mut sums = Sums::new(quant);
    for (strip, x) in row.iter().zip(x) {
        // SAFETY: this function has the instruction set.
        unsafe { sums.add(strip, x) };
    }
    // SAFETY: as above.
    unsafe { sums.fold() }
}

/// The lanes of a sum in progress; only the first register for groups of 32.
struct Sums {
    lanes: [__m256; 2],
    sixteen: bool,
    minima: bool,
}

impl Sums {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn new(quant: Quant) -> Self {
        let sixteen = quant.strip_group() == Some(Group::Sixteen);
        Self { lanes: [_mm256_setzero_ps(); 2], sixteen, minima: quant.has_minima() }
    }

    #[inline(always)]
    unsafe fn add(&mut self, strip: &Strip, x: &ActivationStrip) {
        // SAFETY: the caller has the instruction set.
        unsafe {
            match (self.sixteen, self.minima) {
                (false, false) => add_strip::<false, false>(strip, x, &mut self.lanes),
                (false, true) => add_strip::<false, true>(strip, x, &mut self.lanes),
                (true, false) => add_strip::<true, false>(strip, x, &mut self.lanes),
                (true, true) => add_strip::<true, true>(strip, x, &mut self.lanes),
            }
        }
    }

    #[inline(always)]
    unsafe fn fold(self) -> f32 {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let [low, high] = self.lanes;
            let eight = if self.sixteen { _mm256_add_ps(low, high) } else { low };
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// Adds the products of one strip to the lanes.
#[inline(always)]
unsafe fn add_strip<const SIXTEEN: bool, const MINIMA: bool>(
    w: &Strip,
    x: &ActivationStrip,
    sums: &mut [__m256; 2],
) {
    // SAFETY: the caller's promise; the loads read whole arrays.
    unsafe {
        if SIXTEEN {
            for (half, sum) in sums.iter_mut().enumerate() {
                let (a, b) = (products(w, x, 4 * half), products(w, x, 4 * half + 1));
                let (c, d) = (products(w, x, 4 * half + 2), products(w, x, 4 * half + 3));
                // Each quarter of a register is one group: [a b c d] low halves, then high ones.
                let quarters = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let dots = _mm256_permutevar8x32_epi32(quarters, order);
                let (scales, totals) = (x.scales16.as_ptr().add(8 * half), x.totals16.as_ptr().add(8 * half));
                *sum = scale::<MINIMA>(dots, w, 8 * half, scales, totals, *sum);
            }
            return;
        }
        let dots = _mm256_set_m128i(fours(w, x, 4), fours(w, x, 0));
        sums[0] = scale::<MINIMA>(dots, w, 0, x.scales32.as_ptr(), x.totals32.as_ptr(), sums[0]);
    }
}

/// The products of columns 32 · `i`.., four to a lane. A function, as [`fours`] is: closures of this size are compiled
/// apart, without the instruction set.
#[inline(always)]
unsafe fn products(w: &Strip, x: &ActivationStrip, i: usize) -> __m256i {
    // SAFETY: the caller's promise; the loads read whole arrays.
    unsafe {
        let w = _mm256_loadu_si256(w.codes.as_ptr().add(32 * i).cast());
        let x = _mm256_loadu_si256(x.codes.as_ptr().add(32 * i).cast());
        // |w| unsigned times x with w's sign: two products of at most 128 · 127 fit 16 bits.
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    }
}

/// The sums of four groups of 32, from group `i` on.
#[inline(always)]
unsafe fn fours(w: &Strip, x: &ActivationStrip, i: usize) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (products(w, x, i), products(w, x, i + 1));
        let (c, d) = (products(w, x, i + 2), products(w, x, i + 3));
        let quarters = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        _mm_add_epi32(_mm256_castsi256_si128(quarters), _mm256_extracti128_si256::<1>(quarters))
    }
}

/// `sum` plus eight groups' products, from weight group `first` on, scaled.
#[inline(always)]
unsafe fn scale<const MINIMA: bool>(
    dots: __m256i,
    w: &Strip,
    first: usize,
    scales: *const f32,
    totals: *const f32,
    sum: __m256,
) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), _mm256_loadu_ps(w.scales.as_ptr().add(first)));
        let sum = _mm256_fmadd_ps(scaled, _mm256_loadu_ps(scales), sum);
        if !MINIMA {
            return sum;
        }
        _mm256_fnmadd_ps(_mm256_loadu_ps(w.minima.as_ptr().add(first)), _mm256_loadu_ps(totals), sum)
    }
}
