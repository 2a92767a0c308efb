//! Thirty-two bytes and eight floats in AVX2 registers.

use std::arch::x86_64::*;

use crate::thirty_two::{Eight, ThirtyTwo};

/// One register. Used only inside functions compiled for AVX2, FMA and F16C, and with `VNNI` for AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<const VNNI: bool>(__m256i);

/// One register, used as [`Bytes`] are.
#[derive(Clone, Copy)]
pub(crate) struct EightOfAvx2(__m256);

// SAFETY (of the blocks below): these types are used only where their instruction sets are enabled; what may be read at
// a pointer is the caller's promise.
impl<const VNNI: bool> ThirtyTwo for Bytes<VNNI> {
    type Products = __m256i;
    type Sums = __m256i;
    type Floats = EightOfAvx2;

    const ANY_UNSIGNED: bool = VNNI;

    #[inline(always)]
    fn splat(byte: u8) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_epi8(byte as i8) })
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_loadu_si256(at.cast()) })
    }

    #[inline(always)]
    unsafe fn nibbles(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let bytes = _mm_loadu_si128(at.cast());
            let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
            Self(_mm256_and_si256(both, _mm256_set1_epi8(15)))
        }
    }

    #[inline(always)]
    unsafe fn nibbles_in_order(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            // A byte to a word, its high nibble to the word's high byte.
            let words = _mm256_cvtepu8_epi16(_mm_loadu_si128(at.cast()));
            let spread = _mm256_or_si256(words, _mm256_slli_epi16::<4>(words));
            Self(_mm256_and_si256(spread, _mm256_set1_epi8(15)))
        }
    }

    #[inline(always)]
    fn of_words([a, b, c, d]: [u64; 4]) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_setr_epi64x(a as i64, b as i64, c as i64, d as i64) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_add_epi8(self.0, other.0) })
    }

    #[inline(always)]
    fn negative(self, minus: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_sub_epi8(_mm256_xor_si256(self.0, minus.0), minus.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn down(self, bits: u32) -> Self {
        // SAFETY: as above.
        unsafe {
            let words = _mm256_srl_epi16(self.0, _mm_cvtsi32_si128(bits as i32));
            Self(_mm256_and_si256(words, _mm256_set1_epi8((0xff_u8 >> bits) as i8)))
        }
    }

    #[inline(always)]
    fn up(self, bits: u32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_sll_epi16(self.0, _mm_cvtsi32_si128(bits as i32)) })
    }

    #[inline(always)]
    fn having(self, bits: u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_set1_epi8(bits as i8);
            Self(_mm256_cmpeq_epi8(_mm256_and_si256(self.0, bits), bits))
        }
    }

    #[inline(always)]
    fn of_bits(bits: u32) -> Self {
        // SAFETY: as above.
        unsafe {
            let places =
                _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), places);
            let each = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            Self(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each))
        }
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16]) -> Self {
        // SAFETY: as above; the load reads the whole table.
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            Self(_mm256_shuffle_epi8(table, self.0))
        }
    }

    #[inline(always)]
    unsafe fn products(self, x: *const i8, signed: bool) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let x = _mm256_loadu_si256(x.cast());
            // |w| unsigned times x with w's sign.
            let (w, x) =
                if signed { (_mm256_abs_epi8(self.0), _mm256_sign_epi8(x, self.0)) } else { (self.0, x) };
            if VNNI {
                return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, x);
            }
            // Two products of at most 128 · 127 fit 16 bits.
            _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1))
        }
    }

    #[inline(always)]
    fn turned([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        let (first, last) = (quads_of_four([a.0, b.0, c.0, d.0]), quads_of_four([e.0, f.0, g.0, h.0]));
        let mut turned = [Self::splat(0); 8];
        for i in 0..4 {
            // SAFETY: as above.
            unsafe {
                turned[i] = Self(_mm256_permute2x128_si256::<0x20>(first[i], last[i]));
                turned[i + 4] = Self(_mm256_permute2x128_si256::<0x31>(first[i], last[i]));
            }
        }
        turned
    }

    #[inline(always)]
    fn starts(sixteen: &[i32; 16], half: usize, raised: Option<u32>) -> __m256i {
        // SAFETY: as above; the load reads half of sixteen.
        unsafe {
            match raised {
                Some(bits) => {
                    let starts = _mm256_loadu_si256(sixteen.as_chunks::<8>().0[half].as_ptr().cast());
                    _mm256_sll_epi32(starts, _mm_cvtsi32_si128(bits as i32))
                }
                None => _mm256_setzero_si256(),
            }
        }
    }

    #[inline(always)]
    unsafe fn add_products(self, x: *const i8, signed: bool, sums: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            if VNNI && !signed {
                return _mm256_dpbusd_avx_epi32(sums, self.0, _mm256_loadu_si256(x.cast()));
            }
            _mm256_add_epi32(sums, self.products(x, signed))
        }
    }

    #[inline(always)]
    fn sums_plus(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sums_of_32(products: [__m256i; 8]) -> __m256i {
        let [a, b, c, d, e, f, g, h] = products;
        let (first, second) = (quarters([a, b, c, d]), quarters([e, f, g, h]));
        // SAFETY: as above.
        unsafe {
            let low = _mm256_permute2x128_si256::<0x20>(first, second);
            _mm256_add_epi32(low, _mm256_permute2x128_si256::<0x31>(first, second))
        }
    }

    #[inline(always)]
    fn sums_of_16(products: [__m256i; 4]) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_permutevar8x32_epi32(quarters(products), order)
        }
    }

    #[inline(always)]
    fn floats(sums: __m256i) -> EightOfAvx2 {
        // SAFETY: as above.
        EightOfAvx2(unsafe { _mm256_cvtepi32_ps(sums) })
    }

    #[inline(always)]
    unsafe fn floats_less(sums: __m256i, from: *const i32, bits: u32) -> EightOfAvx2 {
        // SAFETY: as above.
        unsafe {
            let less = _mm256_loadu_si256(from.cast());
            let less = _mm256_sll_epi32(less, _mm_cvtsi32_si128(bits as i32));
            EightOfAvx2(_mm256_cvtepi32_ps(_mm256_sub_epi32(sums, less)))
        }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing, wherever it points; any x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
}

