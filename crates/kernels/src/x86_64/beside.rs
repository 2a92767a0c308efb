//! Eight tokens side by side, in AVX-VNNI.

use std::arch::x86_64::*;

use crate::beside::{Ahead, Beside};
use crate::tile::run;
use crate::tiles::{ANCHOR, Lane, ROWS, Rows, Tokens};

/// A register of 256 bits. Used only inside functions compiled for AVX2, FMA, F16C and AVX-VNNI.
pub(super) struct EightTokens;

// SAFETY (of the blocks below): this type is used only where its instruction sets are enabled; what may be read or
// written at a pointer is the caller's promise.
impl Beside for EightTokens {
    type Sums = __m256i;
    type Floats = __m256;
    type Codes = __m256i;
    type Quad = __m256i;

    const TOKENS: usize = 8;
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn panel<const GROUPS: usize, const MINIMA: bool, const ANCHORED: bool>(
        rows: Rows<'_>,
        x: Tokens<'_>,
        ahead: &mut Ahead,
        add: bool,
        out: &mut Lane,
    ) {
        for which in 0..x.groups.len() / rows.groups.len() {
            for first in (0..ROWS).step_by(3) {
                // SAFETY: as above.
                unsafe {
                    run::<Self, GROUPS, MINIMA, ANCHORED, 3, 2>(rows, first, x, which, ahead, add, out)
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn sums(at: *const i32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_load_si256(at.cast()) }
    }

    #[inline(always)]
    unsafe fn codes(at: *const i8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_load_si256(at.cast()) }
    }

    #[inline(always)]
    unsafe fn quad(at: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_set1_epi32(*at.cast::<i32>()) }
    }

    #[inline(always)]
    fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_dpbusd_avx_epi32(sums, w, x) }
    }

    #[inline(always)]
    fn anchored(sums: __m256i, scale: f32, anchor: f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(_mm256_castsi256_ps(sums), _mm256_set1_ps(scale), _mm256_set1_ps(anchor)) }
    }

    #[inline(always)]
    fn scaled(sums: __m256i, scale: f32) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let sums = _mm256_sub_epi32(sums, _mm256_set1_epi32(ANCHOR.to_bits() as i32));
            _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(scale))
        }
    }

    #[inline(always)]
    fn zero() -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_load_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(floats: __m256, at: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm256_store_ps(at, floats) }
    }

    #[inline(always)]
    fn plus(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn add_product(sum: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    fn take_product(sum: __m256, a: f32, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_fnmadd_ps(_mm256_set1_ps(a), b, sum) }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
}
