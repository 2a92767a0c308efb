//! Sixteen floats in AVX2 and AVX-512 registers.

use std::arch::x86_64::*;

use crate::sixteen::Sixteen;

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
    fn times(self, other: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn of_halves(from: *const u16) -> Self {
        // SAFETY: as in `splat`; that the halves may be read is the caller's duty.
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(8).cast()));
            Self(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
        }
    }

    #[inline(always)]
    unsafe fn of_brains(from: *const u16) -> Self {
        // SAFETY: as in `of_halves`.
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8).cast()));
            Self(
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            )
        }
    }

    #[inline(always)]
    unsafe fn of_e4m3(from: *const u8) -> [Self; 2] {
        // SAFETY: as in `of_halves`.
        unsafe { [sixteen_e4m3(from), sixteen_e4m3(from.add(16))] }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points; any x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
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
    fn times(self, other: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn of_halves(from: *const u16) -> Self {
        // SAFETY: as in `splat`; that the halves may be read is the caller's duty.
        unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn of_brains(from: *const u16) -> Self {
        // SAFETY: as in `of_halves`.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
        }
    }

    #[inline(always)]
    unsafe fn of_e4m3(from: *const u8) -> [Self; 2] {
        // SAFETY: as in `of_halves`.
        unsafe {
            let codes = _mm256_loadu_si256(from.cast());
            // Sign and magnitude, and between them a copy of the sign, which is cleared.
            let wide = _mm512_srai_epi16::<1>(_mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(codes)));
            let mut halves = _mm512_and_si512(wide, _mm512_set1_epi16(0xbf80_u16 as i16));
            let most = _mm256_set1_epi8(0x7f);
            let nan = _mm256_cmpeq_epi8_mask(_mm256_and_si256(codes, most), most);
            if nan != 0 {
                halves = _mm512_mask_mov_epi16(halves, nan, _mm512_set1_epi16(0x7e00));
            }
            [
                Self(_mm512_cvtph_ps(_mm512_castsi512_si256(halves))),
                Self(_mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(halves))),
            ]
        }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points; any x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
}

/// See [`Sixteen::of_e4m3`]; half of them.
///
/// # Safety
/// They may be read at `from`, and the CPU has AVX2 and F16C.
#[inline(always)]
unsafe fn sixteen_e4m3(from: *const u8) -> TwoOfAvx2 {
    // SAFETY: the caller's promise.
    unsafe {
        let wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast()));
        // Sign and magnitude, and between them a copy of the sign, which is cleared.
        let signed = _mm256_srai_epi16::<1>(_mm256_slli_epi16::<8>(wide));
        let halves = _mm256_and_si256(signed, _mm256_set1_epi16(0xbf80_u16 as i16));
        let most = _mm256_set1_epi16(0x7f);
        let nan = _mm256_cmpeq_epi16(_mm256_and_si256(wide, most), most);
        let halves = _mm256_blendv_epi8(halves, _mm256_set1_epi16(0x7e00), nan);
        TwoOfAvx2(
            _mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
            _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves)),
        )
    }
}
