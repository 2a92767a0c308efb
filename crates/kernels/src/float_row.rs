//! Rows of floats with one token, in the canonical order of `lanes.rs`: each weight byte is read once, and no weight is
//! written down. What sixteen of a format's numbers are is `sixteen.rs`'s to say.

use quant::float::e8m0_to_f32;
use quant::{Quant, Row};

use crate::lanes::{LANES, fold};
use crate::sixteen::{SIXTEEN, Sixteen};

/// How far ahead of its use a weight is asked for, in bytes.
const AHEAD: usize = 2048;

/// See [`crate::Kernels::dot_floats`]. Only whole blocks of 32 columns are multiplied so: other rows give `None`.
///
/// # Safety
/// The row has as many columns as `x`, and what it takes of them.
#[inline(always)]
pub(crate) unsafe fn dot_floats<V: Sixteen>(quant: Quant, row: Row<'_>, x: &[f32]) -> Option<f32> {
    if !x.len().is_multiple_of(LANES) {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe {
        match quant {
            Quant::F32 => Some(dot::<V, F32>(row, x)),
            Quant::F16 => Some(dot::<V, F16>(row, x)),
            Quant::BF16 => Some(dot::<V, BF16>(row, x)),
            Quant::Fp8B128 => Some(dot_e4m3::<V, Floats, 128>(row, x)),
            Quant::Fp8B128E8m0 => Some(dot_e4m3::<V, Powers, 128>(row, x)),
            Quant::Fp8B32E8m0 => Some(dot_e4m3::<V, Powers, 32>(row, x)),
            _ => None,
        }
    }
}

/// A format of floats without scales.
trait Format {
    /// Bytes of each.
    const BYTES: usize;

    /// # Safety
    /// Sixteen may be read at `at`.
    unsafe fn load<V: Sixteen>(at: *const u8) -> V;
}

struct F32;
struct F16;
struct BF16;

impl Format for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<V: Sixteen>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(at.cast()) }
    }
}

impl Format for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<V: Sixteen>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::of_halves(at.cast()) }
    }
}

impl Format for BF16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<V: Sixteen>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::of_brains(at.cast()) }
    }
}

/// # Safety
/// As for [`dot_floats`].
#[inline(always)]
unsafe fn dot<V: Sixteen, F: Format>(row: Row<'_>, x: &[f32]) -> f32 {
    let (mut low, mut high) = (V::splat(0.0), V::splat(0.0));
    for column in (0..x.len()).step_by(LANES) {
        // SAFETY: the caller's promise; 32 columns begin here.
        unsafe {
            let at = row.values.as_ptr().add(column * F::BYTES);
            for line in (0..LANES * F::BYTES).step_by(64) {
                V::prefetch(at.wrapping_add(AHEAD + line));
            }
            let x = x.as_ptr().add(column);
            low = low.add_product(F::load(at), V::load(x));
            high = high.add_product(F::load(at.add(SIXTEEN * F::BYTES)), V::load(x.add(SIXTEEN)));
        }
    }
    folded(low, high)
}

/// How the scale of a square is spelled.
trait Scale {
    /// The scale of square `index` of a row.
    fn scale(scales: &[u8], index: usize) -> f32;
}

struct Floats;
struct Powers;

impl Scale for Floats {
    #[inline(always)]
    fn scale(scales: &[u8], index: usize) -> f32 {
        f32::from_le_bytes(scales.as_chunks().0[index])
    }
}

impl Scale for Powers {
    #[inline(always)]
    fn scale(scales: &[u8], index: usize) -> f32 {
        e8m0_to_f32(scales[index])
    }
}

/// Of fp8 e4m3, every `SIDE` columns with a scale.
///
/// # Safety
/// As for [`dot_floats`].
#[inline(always)]
unsafe fn dot_e4m3<V: Sixteen, S: Scale, const SIDE: usize>(row: Row<'_>, x: &[f32]) -> f32 {
    let (mut low, mut high) = (V::splat(0.0), V::splat(0.0));
    for (square, first) in (0..x.len()).step_by(SIDE).enumerate() {
        let scale = S::scale(row.scales, square);
        // Times the 2^8 that are missing, which is exact but for what overflows: then one product gives the bits of two.
        let whole = 256.0 * scale;
        for column in (first..x.len().min(first + SIDE)).step_by(LANES) {
            // SAFETY: the caller's promise; 32 columns begin here.
            unsafe {
                let at = row.values.as_ptr().add(column);
                V::prefetch(at.wrapping_add(AHEAD));
                let [mut a, mut b] = V::of_e4m3(at);
                if whole.is_finite() {
                    (a, b) = (a.times(V::splat(whole)), b.times(V::splat(whole)));
                } else {
                    let (unit, scale) = (V::splat(256.0), V::splat(scale));
                    (a, b) = (a.times(unit).times(scale), b.times(unit).times(scale));
                }
                let x = x.as_ptr().add(column);
                low = low.add_product(a, V::load(x));
                high = high.add_product(b, V::load(x.add(SIXTEEN)));
            }
        }
    }
    folded(low, high)
}

/// The sum of 32 lanes.
#[inline(always)]
fn folded<V: Sixteen>(low: V, high: V) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: twice sixteen floats are 32.
    unsafe {
        low.store(lanes.as_mut_ptr());
        high.store(lanes.as_mut_ptr().add(SIXTEEN));
    }
    fold(lanes, |a, b| a + b)
}
