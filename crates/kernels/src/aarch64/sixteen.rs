//! Sixteen floats in NEON registers.

use std::arch::aarch64::*;

use crate::sixteen::Sixteen;

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
    fn times(mut self, other: Self) -> Self {
        for (r, four) in self.0.iter_mut().enumerate() {
            // SAFETY: as in `splat`.
            *four = unsafe { vmulq_f32(*four, other.0[r]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn of_halves(from: *const u16) -> Self {
        // SAFETY: as in `splat`; that the halves may be read is the caller's duty.
        unsafe { of_two([vld1q_u16(from), vld1q_u16(from.add(8))]) }
    }

    #[inline(always)]
    unsafe fn of_brains(from: *const u16) -> Self {
        // SAFETY: as in `of_halves`.
        unsafe {
            let (low, high) = (vld1q_u16(from), vld1q_u16(from.add(8)));
            Self([
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(low))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_high_u16(low))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(high))),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_high_u16(high))),
            ])
        }
    }

    #[inline(always)]
    unsafe fn of_e4m3(from: *const u8) -> [Self; 2] {
        // SAFETY: as in `of_halves`.
        unsafe {
            let (low, high) = (vld1q_u8(from), vld1q_u8(from.add(16)));
            [
                of_two([half_e4m3(vget_low_u8(low)), half_e4m3(vget_high_u8(low))]),
                of_two([half_e4m3(vget_low_u8(high)), half_e4m3(vget_high_u8(high))]),
            ]
        }
    }

    #[inline(always)]
    fn prefetch(_: *const u8) {}
}

/// The floats equal to sixteen f16.
#[inline(always)]
fn of_two([low, high]: [uint16x8_t; 2]) -> FourOfNeon {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let (low, high) = (vreinterpretq_f16_u16(low), vreinterpretq_f16_u16(high));
        FourOfNeon([
            vcvt_f32_f16(vget_low_f16(low)),
            vcvt_f32_f16(vget_high_f16(low)),
            vcvt_f32_f16(vget_low_f16(high)),
            vcvt_f32_f16(vget_high_f16(high)),
        ])
    }
}

/// Eight fp8 e4m3 as f16, of 2^-8 of their values.
#[inline(always)]
fn half_e4m3(codes: uint8x8_t) -> uint16x8_t {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        // Sign and magnitude, and between them a copy of the sign, which is cleared.
        let wide = vreinterpretq_s16_u16(vshll_n_u8::<8>(codes));
        let signed = vreinterpretq_u16_s16(vshrq_n_s16::<1>(wide));
        let halves = vandq_u16(signed, vdupq_n_u16(0xbf80));
        let nan = vceqq_u16(vandq_u16(halves, vdupq_n_u16(0x3f80)), vdupq_n_u16(0x3f80));
        vbslq_u16(nan, vdupq_n_u16(0x7e00), halves)
    }
}
