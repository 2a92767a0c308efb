//! The IQ1, IQ2 and IQ3 formats: entries of a codebook, looked up one by one, and signs from masks of bits.

use quant::grids::{IQ1, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS};
use quant::signs::even;

use super::unpack::{Codes, Factors, Place, Unpack, eight_bytes, nibbles_of, two_bytes, word};
use crate::thirty_two::{Eight, ThirtyTwo};

pub(super) struct Iq1S;
pub(super) struct Iq1M;
pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

impl Unpack for Iq2Xxs {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 66;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; a half, then eight bytes for each 32 columns.
        unsafe {
            let at = at.values.add(2 + 16 * quarter);
            [Self::group(at), Self::group(at.add(8))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above.
        unsafe {
            let mut steps = 0;
            for group in 0..8 {
                steps |= u64::from(word(at.values.add(6 + 8 * group)) >> 28) << (8 * group);
            }
            Factors::eight(levels(V::Floats::of_half(at.values), steps, 0.25))
        }
    }
}

impl Iq2Xxs {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let entry = |k: usize| bytes_of(&IQ2_XXS[usize::from(*at.add(k))]);
            let magnitudes = V::of_words([entry(0), entry(1), entry(2), entry(3)]);
            magnitudes.negative(V::of_bits(even_signs(word(at.add(4)))))
        }
    }
}

impl Unpack for Iq2Xs {
    const SIXTEEN: bool = true;
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 74;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise; a half, then two bytes for each eight columns.
        unsafe {
            let at = at.values.add(2 + 16 * quarter);
            [Self::group(at), Self::group(at.add(8))]
        }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; the block ends with sixteen nibbles.
        unsafe { sixteen_levels(at, 66) }
    }
}

impl Iq2Xs {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        let words = unsafe { eight_bytes(at) };
        let (mut entries, mut minus) = ([0; 4], 0);
        for (k, entry) in entries.iter_mut().enumerate() {
            let word = (words >> (16 * k)) as usize & 0xffff;
            *entry = bytes_of(&IQ2_XS[word & 511]);
            minus |= u32::from(even(word >> 9)) << (8 * k);
        }
        V::of_words(entries).negative(V::of_bits(minus))
    }
}

impl Unpack for Iq2S {
    const SIXTEEN: bool = true;
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 82;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [Self::group(at.values, 2 * quarter), Self::group(at.values, 2 * quarter + 1)] }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; the block ends with sixteen nibbles.
        unsafe { sixteen_levels(at, 74) }
    }
}

impl Iq2S {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8, group: usize) -> V {
        // SAFETY: the caller's promise; a byte of index and one of signs for each eight, and two more bits of index.
        unsafe {
            let (low, upper) = (word(at.add(2 + 4 * group)), usize::from(*at.add(66 + group)));
            let mut entries = [0; 4];
            for (k, entry) in entries.iter_mut().enumerate() {
                let index = (low >> (8 * k)) as usize & 255 | (upper >> (2 * k) & 3) << 8;
                *entry = bytes_of(&IQ2_S[index]);
            }
            V::of_words(entries).negative(V::of_bits(word(at.add(34 + 4 * group))))
        }
    }
}

impl Unpack for Iq3Xxs {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 98;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [Self::group(at.values, 2 * quarter), Self::group(at.values, 2 * quarter + 1)] }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; eight words end the block.
        unsafe {
            let mut steps = 0;
            for group in 0..8 {
                steps |= u64::from(word(at.values.add(66 + 4 * group)) >> 28) << (8 * group);
            }
            Factors::eight(levels(V::Floats::of_half(at.values), steps, 0.5))
        }
    }
}

impl Iq3Xxs {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8, group: usize) -> V {
        // SAFETY: the caller's promise; a byte of index for each four, and a word of signs for each 32.
        unsafe {
            let indices = eight_bytes(at.add(2 + 8 * group));
            let mut entries = [0; 4];
            for (k, entry) in entries.iter_mut().enumerate() {
                let first = (indices >> (16 * k)) as usize & 255;
                let second = (indices >> (16 * k + 8)) as usize & 255;
                *entry = fours(&IQ3_XXS[first], &IQ3_XXS[second]);
            }
            V::of_words(entries).negative(V::of_bits(even_signs(word(at.add(66 + 4 * group)))))
        }
    }
}

impl Unpack for Iq3S {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 110;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [Self::group(at.values, 2 * quarter), Self::group(at.values, 2 * quarter + 1)] }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; eight nibbles end the block.
        unsafe {
            let odd = V::Floats::of_bytes(2 * nibbles_of(word(at.values.add(106))) + ONES);
            Factors::eight(V::Floats::of_half(at.values).times(odd))
        }
    }
}

impl Iq3S {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8, group: usize) -> V {
        // SAFETY: the caller's promise; a byte of index for each four, then ninth bits, then signs.
        unsafe {
            let (low, ninth) = (eight_bytes(at.add(2 + 8 * group)), usize::from(*at.add(66 + group)));
            let index = |i: usize| (low >> (8 * i)) as usize & 255 | (ninth >> i & 1) << 8;
            let mut entries = [0; 4];
            for (k, entry) in entries.iter_mut().enumerate() {
                *entry = fours(&IQ3_S[index(2 * k)], &IQ3_S[index(2 * k + 1)]);
            }
            V::of_words(entries).negative(V::of_bits(word(at.add(74 + 4 * group))))
        }
    }
}

