//! Tokens side by side, a lane each: the registers in which rows are multiplied with many tokens.

use std::mem;
use std::ops::Range;

use crate::tiles::{Lane, Rows, Tokens};

/// What an instruction set does with a register of tokens. Used only inside functions compiled for it.
pub(crate) trait Beside {
    /// Integer sums, one for each token.
    type Sums: Copy;
    /// Floats, one for each token.
    type Floats: Copy;
    /// Four activations of each token.
    type Codes: Copy;
    /// Four codes of a weight, for each token.
    type Quad: Copy;

    /// Tokens in a register: 16 or less.
    const TOKENS: usize;

    /// What is added to a weight's code: 128 where `dot` takes unsigned bytes, else 0.
    const OFFSET: u8;

    /// The sums of twelve rows for one group of the canonical order, stored in `out` or added to what it holds:
    /// `tile::run` of as many rows and tokens at a time as the registers hold. `rows` and `x` begin with the group.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn panel<const GROUPS: usize, const MINIMA: bool, const ANCHORED: bool>(
        rows: Rows<'_>,
        x: Tokens<'_>,
        ahead: &mut Ahead,
        add: bool,
        out: &mut Lane,
    );

    /// The integers at `at`.
    ///
    /// # Safety
    /// So many may be read there, and it is aligned to them.
    unsafe fn sums(at: *const i32) -> Self::Sums;

    /// # Safety
    /// So many tokens' four bytes may be read at `at`, which is aligned to them.
    unsafe fn codes(at: *const i8) -> Self::Codes;

    /// # Safety
    /// Four bytes may be read at `at`, which is aligned to them.
    unsafe fn quad(at: *const u8) -> Self::Quad;

    /// The sums plus the products of four codes each.
    fn dot(sums: Self::Sums, x: Self::Codes, w: Self::Quad) -> Self::Sums;

    /// The sums, as the floats they are the bits of, times `scale` plus `anchor`, fused.
    fn anchored(sums: Self::Sums, scale: f32, anchor: f32) -> Self::Floats;

    /// The sums less the bits of [`crate::tiles::ANCHOR`], as floats, times `scale`.
    fn scaled(sums: Self::Sums, scale: f32) -> Self::Floats;

    /// Zeros.
    fn zero() -> Self::Floats;

    /// # Safety
    /// So many floats may be read at `at`, which is aligned to them.
    unsafe fn load(at: *const f32) -> Self::Floats;

    /// # Safety
    /// So many floats may be written at `at`, which is aligned to them.
    unsafe fn store(floats: Self::Floats, at: *mut f32);

    /// The sums of two.
    fn plus(a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// `sum` plus a·b, fused.
    fn add_product(sum: Self::Floats, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// `sum` less a·b, fused.
    fn take_product(sum: Self::Floats, a: f32, b: Self::Floats) -> Self::Floats;

    /// Asks for the cache line at `at` to come near, be it there or not.
    fn prefetch(at: *const u8);
}

/// Lines to fetch into the second-level cache, a few for each strip: more at once would stall.
pub(crate) struct Ahead {
    next: Range<*const u8>,
    /// What follows those.
    then: Range<*const u8>,
    /// Bytes for each strip.
    share: usize,
}

impl Ahead {
    pub(crate) fn new(tokens: Tokens<'_>, strips: usize) -> Self {
        let bytes = size_of_val(tokens.tiles) + size_of_val(tokens.groups);
        Self {
            next: bytes_of(tokens.tiles),
            then: bytes_of(tokens.groups),
            share: bytes.div_ceil(strips).next_multiple_of(64),
        }
    }

    /// The next strip's share.
    #[inline(always)]
    pub(crate) fn fetch<V: Beside>(&mut self) {
        let until = self.next.start.wrapping_add(self.share).min(self.next.end);
        while self.next.start < until {
            V::prefetch(self.next.start);
            self.next.start = self.next.start.wrapping_add(64);
        }
        if self.next.is_empty() {
            self.next = mem::replace(&mut self.then, until..until);
        }
    }
}

fn bytes_of<T>(values: &[T]) -> Range<*const u8> {
    let range = values.as_ptr_range();
    range.start.cast()..range.end.cast()
}
