//! Rows with several tokens: four rows at a time, so that tokens are read once for four of them.
//!
//! Codes are turned, those of a token as [`crate::activations::turn`] says: a register holds the same four columns of eight
//! groups. So products added to one another are the sums of eight groups, without a shuffle for each token.

use std::ops::Range;

use quant::{Matrix, Quant, Row};

use super::unpack::{Codes, Factors, Unpack};
use super::{Spell, Unpacked, With, add_scaled, dot_one, spelled, streamed, whole_strips};
use crate::activations::ActivationStrip;
use crate::thirty_two::{Eight, ThirtyTwo};
use crate::tiles::{FOUR, SEVERAL};

/// Of each of four rows the lanes of eight groups of 32; or of eight even groups of 16, and of eight odd ones.
type Lanes<V> = [[<V as ThirtyTwo>::Floats; 2]; FOUR];

/// See [`super::dot_rows`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn dot_several<V: ThirtyTwo, U: Unpack>(
    matrix: Matrix<'_>,
    rows: Range<usize>,
    x: &[ActivationStrip],
    spell: Spell,
    out: &mut [f32],
) {
    let (tokens, last) = (out.len() / rows.len(), rows.end - 1);
    if tokens == 1 {
        for (row, out) in rows.zip(out) {
            // SAFETY: the caller's promise.
            *out = unsafe { dot_one::<V, U>(matrix.quant(), matrix.row(row), x, spell) };
        }
        return;
    }
    let mut lanes = [[[V::Floats::splat(0.0); 2]; FOUR]; SEVERAL];
    for (row, out) in rows.step_by(FOUR).zip(out.chunks_mut(FOUR * tokens)) {
        // Of fewer than four rows the last is taken again, and its answers are not.
        let four = [row, row + 1, row + 2, row + 3].map(|row| matrix.row(row.min(last)));
        // SAFETY: the caller's promise.
        unsafe { dot_four::<V, U>(matrix.quant(), four, x, spell, &mut lanes[..tokens], out) };
    }
}

/// The products of four rows, of as many of them as `out`, [rows, tokens], has. `lanes` are room for those of each token.
///
/// # Safety
/// As [`dot_several`].
#[inline(always)]
unsafe fn dot_four<V: ThirtyTwo, U: Unpack>(
    quant: Quant,
    rows: [Row<'_>; FOUR],
    x: &[ActivationStrip],
    spell: Spell,
    lanes: &mut [Lanes<V>],
    out: &mut [f32],
) {
    let (tokens, strips) = (lanes.len(), x.len() / lanes.len());
    let whole = whole_strips::<U>(quant, rows[0]);
    lanes.fill([[V::Floats::splat(0.0); 2]; FOUR]);
    // SAFETY: the caller's promise; the rows have so many whole strips.
    unsafe {
        for index in 0..whole {
            let four = [
                Turned::new::<U>(streamed::<V, U>(rows[0], index)),
                Turned::new::<U>(streamed::<V, U>(rows[1], index)),
                Turned::new::<U>(streamed::<V, U>(rows[2], index)),
                Turned::new::<U>(streamed::<V, U>(rows[3], index)),
            ];
            add_products::<V, U>(&four, &x[index..], strips, lanes);
        }
        for index in whole..strips {
            // Spelled out: a closure would be compiled without the instruction set.
            let four = [
                Turned::new::<U>(spelled::<V, U>(quant, rows[0], index, spell)),
                Turned::new::<U>(spelled::<V, U>(quant, rows[1], index, spell)),
                Turned::new::<U>(spelled::<V, U>(quant, rows[2], index, spell)),
                Turned::new::<U>(spelled::<V, U>(quant, rows[3], index, spell)),
            ];
            add_products::<V, U>(&four, &x[index..], strips, lanes);
        }
    }
    for (row, out) in out.chunks_exact_mut(tokens).enumerate() {
        for (out, lanes) in out.iter_mut().zip(&*lanes) {
            let [even, odd] = lanes[row];
            // To fold even lanes, then odd ones, then both, is to fold all of them in halves.
            *out = if U::SIXTEEN { even.fold() + odd.fold() } else { even.fold() };
        }
    }
}

/// Adds the products with a strip of each token, so many apart, to its lanes.
#[inline(always)]
unsafe fn add_products<V: ThirtyTwo, U: Unpack>(
    four: &[Turned<V>; FOUR],
    x: &[ActivationStrip],
    apart: usize,
    lanes: &mut [Lanes<V>],
) {
    for (x, lanes) in x.iter().step_by(apart).zip(lanes) {
        for (row, lanes) in four.iter().zip(lanes) {
            // SAFETY: the caller's promise.
            *lanes = unsafe { row.add::<U>(x, *lanes) };
        }
    }
}

/// A strip, turned.
struct Turned<V: ThirtyTwo> {
    /// Register `i` has columns 4 · i.. of every 32.
    codes: [V; 8],
    /// Of groups of 16 the even ones, then the odd ones.
    factors: Factors<V>,
}

impl<V: ThirtyTwo> Turned<V> {
    /// How much too large the codes are: 1 moved up by this.
    const fn raised<U: Unpack>() -> Option<u32> {
        match U::CODES {
            Codes::Raised(bits) => Some(bits),
            Codes::Signed if V::ANY_UNSIGNED => Some(7),
            Codes::Signed | Codes::Unsigned => None,
        }
    }

    #[inline(always)]
    unsafe fn new<U: Unpack>(strip: Unpacked<V>) -> Self {
        let [[a, b], [c, d], [e, f], [g, h]] = strip.codes;
        let mut codes = V::turned([a, b, c, d, e, f, g, h]);
        if V::ANY_UNSIGNED && U::CODES == Codes::Signed {
            for codes in &mut codes {
                *codes = codes.plus(V::splat(128));
            }
        }
        let Factors { mut scales, mut minima } = strip.factors;
        if U::SIXTEEN {
            scales = V::Floats::even_and_odd(scales);
            minima = V::Floats::even_and_odd(minima);
        }
        Self { codes, factors: Factors { scales, minima } }
    }

    /// `lanes` plus the products with a token.
    #[inline(always)]
    unsafe fn add<U: Unpack>(&self, x: &ActivationStrip, lanes: [V::Floats; 2]) -> [V::Floats; 2] {
        let signed = !V::ANY_UNSIGNED && U::CODES == Codes::Signed;
        // SAFETY: the caller's promise; a strip has 256 codes.
        unsafe {
            let raised = Self::raised::<U>();
            let mut sums = [V::starts(&x.sums16, 0, raised), V::starts(&x.sums16, 1, raised)];
            for i in 0..4 {
                let at = x.codes.as_ptr().add(64 * i);
                sums[0] = self.codes[i].add_products(at, signed, sums[0]);
                sums[1] = self.codes[i + 4].add_products(at.add(32), signed, sums[1]);
            }
            let Factors { scales, minima } = &self.factors;
            if U::SIXTEEN {
                let (even, odd) = (V::floats(sums[0]), V::floats(sums[1]));
                return [
                    add_scaled::<V, U>(even, (scales[0], minima[0]), With::sixteen(x, 0), lanes[0]),
                    add_scaled::<V, U>(odd, (scales[1], minima[1]), With::sixteen(x, 1), lanes[1]),
                ];
            }
            let sums = V::floats(V::sums_plus(sums[0], sums[1]));
            [add_scaled::<V, U>(sums, (scales[0], minima[0]), With::thirty_two(x), lanes[0]), lanes[1]]
        }
    }
}
