//! The lanes of a sum in AVX2 and AVX-512 registers.

use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use crate::lanes::{LANES, Lanes};

/// Four registers of eight. Used only inside functions compiled for AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2([__m256; 4]);

/// Two registers of sixteen. Used only inside functions compiled for AVX-512 F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512([__m512; 2]);

/// Writes [`Lanes`] for registers of `$width` floats.
macro_rules! lanes_in_registers {
    ($lanes:ident, $width:literal, $zero:ident, $load:ident, $fma:ident, $store:ident) => {
        impl Lanes for $lanes {
            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: this type is used only where its instruction set is enabled.
                Self([unsafe { $zero() }; LANES / $width])
            }

            #[inline(always)]
            fn add_products(mut self, a: &[f32; LANES], b: &[f32; LANES]) -> Self {
                let (a, b) = (a.as_chunks::<$width>().0, b.as_chunks::<$width>().0);
                for (r, sum) in self.0.iter_mut().enumerate() {
                    // SAFETY: as in `zero`; the loads read whole arrays of `$width` floats.
                    *sum = unsafe { $fma($load(a[r].as_ptr()), $load(b[r].as_ptr()), *sum) };
                }
                self
            }

            #[inline(always)]
            fn to_array(self) -> [f32; LANES] {
                let mut lanes = [0.0; LANES];
                for (lanes, sum) in lanes.as_chunks_mut::<$width>().0.iter_mut().zip(self.0) {
                    // SAFETY: as in `zero`; the store writes one array of `$width` floats.
                    unsafe { $store(lanes.as_mut_ptr(), sum) };
                }
                lanes
            }
        }
    };
}

lanes_in_registers!(Avx2, 8, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
lanes_in_registers!(Avx512, 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
