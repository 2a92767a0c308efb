//! How the codes of a strip come into registers.

use crate::thirty_two::ThirtyTwo;

/// Where the bytes of a strip lie.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub values: *const u8,
    /// Of formats whose scales lie apart.
    pub scales: *const u8,
}

/// What the codes of a format are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Codes {
    /// Signed bytes.
    Signed,
    /// Less than 128.
    Unsigned,
    /// Less than 128, and too large by 1 shifted left by this.
    Raised(u32),
}

/// Of groups of 32, only the first eight mean anything.
pub(super) struct Factors<V: ThirtyTwo> {
    pub scales: [V::Floats; 2],
    /// Not read where the format has none.
    pub minima: [V::Floats; 2],
}

impl<V: ThirtyTwo> Factors<V> {
    /// Of eight groups without minima.
    #[inline(always)]
    pub(super) fn eight(scales: V::Floats) -> Self {
        Self::sixteen([scales, scales])
    }

    /// Of sixteen groups without minima.
    #[inline(always)]
    pub(super) fn sixteen(scales: [V::Floats; 2]) -> Self {
        Self { scales, minima: scales }
    }

    /// Of eight groups.
    #[inline(always)]
    pub(super) fn with_minima(scales: V::Floats, minima: V::Floats) -> Self {
        Self { scales: [scales, scales], minima: [minima, minima] }
    }
}

/// A format's way into registers.
pub(super) trait Unpack {
    /// Whether scales belong to 16 columns, rather than 32.
    const SIXTEEN: bool = false;
    /// Whether groups have minima.
    const MINIMA: bool = false;
    /// What `codes` gives.
    const CODES: Codes;
    /// Bytes of a strip in the value plane; 0 where strips are spelled to memory first.
    const BYTES: usize;
    /// Bytes of a strip in the scale plane.
    const SCALE_BYTES: usize = 0;

    /// Columns 64 · `quarter`.. of the strip at `at`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`, and the bytes of a strip lie at `at`.
    unsafe fn codes<V: ThirtyTwo>(at: Place, quarter: usize) -> [V; 2];

    /// Its scales and minima.
    ///
    /// # Safety
    /// As [`Unpack::codes`].
    unsafe fn factors<V: ThirtyTwo>(at: Place) -> Factors<V>;
}

/// No way of its own, for any format: its strips are spelled to memory first.
pub(super) struct Spelled<const SIXTEEN: bool, const MINIMA: bool>;

impl<const SIXTEEN: bool, const MINIMA: bool> Unpack for Spelled<SIXTEEN, MINIMA> {
    const SIXTEEN: bool = SIXTEEN;
    const MINIMA: bool = MINIMA;
    const CODES: Codes = Codes::Signed;
    const BYTES: usize = 0;

    unsafe fn codes<V: ThirtyTwo>(_: Place, _: usize) -> [V; 2] {
        unreachable!("a format without strips of its own")
    }

    unsafe fn factors<V: ThirtyTwo>(_: Place) -> Factors<V> {
        unreachable!("a format without strips of its own")
    }
}

/// Eight bytes as a word, the first the lowest.
///
/// # Safety
/// They may be read at `at`.
#[inline(always)]
pub(super) unsafe fn eight_bytes(at: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    u64::from_le(unsafe { at.cast::<u64>().read_unaligned() })
}

/// Four bytes as a word.
///
/// # Safety
/// As for [`eight_bytes`].
#[inline(always)]
pub(super) unsafe fn word(at: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from_le(unsafe { at.cast::<u32>().read_unaligned() })
}

/// Two bytes as a number.
///
/// # Safety
/// As for [`eight_bytes`].
#[inline(always)]
pub(super) unsafe fn two_bytes(at: *const u8) -> u16 {
    // SAFETY: the caller's promise.
    u16::from_le(unsafe { at.cast::<u16>().read_unaligned() })
}

/// The eight nibbles of a word, a byte each, the lowest first.
#[inline(always)]
pub(super) fn nibbles_of(word: u32) -> u64 {
    let word = u64::from(word);
    let word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    let word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f
}
