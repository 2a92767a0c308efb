//! Four tokens side by side, in NEON with `sdot`.

use std::arch::aarch64::*;

use super::thirty_two::sdot;
use crate::beside::{Ahead, Beside};
use crate::tile::run;
use crate::tiles::{ANCHOR, Lane, ROWS, Rows, Tokens};

/// A register of 128 bits.
pub(super) struct FourTokens;

// SAFETY (of the blocks below): every aarch64 has NEON, and this type is used only where the CPU has the dot products
// of ARMv8.2; what may be read or written at a pointer is the caller's promise.
impl Beside for FourTokens {
    type Sums = int32x4_t;
    type Floats = float32x4_t;
    type Codes = int8x16_t;
    type Quad = int8x16_t;

    const TOKENS: usize = 4;
    const OFFSET: u8 = 0;

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
                    run::<Self, GROUPS, MINIMA, ANCHORED, 3, 4>(rows, first, x, which, ahead, add, out)
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn sums(at: *const i32) -> int32x4_t {
        // SAFETY: as above.
        unsafe { vld1q_s32(at) }
    }

    #[inline(always)]
    unsafe fn codes(at: *const i8) -> int8x16_t {
        // SAFETY: as above.
        unsafe { vld1q_s8(at.cast()) }
    }

    #[inline(always)]
    unsafe fn quad(at: *const u8) -> int8x16_t {
        // SAFETY: as above.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(*at.cast::<i32>())) }
    }

    #[inline(always)]
    fn dot(sums: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
        // SAFETY: as above.
        unsafe { sdot(sums, x, w) }
    }

    #[inline(always)]
    fn anchored(sums: int32x4_t, scale: f32, anchor: f32) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vfmaq_f32(vdupq_n_f32(anchor), vreinterpretq_f32_s32(sums), vdupq_n_f32(scale)) }
    }

    #[inline(always)]
    fn scaled(sums: int32x4_t, scale: f32) -> float32x4_t {
        // SAFETY: as above.
        unsafe {
            let sums = vsubq_s32(sums, vdupq_n_s32(ANCHOR.to_bits() as i32));
            vmulq_f32(vcvtq_f32_s32(sums), vdupq_n_f32(scale))
        }
    }

    #[inline(always)]
    fn zero() -> float32x4_t {
        // SAFETY: as above.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vld1q_f32(at) }
    }

    #[inline(always)]
    unsafe fn store(floats: float32x4_t, at: *mut f32) {
        // SAFETY: as above.
        unsafe { vst1q_f32(at, floats) }
    }

    #[inline(always)]
    fn plus(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn add_product(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vfmaq_f32(sum, a, b) }
    }

    #[inline(always)]
    fn take_product(sum: float32x4_t, a: f32, b: float32x4_t) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vfmsq_f32(sum, vdupq_n_f32(a), b) }
    }

    /// The hardware fetches what is read in order.
    #[inline(always)]
    fn prefetch(_: *const u8) {}
}
