//! The lanes of a sum in NEON registers.

use std::arch::aarch64::{float32x4_t, vdupq_n_f32, vfmaq_f32, vld1q_f32, vst1q_f32};

use crate::lanes::{LANES, Lanes};

/// Eight registers of four.
#[derive(Clone, Copy)]
pub(crate) struct NeonLanes([float32x4_t; LANES / 4]);

impl Lanes for NeonLanes {
    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: every aarch64 has NEON.
        Self([unsafe { vdupq_n_f32(0.0) }; LANES / 4])
    }

    #[inline(always)]
    fn add_products(mut self, a: &[f32; LANES], b: &[f32; LANES]) -> Self {
        let (a, b) = (a.as_chunks::<4>().0, b.as_chunks::<4>().0);
        for (r, sum) in self.0.iter_mut().enumerate() {
            // SAFETY: as in `zero`; the loads read whole arrays of four floats.
            *sum = unsafe { vfmaq_f32(*sum, vld1q_f32(a[r].as_ptr()), vld1q_f32(b[r].as_ptr())) };
        }
        self
    }

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        for (lanes, sum) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(self.0) {
            // SAFETY: as in `zero`; the store writes one array of four floats.
            unsafe { vst1q_f32(lanes.as_mut_ptr(), sum) };
        }
        lanes
    }
}
