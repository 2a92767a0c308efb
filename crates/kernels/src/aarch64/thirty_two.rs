//! Thirty-two bytes and eight floats in NEON registers, with `sdot`.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::thirty_two::{Eight, ThirtyTwo};

/// Two registers. Used only inside functions compiled for NEON with its dot products.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(uint8x16_t, uint8x16_t);

/// Two registers.
#[derive(Clone, Copy)]
pub(crate) struct EightOfNeon(float32x4_t, float32x4_t);

// SAFETY (of the blocks below): every aarch64 has NEON, and the types are used only where it has dot products; what may
// be read at a pointer is the caller's promise.
impl ThirtyTwo for Bytes {
    type Products = [int32x4_t; 2];
    type Sums = [int32x4_t; 2];
    type Floats = EightOfNeon;

    const ANY_UNSIGNED: bool = false;

    #[inline(always)]
    fn splat(byte: u8) -> Self {
        // SAFETY: as above.
        let bytes = unsafe { vdupq_n_u8(byte) };
        Self(bytes, bytes)
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe { Self(vld1q_u8(at), vld1q_u8(at.add(16))) }
    }

    #[inline(always)]
    unsafe fn nibbles(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let bytes = vld1q_u8(at);
            Self(vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn nibbles_in_order(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let Self(low, high) = Self::nibbles(at);
            Self(vzip1q_u8(low, high), vzip2q_u8(low, high))
        }
    }

    #[inline(always)]
    fn of_words([a, b, c, d]: [u64; 4]) -> Self {
        // SAFETY: as above.
        unsafe {
            let (a, b) = (vcreate_u8(a), vcreate_u8(b));
            let (c, d) = (vcreate_u8(c), vcreate_u8(d));
            Self(vcombine_u8(a, b), vcombine_u8(c, d))
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vaddq_u8(self.0, other.0), vaddq_u8(self.1, other.1)) }
    }

