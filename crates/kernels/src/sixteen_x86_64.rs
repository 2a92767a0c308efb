//! Sixteen floats in AVX2 and AVX-512 registers.

use std::arch::x86_64::{
    __m256, __m512, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_set1_ps, _mm256_storeu_ps, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_storeu_ps,
};

use crate::sixteen::{SIXTEEN, Sixteen};

/// Two registers of eight. Used only inside functions compiled for AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct TwoOfAvx2(__m256, __m256);

/// One register. Used only inside functions compiled for AVX-512 F.
#[derive(Clone, Copy)]
pub(crate) struct OneOfAvx512(__m512);

impl Sixteen for TwoOfAvx2 {
    const MANY: bool = false;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is used only where its instruction set is enabled.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as in `splat`; that the floats may be read is the caller's duty.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `splat`; that the floats may be written is the caller's duty.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }

    #[inline(always)]
    fn of_halves(halves: &[u16; SIXTEEN]) -> Self {
        let (low, high) = (halves.as_ptr(), halves[8..].as_ptr());
        // SAFETY: as in `splat`; each load reads eight of the sixteen halves.
        unsafe {
            Self(_mm256_cvtph_ps(_mm_loadu_si128(low.cast())), _mm256_cvtph_ps(_mm_loadu_si128(high.cast())))
        }
    }
}

impl Sixteen for OneOfAvx512 {
    const MANY: bool = true;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is used only where its instruction set is enabled.
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as in `splat`; that the floats may be read is the caller's duty.
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `splat`; that the floats may be written is the caller's duty.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    fn of_halves(halves: &[u16; SIXTEEN]) -> Self {
        // SAFETY: as in `splat`; the load reads the sixteen halves.
        unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()))) }
    }
}
