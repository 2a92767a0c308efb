//! The twelve bytes that spell eight steps and eight minima of six bits, in Q4_K and Q5_K.

use std::arch::x86_64::*;

/// `d` times the eight steps, and `dmin` times the eight minima, of a block that begins with both halves and the
/// twelve bytes.
///
/// # Safety
/// The CPU has the instruction set of this folder; 16 bytes lie at `at`.
#[inline(always)]
pub(super) unsafe fn scales_and_minima(at: *const u8) -> (__m512, __m512) {
    // SAFETY: the caller's promise.
    unsafe {
        let word = |i: usize| at.add(4 * i).cast::<u32>().read_unaligned();
        let [halves, a, b, c] = [word(0), word(1), word(2), word(3)];
        let steps = pair(a & 0x3f3f_3f3f, c & 0x0f0f_0f0f | (a >> 6 & 0x0303_0303) << 4);
        let minima = pair(b & 0x3f3f_3f3f, c >> 4 & 0x0f0f_0f0f | (b >> 6 & 0x0303_0303) << 4);
        let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(halves as i32));
        let times = |factor: __m256, eight: i64| {
            let numbers = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(eight)));
            _mm512_castps256_ps512(_mm256_mul_ps(factor, numbers))
        };
        (
            times(_mm256_broadcastss_ps(factors), steps),
            times(_mm256_broadcastss_ps(_mm_movehdup_ps(factors)), minima),
        )
    }
}

fn pair(low: u32, high: u32) -> i64 {
    i64::from(low) | i64::from(high) << 32
}