    #[inline(always)]
    fn negative(self, minus: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (veorq_u8(self.0, minus.0), veorq_u8(self.1, minus.1));
            Self(vsubq_u8(low, minus.0), vsubq_u8(high, minus.1))
        }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vandq_u8(self.0, other.0), vandq_u8(self.1, other.1)) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vorrq_u8(self.0, other.0), vorrq_u8(self.1, other.1)) }
    }

    #[inline(always)]
    fn down(self, bits: u32) -> Self {
        // SAFETY: as above.
        unsafe {
            let places = vdupq_n_s8(-(bits as i8));
            Self(vshlq_u8(self.0, places), vshlq_u8(self.1, places))
        }
    }

    #[inline(always)]
    fn up(self, bits: u32) -> Self {
        // SAFETY: as above.
        unsafe {
            let places = vdupq_n_s8(bits as i8);
            Self(vshlq_u8(self.0, places), vshlq_u8(self.1, places))
        }
    }

    #[inline(always)]
    fn having(self, bits: u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let bits = vdupq_n_u8(bits);
            Self(vtstq_u8(self.0, bits), vtstq_u8(self.1, bits))
        }
    }

    #[inline(always)]
    fn of_bits(bits: u32) -> Self {
        let [a, b, c, d] = bits.to_le_bytes();
        // SAFETY: as above.
        unsafe {
            let each = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
            let low = vcombine_u8(vdup_n_u8(a), vdup_n_u8(b));
            let high = vcombine_u8(vdup_n_u8(c), vdup_n_u8(d));
            Self(vtstq_u8(low, each), vtstq_u8(high, each))
        }
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16]) -> Self {
        // SAFETY: as above; the load reads the whole table.
        unsafe {
            let table = vld1q_u8(table.as_ptr().cast());
            Self(vqtbl1q_u8(table, self.0), vqtbl1q_u8(table, self.1))
        }
    }

    #[inline(always)]
    unsafe fn products(self, x: *const i8, _: bool) -> [int32x4_t; 2] {
        // SAFETY: as above.
        unsafe {
            let zero = vdupq_n_s32(0);
            let (first, second) = (vreinterpretq_s8_u8(self.0), vreinterpretq_s8_u8(self.1));
            [sdot(zero, first, vld1q_s8(x)), sdot(zero, second, vld1q_s8(x.add(16)))]
        }
    }

    #[inline(always)]
    fn turned([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        let (first, last) = (quads_of_four([a.0, b.0, c.0, d.0]), quads_of_four([e.0, f.0, g.0, h.0]));
        let (more, most) = (quads_of_four([a.1, b.1, c.1, d.1]), quads_of_four([e.1, f.1, g.1, h.1]));
        let mut turned = [Self::splat(0); 8];
        for i in 0..4 {
            (turned[i], turned[i + 4]) = (Self(first[i], last[i]), Self(more[i], most[i]));
        }
        turned
    }

    #[inline(always)]
    fn starts(sixteen: &[i32; 16], half: usize, raised: Option<u32>) -> [int32x4_t; 2] {
        // SAFETY: as above; the loads read half of sixteen.
        unsafe {
            let Some(bits) = raised else { return [vdupq_n_s32(0); 2] };
            let (at, places) = (sixteen.as_chunks::<8>().0[half].as_ptr(), vdupq_n_s32(bits as i32));
            [vshlq_s32(vld1q_s32(at), places), vshlq_s32(vld1q_s32(at.add(4)), places)]
        }
    }

    #[inline(always)]
    unsafe fn add_products(self, x: *const i8, _: bool, sums: [int32x4_t; 2]) -> [int32x4_t; 2] {
        // SAFETY: as above.
        unsafe {
            let (first, second) = (vreinterpretq_s8_u8(self.0), vreinterpretq_s8_u8(self.1));
            [sdot(sums[0], first, vld1q_s8(x)), sdot(sums[1], second, vld1q_s8(x.add(16)))]
        }
    }

    #[inline(always)]
    fn sums_plus(a: [int32x4_t; 2], b: [int32x4_t; 2]) -> [int32x4_t; 2] {
        // SAFETY: as above.
        unsafe { [vaddq_s32(a[0], b[0]), vaddq_s32(a[1], b[1])] }
    }

    #[inline(always)]
    fn sums_of_32(products: [[int32x4_t; 2]; 8]) -> [int32x4_t; 2] {
        let [a, b, c, d, e, f, g, h] = products;
        // SAFETY: as above.
        unsafe {
            let (a, b) = (vaddq_s32(a[0], a[1]), vaddq_s32(b[0], b[1]));
            let (c, d) = (vaddq_s32(c[0], c[1]), vaddq_s32(d[0], d[1]));
            let (e, f) = (vaddq_s32(e[0], e[1]), vaddq_s32(f[0], f[1]));
            let (g, h) = (vaddq_s32(g[0], g[1]), vaddq_s32(h[0], h[1]));
            [four_sums([a, b, c, d]), four_sums([e, f, g, h])]
        }
    }

    #[inline(always)]
    fn sums_of_16([a, b, c, d]: [[int32x4_t; 2]; 4]) -> [int32x4_t; 2] {
        [four_sums([a[0], a[1], b[0], b[1]]), four_sums([c[0], c[1], d[0], d[1]])]
    }

    #[inline(always)]
    fn floats(sums: [int32x4_t; 2]) -> EightOfNeon {
        // SAFETY: as above.
        unsafe { EightOfNeon(vcvtq_f32_s32(sums[0]), vcvtq_f32_s32(sums[1])) }
    }

    #[inline(always)]
    unsafe fn floats_less(sums: [int32x4_t; 2], from: *const i32, bits: u32) -> EightOfNeon {
        // SAFETY: as above.
        unsafe {
            let places = vdupq_n_s32(bits as i32);
            let (low, high) = (vld1q_s32(from), vld1q_s32(from.add(4)));
            let (low, high) = (vshlq_s32(low, places), vshlq_s32(high, places));
            Self::floats([vsubq_s32(sums[0], low), vsubq_s32(sums[1], high)])
        }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, readonly, preserves_flags)) };
    }
}

/// `sum` plus the products of bytes, four to a lane.
///
/// # Safety
/// The CPU has the dot products of ARMv8.2, and this is inlined into a function compiled for them.
#[inline(always)]
pub(super) unsafe fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Of four registers the first four bytes of each, then the next four of each, and so on.
#[inline(always)]
fn quads_of_four(registers: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let [a, b, c, d] = registers.map(|register| vreinterpretq_u32_u8(register));
        let (low, high) = (vzip1q_u32(a, c), vzip2q_u32(a, c));
        let (more_low, more_high) = (vzip1q_u32(b, d), vzip2q_u32(b, d));
        [
            vreinterpretq_u8_u32(vzip1q_u32(low, more_low)),
            vreinterpretq_u8_u32(vzip2q_u32(low, more_low)),
            vreinterpretq_u8_u32(vzip1q_u32(high, more_high)),
            vreinterpretq_u8_u32(vzip2q_u32(high, more_high)),
        ]
    }
}

/// The sum of each of four registers.
#[inline(always)]
fn four_sums([a, b, c, d]: [int32x4_t; 4]) -> int32x4_t {
    // SAFETY: every aarch64 has NEON.
    unsafe { vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)) }
}

