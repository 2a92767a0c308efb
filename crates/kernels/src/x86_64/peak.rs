//! Loops that do nothing but multiply and add, in registers: what a processor can do at most.

use std::arch::x86_64::*;
use std::hint::black_box;

/// Sums in flight: enough to hide the latency of two units.
const SUMS: usize = 12;

/// Bytes multiplied and added in AVX2; how many.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn codes_avx2(rounds: u64) -> u64 {
    let (a, b, ones) = (_mm256_set1_epi8(3), _mm256_set1_epi8(black_box(5)), _mm256_set1_epi16(1));
    let mut sums = [_mm256_setzero_si256(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            // Depends on the sum, so that it is done in every round.
            let pairs = _mm256_maddubs_epi16(_mm256_xor_si256(a, *sum), b);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 32
}

/// Bytes multiplied and added in AVX-VNNI; how many.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(crate) fn codes_avx_vnni(rounds: u64) -> u64 {
    let (a, b) = (_mm256_set1_epi8(3), _mm256_set1_epi8(black_box(5)));
    let mut sums = [_mm256_setzero_si256(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_dpbusd_avx_epi32(*sum, a, b);
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 32
}

/// Floats multiplied and added in AVX2; how many.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn floats_avx2(rounds: u64) -> u64 {
    let (a, b) = (_mm256_set1_ps(0.5), _mm256_set1_ps(black_box(0.25)));
    let mut sums = [_mm256_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(a, *sum, b);
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 8
}

/// Bytes multiplied and added in AVX-512; how many.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
pub(crate) fn codes_avx512(rounds: u64) -> u64 {
    let (a, b) = (_mm512_set1_epi8(3), _mm512_set1_epi8(black_box(5)));
    let mut sums = [_mm512_setzero_si512(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 64
}

/// Floats multiplied and added in AVX-512; how many.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
pub(crate) fn floats_avx512(rounds: u64) -> u64 {
    let (a, b) = (_mm512_set1_ps(0.5), _mm512_set1_ps(black_box(0.25)));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(a, *sum, b);
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 16
}
