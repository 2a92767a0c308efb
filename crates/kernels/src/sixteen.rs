//! Sixteen floats side by side, each with a sum of its own.
//!
//! Where many sums run at once there is nothing to fold: every sum takes its products one after another, fused, in its
//! own lane. So the order of a sum is that of the plain loop, on every instruction set, and registers hold as many sums
//! as there are.

use quant::float;

/// Floats side by side.
pub(crate) const SIXTEEN: usize = 16;

/// Sixteen floats, as an instruction set holds them. The array is the plain twin.
pub(crate) trait Sixteen: Copy {
    /// Registers are so many that a panel of four, times six rows of sums, fits them.
    const MANY: bool;

    /// The same value in every lane.
    fn splat(value: f32) -> Self;

    /// # Safety
    /// Sixteen floats may be read at `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// Sixteen floats may be written at `to`.
    unsafe fn store(self, to: *mut f32);

    /// Each lane plus a·b, fused.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// Each lane times that of `other`.
    fn times(self, other: Self) -> Self;

    /// The floats equal to sixteen f16.
    ///
    /// # Safety
    /// They may be read at `from`, wherever that is.
    unsafe fn of_halves(from: *const u16) -> Self;

    /// The floats equal to sixteen bf16.
    ///
    /// # Safety
    /// As for [`of_halves`](Self::of_halves).
    unsafe fn of_brains(from: *const u16) -> Self;

    /// 2^-8 of the numbers that 32 fp8 e4m3 are, which is exact. By way of f16, where their bits have a place and the bias is
    /// 8 larger: straight to f32 the small ones would be denormal, which costs a hundred cycles each.
    ///
    /// # Safety
    /// They may be read at `from`.
    unsafe fn of_e4m3(from: *const u8) -> [Self; 2];

    /// Asks for what lies at `at` to come to the first-level cache, be it there or not.
    fn prefetch(at: *const u8);
}

impl Sixteen for [f32; SIXTEEN] {
    const MANY: bool = false;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; SIXTEEN]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's duty.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    fn add_product(mut self, a: Self, b: Self) -> Self {
        for l in 0..SIXTEEN {
            self[l] = a[l].mul_add(b[l], self[l]);
        }
        self
    }

    #[inline(always)]
    fn times(mut self, other: Self) -> Self {
        for l in 0..SIXTEEN {
            self[l] *= other[l];
        }
        self
    }

    #[inline(always)]
    unsafe fn of_halves(from: *const u16) -> Self {
        // SAFETY: the caller's duty.
        unsafe { from.cast::<[u16; SIXTEEN]>().read_unaligned() }.map(float::f16_to_f32)
    }

    #[inline(always)]
    unsafe fn of_brains(from: *const u16) -> Self {
        // SAFETY: the caller's duty.
        unsafe { from.cast::<[u16; SIXTEEN]>().read_unaligned() }.map(float::bf16_to_f32)
    }

    #[inline(always)]
    unsafe fn of_e4m3(from: *const u8) -> [Self; 2] {
        // SAFETY: the caller's duty.
        let [low, high] = unsafe { from.cast::<[[u8; SIXTEEN]; 2]>().read() };
        [low.map(|code| float::e4m3_to_f32(code) / 256.0), high.map(|code| float::e4m3_to_f32(code) / 256.0)]
    }

    #[inline(always)]
    fn prefetch(_: *const u8) {}
}
