//! Sixteen floats in NEON registers.

use std::arch::aarch64::*;

use crate::sixteen::{SIXTEEN, Sixteen};

/// Four registers of four.
#[derive(Clone, Copy)]
pub(crate) struct FourOfNeon([float32x4_t; 4]);

impl Sixteen for FourOfNeon {
    const MANY: bool = false;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: every aarch64 has NEON.
        Self([unsafe { vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as in `splat`; that the floats may be read is the caller's duty.
        unsafe {
            Self([vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))])
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (r, four) in self.0.into_iter().enumerate() {
            // SAFETY: as in `splat`; that the floats may be written is the caller's duty.
            unsafe { vst1q_f32(to.add(4 * r), four) };
        }
    }

    #[inline(always)]
    fn add_product(mut self, a: Self, b: Self) -> Self {
        for (r, sum) in self.0.iter_mut().enumerate() {
            // SAFETY: as in `splat`.
            *sum = unsafe { vfmaq_f32(*sum, a.0[r], b.0[r]) };
        }
        self
    }

    #[inline(always)]
    fn of_halves(halves: &[u16; SIXTEEN]) -> Self {
        let four = halves.as_chunks::<4>().0;
        Self([widened(&four[0]), widened(&four[1]), widened(&four[2]), widened(&four[3])])
    }
}

/// The floats equal to four halves.
#[inline(always)]
fn widened(halves: &[u16; 4]) -> float32x4_t {
    // SAFETY: every aarch64 has NEON; the load reads the four halves.
    unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves.as_ptr()))) }
}
