//! Sixteen tokens side by side.

use std::arch::x86_64::*;

use crate::beside::{Ahead, Beside};
use crate::tile::run;
use crate::tiles::{ABREAST, ANCHOR, Lane, Rows, Tokens};

/// A register of 512 bits.
pub(super) struct Sixteen;

// SAFETY (of the blocks below): this type is used only where the instruction set of this folder is enabled; what may be
// read or written at a pointer is the caller's promise.
impl Beside for Sixteen {
    type Sums = __m512i;
    type Floats = __m512;
    type Codes = __m512i;
    type Quad = __m512i;

    const TOKENS: usize = 16;
    const OFFSET: u8 = 128;

    #[inline(always)]
    unsafe fn panel<const GROUPS: usize, const MINIMA: bool, const ANCHORED: bool>(
        rows: Rows<'_>,
        x: Tokens<'_>,
        ahead: &mut Ahead,
        add: bool,
        out: &mut Lane,
    ) {
        // SAFETY: as above.
        unsafe {
            if x.groups.len() == ABREAST * rows.groups.len() {
                run::<Self, GROUPS, MINIMA, ANCHORED, 6, 2>(rows, 0, x, 0, ahead, add, out);
                run::<Self, GROUPS, MINIMA, ANCHORED, 6, 2>(rows, 6, x, 0, ahead, add, out);
            } else {
                run::<Self, GROUPS, MINIMA, ANCHORED, 12, 1>(rows, 0, x, 0, ahead, add, out);
            }
        }
    }

    #[inline(always)]
    unsafe fn sums(at: *const i32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_load_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn codes(at: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_load_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn quad(at: *const u8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(*at.cast::<i32>()) }
    }

    #[inline(always)]
    fn dot(sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(sums, w, x) }
    }

    #[inline(always)]
    fn anchored(sums: __m512i, scale: f32, anchor: f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(sums), _mm512_set1_ps(scale), _mm512_set1_ps(anchor)) }
    }

    #[inline(always)]
    fn scaled(sums: __m512i, scale: f32) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let sums = _mm512_sub_epi32(sums, _mm512_set1_epi32(ANCHOR.to_bits() as i32));
            _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(scale))
        }
    }

    #[inline(always)]
    fn zero() -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_load_ps(at) }
    }

    #[inline(always)]
    unsafe fn store(floats: __m512, at: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm512_store_ps(at, floats) }
    }

    #[inline(always)]
    fn plus(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn add_product(sum: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    fn take_product(sum: __m512, a: f32, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fnmadd_ps(_mm512_set1_ps(a), b, sum) }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
}