/// Of each half of four registers the first four bytes, then the next four of each, and so on.
#[inline(always)]
fn quads_of_four([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: as above.
    unsafe {
        let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (more_low, more_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(low, more_low),
            _mm256_unpackhi_epi64(low, more_low),
            _mm256_unpacklo_epi64(high, more_high),
            _mm256_unpackhi_epi64(high, more_high),
        ]
    }
}

/// The sums of each half of four registers: of all first halves, then of all second ones.
#[inline(always)]
fn quarters([a, b, c, d]: [__m256i; 4]) -> __m256i {
    // SAFETY: as above.
    unsafe { _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d)) }
}

impl Eight for EightOfAvx2 {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_loadu_ps(at) })
    }

    #[inline(always)]
    unsafe fn of_half(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_cvtph_ps(_mm_set1_epi16(half(at)))) }
    }

    #[inline(always)]
    unsafe fn of_two_halves(first: *const u8, second: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let (first, second) = (_mm_set1_epi16(half(first)), _mm_set1_epi16(half(second)));
            Self(_mm256_cvtph_ps(_mm_unpacklo_epi64(first, second)))
        }
    }

    #[inline(always)]
    unsafe fn of_halves<const APART: usize>(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            Self(_mm256_cvtph_ps(_mm_setr_epi16(
                half(at),
                half(at.add(APART)),
                half(at.add(2 * APART)),
                half(at.add(3 * APART)),
                half(at.add(4 * APART)),
                half(at.add(5 * APART)),
                half(at.add(6 * APART)),
                half(at.add(7 * APART)),
            )))
        }
    }

    #[inline(always)]
    unsafe fn of_bfloats(at: *const u8) -> Self {
        // SAFETY: as above.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }
    }

    #[inline(always)]
    fn of_bytes(bytes: u64) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes as i64)))) }
    }

    #[inline(always)]
    fn of_signed_bytes(bytes: u64) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(bytes as i64)))) }
    }

    #[inline(always)]
    fn of_exponents(bytes: u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes as i64));
            let normal = _mm256_slli_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(1)));
            // 0 and 1 are denormal: 2^-128 and 2^-127, above what `normal` makes of them.
            let least =
                _mm256_sllv_epi32(_mm256_set1_epi32(0x20_0000), _mm256_min_epi32(bits, _mm256_set1_epi32(1)));
            Self(_mm256_castsi256_ps(_mm256_max_epi32(normal, least)))
        }
    }

    #[inline(always)]
    fn even_and_odd([a, b]: [Self; 2]) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            // In words of two: the first two of each, then the last two of each.
            let (even, odd) = (_mm256_shuffle_ps::<0x88>(a.0, b.0), _mm256_shuffle_ps::<0xdd>(a.0, b.0));
            let (even, odd) = (_mm256_castps_pd(even), _mm256_castps_pd(odd));
            let (even, odd) = (_mm256_permute4x64_pd::<0xd8>(even), _mm256_permute4x64_pd::<0xd8>(odd));
            [Self(_mm256_castpd_ps(even)), Self(_mm256_castpd_ps(odd))]
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn take_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_fnmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn fold(self) -> f32 {
        // SAFETY: as above.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// The bits of the half at `at`.
#[inline(always)]
unsafe fn half(at: *const u8) -> i16 {
    // SAFETY: as above.
    unsafe { at.cast::<i16>().read_unaligned() }
}
