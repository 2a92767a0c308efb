//! Thirty-two bytes side by side, and eight floats: the registers in which rows are multiplied with one token, or with several.
//!
//! How a format is unpacked is written once in these (`stream/`), and compiled for each instruction set that has no
//! unpackers of its own. Codes are small integers, so bytes are exact, and a sum of products is the same in any order.

/// Thirty-two bytes, as an instruction set holds them, and what it makes of them.
pub(crate) trait ThirtyTwo: Copy {
    /// Products with 32 activations on the way to their sums, those of the first sixteen apart from those of the rest.
    type Products: Copy;
    /// Eight sums.
    type Sums: Copy;
    /// Eight floats.
    type Floats: Eight;

    /// Whether `add_products` takes unsigned bytes above 127, too.
    const ANY_UNSIGNED: bool;

    /// The same byte everywhere.
    fn splat(byte: u8) -> Self;

    /// # Safety
    /// 32 bytes may be read at `at`.
    unsafe fn load(at: *const u8) -> Self;

    /// The 32 nibbles of 16 bytes: all low halves, then all high ones.
    ///
    /// # Safety
    /// 16 bytes may be read at `at`.
    unsafe fn nibbles(at: *const u8) -> Self;

    /// The 32 nibbles of 16 bytes, the low half of each before its high half.
    ///
    /// # Safety
    /// 16 bytes may be read at `at`.
    unsafe fn nibbles_in_order(at: *const u8) -> Self;

    /// The bytes of four words, the lowest of each first.
    fn of_words(words: [u64; 4]) -> Self;

    /// Sums, less 256 where they do not fit a byte.
    fn plus(self, other: Self) -> Self;

    /// These as signed bytes, less than zero where `minus` is all ones.
    fn negative(self, minus: Self) -> Self;

    /// The bits that both have.
    fn and(self, other: Self) -> Self;

    /// The bits that either has.
    fn or(self, other: Self) -> Self;

    /// Each byte, its bits moved down by `bits`, less than 8.
    fn down(self, bits: u32) -> Self;

    /// Each byte, its bits moved up by `bits`; the highest `bits` of them are zeros.
    fn up(self, bits: u32) -> Self;

    /// All ones where a byte has one of the bits of `bits`, else zero.
    fn having(self, bits: u8) -> Self;

    /// All ones in byte j where bit j is set, else zero.
    fn of_bits(bits: u32) -> Self;

    /// The entries of `table` that these bytes, less than 16, name.
    fn look_up(self, table: &[i8; 16]) -> Self;

    /// The products of these bytes, signed or else less than 128, with 32 activations.
    ///
    /// # Safety
    /// 32 bytes may be read at `x`.
    unsafe fn products(self, x: *const i8, signed: bool) -> Self::Products;

    /// Of each register the first four bytes, then the next four of each, and so on.
    fn turned(registers: [Self; 8]) -> [Self; 8];

    /// Eight integers, the first of sixteen or the last, their bits moved up by `raised`; without that, zeros.
    fn starts(sixteen: &[i32; 16], half: usize, raised: Option<u32>) -> Self::Sums;

    /// `sums` plus those of the products of each four bytes, signed or else unsigned, with 32 activations.
    ///
    /// # Safety
    /// 32 bytes may be read at `x`.
    unsafe fn add_products(self, x: *const i8, signed: bool, sums: Self::Sums) -> Self::Sums;

    /// Sums.
    fn sums_plus(a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// The sums of each 32 products.
    fn sums_of_32(products: [Self::Products; 8]) -> Self::Sums;

    /// The sums of each 16 products.
    fn sums_of_16(products: [Self::Products; 4]) -> Self::Sums;

    /// The floats equal to `sums`.
    fn floats(sums: Self::Sums) -> Self::Floats;

    /// The floats equal to `sums` less the eight integers at `from`, their bits moved up by `bits`.
    ///
    /// # Safety
    /// Eight integers may be read at `from`.
    unsafe fn floats_less(sums: Self::Sums, from: *const i32, bits: u32) -> Self::Floats;

    /// Asks for the cache line at `at`, be it there or not.
    fn prefetch(at: *const u8);
}

/// Eight floats, as an instruction set holds them.
pub(crate) trait Eight: Copy {
    /// The same value everywhere.
    fn splat(value: f32) -> Self;

    /// # Safety
    /// Eight floats may be read at `at`.
    unsafe fn load(at: *const f32) -> Self;

    /// The half at `at`, everywhere.
    ///
    /// # Safety
    /// Two bytes may be read at `at`.
    unsafe fn of_half(at: *const u8) -> Self;

    /// The half at `first` four times, and the half at `second` four times.
    ///
    /// # Safety
    /// Two bytes may be read at both.
    unsafe fn of_two_halves(first: *const u8, second: *const u8) -> Self;

    /// Eight halves, each `APART` bytes from the next.
    ///
    /// # Safety
    /// Two bytes may be read at each of these places.
    unsafe fn of_halves<const APART: usize>(at: *const u8) -> Self;

    /// Eight bfloat16.
    ///
    /// # Safety
    /// Sixteen bytes may be read at `at`.
    unsafe fn of_bfloats(at: *const u8) -> Self;

    /// The bytes of a word, the lowest first.
    fn of_bytes(bytes: u64) -> Self;

    /// The signed bytes of a word, the lowest first.
    fn of_signed_bytes(bytes: u64) -> Self;

    /// 2^(byte − 128) of each byte of a word, the lowest first.
    fn of_exponents(bytes: u64) -> Self;

    /// Of sixteen floats those at even places, then those at odd ones.
    fn even_and_odd(sixteen: [Self; 2]) -> [Self; 2];

    /// Sums.
    fn plus(self, other: Self) -> Self;

    /// Products.
    fn times(self, other: Self) -> Self;

    /// These plus a·b, fused.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// These less a·b, fused.
    fn take_product(self, a: Self, b: Self) -> Self;

    /// The sum of all, folded in halves.
    fn fold(self) -> f32;
}