impl Unpack for Iq1S {
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 50;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [Self::group(at.values, 2 * quarter), Self::group(at.values, 2 * quarter + 1)] }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; a word of two bytes for each group ends the block.
        unsafe {
            let mut odd = ONES;
            for group in 0..8 {
                odd += u64::from(two_bytes(at.values.add(34 + 2 * group)) >> 12 & 7) << (8 * group + 1);
            }
            Factors::eight(eighths(V::Floats::of_half(at.values), odd))
        }
    }
}

impl Iq1S {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8, group: usize) -> V {
        // SAFETY: the caller's promise; a byte of index for each eight, three more bits of each in the word.
        unsafe {
            let low = word(at.add(2 + 4 * group));
            let upper = two_bytes(at.add(34 + 2 * group));
            let mut entries = [0; 4];
            for (k, entry) in entries.iter_mut().enumerate() {
                let index = (low >> (8 * k)) as usize & 255 | usize::from(upper >> (3 * k) & 7) << 8;
                *entry = bytes_of(&IQ1[index]);
            }
            V::of_words(entries).plus(V::splat(if upper & 0x8000 == 0 { 1 } else { 0xff }))
        }
    }
}

impl Unpack for Iq1M {
    const SIXTEEN: bool = true;
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 56;

    #[inline(always)]
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [Self::group(at.values, 2 * quarter), Self::group(at.values, 2 * quarter + 1)] }
    }

    #[inline(always)]
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V> {
        // SAFETY: as above; four words of four times three bits, and on top of each a nibble of a half, end the block.
        unsafe {
            let words = eight_bytes(at.values.add(48));
            let half =
                words >> 12 & 0x000f | words >> 24 & 0x00f0 | words >> 36 & 0x0f00 | words >> 48 & 0xf000;
            let half = (half as u16).to_le_bytes();
            let mut odd = [ONES; 2];
            for group in 0..16 {
                let step = words >> (group / 4 * 16 + group % 4 * 3) & 7;
                odd[group / 8] += step << (group % 8 * 8 + 1);
            }
            let d = V::Floats::of_half(half.as_ptr());
            Factors::sixteen([eighths(d, odd[0]), eighths(d, odd[1])])
        }
    }
}

impl Iq1M {
    #[inline(always)]
    unsafe fn group<V: ThirtyTwo>(at: *const u8, group: usize) -> V {
        // SAFETY: the caller's promise; a byte of index for each eight, then a nibble of three more bits and a sign.
        unsafe {
            let (low, upper) = (word(at.add(4 * group)), two_bytes(at.add(32 + 2 * group)));
            let (mut entries, mut added) = ([0; 4], [0; 4]);
            for k in 0..4 {
                let nibble = usize::from(upper >> (4 * k));
                entries[k] = bytes_of(&IQ1[(low >> (8 * k)) as usize & 255 | (nibble & 7) << 8]);
                added[k] = if nibble & 8 == 0 { ONES } else { u64::MAX };
            }
            V::of_words(entries).plus(V::of_words(added))
        }
    }
}

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// An entry as a word, its first value the lowest byte.
#[inline(always)]
fn bytes_of(entry: &[i8; 8]) -> u64 {
    u64::from_le_bytes(entry.map(|value| value as u8))
}

/// Two entries of four as a word.
#[inline(always)]
fn fours(first: &[i8; 4], second: &[i8; 4]) -> u64 {
    u64::from(four(first)) | u64::from(four(second)) << 32
}

/// An entry as a word. Read as one: byte by byte it takes twice the time.
#[inline(always)]
fn four(entry: &[i8; 4]) -> u32 {
    // SAFETY: the four bytes of the entry.
    unsafe { word(entry.as_ptr().cast()) }
}

/// The bytes of signs of a word's four seven-bit indices.
#[inline(always)]
fn even_signs(word: u32) -> u32 {
    let signs = |k: usize| even((word >> (7 * k)) as usize);
    u32::from_le_bytes([signs(0), signs(1), signs(2), signs(3)])
}

/// (d·(step + ½))·`unit`, in the order of the plain spelling.
#[inline(always)]
fn levels<F: Eight>(d: F, steps: u64, unit: f32) -> F {
    d.times(F::splat(0.5).plus(F::of_bytes(steps))).times(F::splat(unit))
}

/// (d·odd)·⅛.
#[inline(always)]
fn eighths<F: Eight>(d: F, odd: u64) -> F {
    d.times(F::of_bytes(odd)).times(F::splat(0.125))
}

/// The scales of a block that begins with a half and has sixteen nibbles of steps at `steps`.
#[inline(always)]
unsafe fn sixteen_levels<V: ThirtyTwo>(at: Place, steps: usize) -> Factors<V> {
    // SAFETY: the caller's promise.
    unsafe {
        let d = V::Floats::of_half(at.values);
        let (first, second) = (word(at.values.add(steps)), word(at.values.add(steps + 4)));
        Factors::sixteen([levels(d, nibbles_of(first), 0.25), levels(d, nibbles_of(second), 0.25)])
    }
}