impl EightOfNeon {
    /// The floats equal to eight halves.
    #[inline(always)]
    fn widened(halves: uint16x8_t) -> Self {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            let halves = vreinterpretq_f16_u16(halves);
            Self(vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves))
        }
    }
}

impl Eight for EightOfNeon {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: every aarch64 has NEON, here as below; what may be read at a pointer is the caller's promise.
        let four = unsafe { vdupq_n_f32(value) };
        Self(four, four)
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { Self(vld1q_f32(at), vld1q_f32(at.add(4))) }
    }

    #[inline(always)]
    unsafe fn of_half(at: *const u8) -> Self {
        // SAFETY: as above.
        Self::widened(unsafe { vdupq_n_u16(half(at)) })
    }

    #[inline(always)]
    unsafe fn of_two_halves(first: *const u8, second: *const u8) -> Self {
        // SAFETY: as above.
        Self::widened(unsafe { vcombine_u16(vdup_n_u16(half(first)), vdup_n_u16(half(second))) })
    }

    #[inline(always)]
    unsafe fn of_halves<const APART: usize>(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let mut halves = vdupq_n_u16(half(at));
            halves = vsetq_lane_u16::<1>(half(at.add(APART)), halves);
            halves = vsetq_lane_u16::<2>(half(at.add(2 * APART)), halves);
            halves = vsetq_lane_u16::<3>(half(at.add(3 * APART)), halves);
            halves = vsetq_lane_u16::<4>(half(at.add(4 * APART)), halves);
            halves = vsetq_lane_u16::<5>(half(at.add(5 * APART)), halves);
            halves = vsetq_lane_u16::<6>(half(at.add(6 * APART)), halves);
            halves = vsetq_lane_u16::<7>(half(at.add(7 * APART)), halves);
            Self::widened(halves)
        }
    }

    #[inline(always)]
    unsafe fn of_bfloats(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let halves = vreinterpretq_u16_u8(vld1q_u8(at));
            let (low, high) = (vshll_n_u16::<16>(vget_low_u16(halves)), vshll_high_n_u16::<16>(halves));
            Self(vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high))
        }
    }

    #[inline(always)]
    fn of_bytes(bytes: u64) -> Self {
        let (low, high) = wide(bytes);
        // SAFETY: as above.
        unsafe { Self(vcvtq_f32_u32(low), vcvtq_f32_u32(high)) }
    }

    #[inline(always)]
    fn of_signed_bytes(bytes: u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let words = vmovl_s8(vcreate_s8(bytes));
            let (low, high) = (vmovl_s16(vget_low_s16(words)), vmovl_high_s16(words));
            Self(vcvtq_f32_s32(low), vcvtq_f32_s32(high))
        }
    }

    #[inline(always)]
    fn of_exponents(bytes: u64) -> Self {
        let (low, high) = wide(bytes);
        Self(exponents(low), exponents(high))
    }

    #[inline(always)]
    fn even_and_odd([a, b]: [Self; 2]) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            [
                Self(vuzp1q_f32(a.0, a.1), vuzp1q_f32(b.0, b.1)),
                Self(vuzp2q_f32(a.0, a.1), vuzp2q_f32(b.0, b.1)),
            ]
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vfmaq_f32(self.0, a.0, b.0), vfmaq_f32(self.1, a.1, b.1)) }
    }

    #[inline(always)]
    fn take_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vfmsq_f32(self.0, a.0, b.0), vfmsq_f32(self.1, a.1, b.1)) }
    }

    #[inline(always)]
    fn fold(self) -> f32 {
        // SAFETY: as above.
        unsafe {
            let four = vaddq_f32(self.0, self.1);
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }
}

/// The bytes of a word, the lowest first.
#[inline(always)]
fn wide(bytes: u64) -> (uint32x4_t, uint32x4_t) {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let words = vmovl_u8(vcreate_u8(bytes));
        (vmovl_u16(vget_low_u16(words)), vmovl_high_u16(words))
    }
}

/// 2^(bits − 128).
#[inline(always)]
fn exponents(bits: uint32x4_t) -> float32x4_t {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let (bits, one) = (vreinterpretq_s32_u32(bits), vdupq_n_s32(1));
        let normal = vshlq_n_s32::<23>(vsubq_s32(bits, one));
        // 0 and 1 are denormal: 2^-128 and 2^-127, above what `normal` makes of them.
        let least = vshlq_s32(vdupq_n_s32(0x20_0000), vminq_s32(bits, one));
        vreinterpretq_f32_s32(vmaxq_s32(normal, least))
    }
}

/// The bits of the half at `at`.
#[inline(always)]
unsafe fn half(at: *const u8) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { at.cast::<u16>().read_unaligned() }
}
