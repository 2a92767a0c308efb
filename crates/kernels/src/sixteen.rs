//! Sixteen floats side by side, each with a sum of its own.
//!
//! Where many sums run at once there is nothing to fold: every sum takes its products one after another, fused, in its
//! own lane. So the order of a sum is that of the plain loop, on every instruction set, and registers hold as many sums
//! as there are.

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

    /// The floats equal to these halves.
    fn of_halves(halves: &[u16; SIXTEEN]) -> Self;
}

impl Sixteen for [f32; SIXTEEN] {
    const MANY: bool = false;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; SIXTEEN]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's duty; an array of floats has the alignment of one.
        unsafe { from.cast::<Self>().read() }
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
    fn of_halves(halves: &[u16; SIXTEEN]) -> Self {
        halves.map(quant::float::f16_to_f32)
    }
}
