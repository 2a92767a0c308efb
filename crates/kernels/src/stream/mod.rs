//! One row with one token, or with a few: each weight byte is read once, and nothing is written.
//!
//! The order is that of `integer.rs`; the registers are those of `thirty_two.rs`. Formats without an unpacker here are
//! spelled to memory first, a strip at a time, and so is the short strip at the end of a row.

mod unpack;

mod grids;
mod k_quants;
mod nibbles;
mod pairs;
mod plain;
mod tables;

use quant::{Group, Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};
use crate::thirty_two::{Eight, ThirtyTwo};
use crate::tiles::FEW;

use unpack::{Codes, Factors, Place, Spelled, Unpack};

/// How far ahead of its use a weight is asked for, in bytes.
const AHEAD: usize = 2048;

/// The products of a row with a few tokens, `x` [tokens, strips], as `out`, [tokens].
///
/// # Safety
/// The CPU has the instruction set of `V`, and the row has the strips of each token, the last of which may be short.
/// `spell` is [`Quant::strip`].
#[inline(always)]
pub(crate) unsafe fn dot<V: ThirtyTwo>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
    out: &mut [f32],
) {
    let zero = [V::Floats::splat(0.0); 2];
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() {
            // By itself, so that its lanes and the codes it meets stay in registers.
            1 => dot_lanes::<V>(quant, row, x, spell, &mut [zero], out),
            tokens => dot_lanes::<V>(quant, row, x, spell, &mut [zero; FEW][..tokens], out),
        }
    }
}

/// As [`dot`], with lanes of zeros for each token.
#[inline(always)]
unsafe fn dot_lanes<V: ThirtyTwo>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
    lanes: &mut [[V::Floats; 2]],
    out: &mut [f32],
) {
    /// Calls `stream` for the way `$quant` is unpacked: by hand where a row below says so.
    macro_rules! with_unpack {
        ($($name:ident => $unpack:ty),* $(,)?) => {
            // SAFETY: the caller's promise.
            unsafe {
                match quant {
                    $(Quant::$name => stream::<V, $unpack>(quant, row, x, spell, lanes, out),)*
                    other => match (other.strip_group() == Some(Group::Sixteen), other.has_minima()) {
                        (false, false) => by_spelling::<V, Spelled<false, false>>(quant, row, x, spell, lanes, out),
                        (false, true) => by_spelling::<V, Spelled<false, true>>(quant, row, x, spell, lanes, out),
                        (true, false) => by_spelling::<V, Spelled<true, false>>(quant, row, x, spell, lanes, out),
                        (true, true) => by_spelling::<V, Spelled<true, true>>(quant, row, x, spell, lanes, out),
                    },
                }
            }
        };
    }
    with_unpack!(
        Q8_0 => plain::Q8_0,
        Q4_0 => nibbles::Q4_0,
        Q4_1 => nibbles::Q4_1,
        Q5_0 => nibbles::Q5_0,
        Q5_1 => nibbles::Q5_1,
        Int4G32 => nibbles::Int4G32,
        Q4K => k_quants::Q4K,
        Q5K => k_quants::Q5K,
        Q6K => k_quants::Q6K,
        Q2K => pairs::Q2K,
        Q3K => pairs::Q3K,
        Tq2_0 => pairs::Tq2_0,
        Q1_0 => plain::Q1_0,
        Iq4Nl => tables::Iq4Nl,
        Iq4Xs => tables::Iq4Xs,
        Mxfp4 => tables::Mxfp4,
        Iq1S => grids::Iq1S,
        Iq1M => grids::Iq1M,
        Iq2Xxs => grids::Iq2Xxs,
        Iq2Xs => grids::Iq2Xs,
        Iq2S => grids::Iq2S,
        Iq3Xxs => grids::Iq3Xxs,
        Iq3S => grids::Iq3S,
        Mxfp4G32 => tables::Mxfp4G32,
    )
}

/// [`Quant::strip`], compiled once for an instruction set.
pub(crate) type Spell = unsafe fn(Quant, Row<'_>, usize, &mut Strip);

/// A row unpacked by hand.
#[inline(always)]
unsafe fn stream<V: ThirtyTwo, U: Unpack>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
    lanes: &mut [[V::Floats; 2]],
    out: &mut [f32],
) {
    let strips = x.len() / lanes.len();
    let whole = row.values.len() / quant.block_bytes() * quant.block_len() / STRIP;
    debug_assert!(whole * U::BYTES <= row.values.len() && whole * U::SCALE_BYTES <= row.scales.len());
    // SAFETY: the caller's promise; the row has so many whole strips.
    unsafe {
        for index in 0..whole {
            let at = Place {
                values: row.values.as_ptr().add(index * U::BYTES),
                scales: row.scales.as_ptr().add(index * U::SCALE_BYTES),
            };
            for line in 0..U::BYTES.div_ceil(64) {
                V::prefetch(at.values.wrapping_add(AHEAD + 64 * line));
            }
            add_strips::<V, U>(at, &x[index..], strips, lanes);
        }
        if whole < strips {
            let mut strip = Strip::ZERO;
            spell(quant, row, whole, &mut strip);
            if U::SIXTEEN {
                add_strips::<V, Spelled<true, true>>(spelled(&strip), &x[whole..], strips, lanes);
            } else {
                add_strips::<V, Spelled<false, true>>(spelled(&strip), &x[whole..], strips, lanes);
            }
        }
        fold::<V, U>(lanes, out);
    }
}

/// A row spelled strip by strip.
#[inline(always)]
unsafe fn by_spelling<V: ThirtyTwo, U: Unpack>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
    lanes: &mut [[V::Floats; 2]],
    out: &mut [f32],
) {
    let strips = x.len() / lanes.len();
    let mut strip = Strip::ZERO;
    for index in 0..strips {
        // SAFETY: the caller's promise.
        unsafe {
            spell(quant, row, index, &mut strip);
            add_strips::<V, U>(spelled(&strip), &x[index..], strips, lanes);
        }
    }
    fold::<V, U>(lanes, out);
}

#[inline(always)]
fn spelled(strip: &Strip) -> Place {
    Place { values: std::ptr::from_ref(strip).cast(), scales: std::ptr::null() }
}

/// Adds the products of a strip to the lanes of each token, whose strips are so many apart: a lane for each group. The
/// strip is unpacked once.
#[inline(always)]
unsafe fn add_strips<V: ThirtyTwo, U: Unpack>(
    at: Place,
    x: &[ActivationStrip],
    apart: usize,
    lanes: &mut [[V::Floats; 2]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let strip = Unpacked::<V>::new::<U>(at);
        for (x, lanes) in x.iter().step_by(apart).zip(lanes) {
            *lanes = strip.add::<U>(x, *lanes);
        }
    }
}

/// A strip in registers.
struct Unpacked<V: ThirtyTwo> {
    /// Of columns 64 · i.., 32 and 32.
    codes: [[V; 2]; 4],
    factors: Factors<V>,
}

impl<V: ThirtyTwo> Unpacked<V> {
    #[inline(always)]
    unsafe fn new<U: Unpack>(at: Place) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                codes: [
                    U::codes::<V>(at, 0),
                    U::codes::<V>(at, 1),
                    U::codes::<V>(at, 2),
                    U::codes::<V>(at, 3),
                ],
                factors: U::factors::<V>(at),
            }
        }
    }

    /// `lanes` plus the products with a token.
    #[inline(always)]
    unsafe fn add<U: Unpack>(&self, x: &ActivationStrip, lanes: [V::Floats; 2]) -> [V::Floats; 2] {
        let Factors { scales, minima } = &self.factors;
        // SAFETY: the caller's promise; the pointers are those of whole arrays, of 16 or of 8.
        unsafe {
            let ([a, b], [c, d]) = (self.quarter::<U>(x, 0), self.quarter::<U>(x, 1));
            let ([e, f], [g, h]) = (self.quarter::<U>(x, 2), self.quarter::<U>(x, 3));
            if U::SIXTEEN {
                let (first, second) = (V::sums_of_16([a, b, c, d]), V::sums_of_16([e, f, g, h]));
                return [
                    add_groups::<V, U>(first, (scales[0], minima[0]), With::sixteen(x, 0), lanes[0]),
                    add_groups::<V, U>(second, (scales[1], minima[1]), With::sixteen(x, 1), lanes[1]),
                ];
            }
            let sums = V::sums_of_32([a, b, c, d, e, f, g, h]);
            [add_groups::<V, U>(sums, (scales[0], minima[0]), With::thirty_two(x), lanes[0]), lanes[1]]
        }
    }

    /// The products of columns 64 · `quarter`.., 32 and 32.
    #[inline(always)]
    unsafe fn quarter<U: Unpack>(&self, x: &ActivationStrip, quarter: usize) -> [V::Products; 2] {
        // SAFETY: the caller's promise; a strip has 256 codes.
        unsafe {
            let [first, second] = self.codes[quarter];
            let x = x.codes.as_ptr().add(64 * quarter);
            let signed = U::CODES == Codes::Signed;
            [first.products(x, signed), second.products(x.add(32), signed)]
        }
    }
}

/// What eight groups of activations have beside their codes.
struct With {
    sums: *const i32,
    scales: *const f32,
    totals: *const f32,
}

impl With {
    /// Of groups of 16, the first eight or the last.
    #[inline(always)]
    fn sixteen(x: &ActivationStrip, half: usize) -> Self {
        let (sums, scales, totals) =
            (x.sums16.as_chunks::<8>().0, x.scales16.as_chunks::<8>().0, x.totals16.as_chunks::<8>().0);
        Self { sums: sums[half].as_ptr(), scales: scales[half].as_ptr(), totals: totals[half].as_ptr() }
    }

    /// Of groups of 32.
    #[inline(always)]
    fn thirty_two(x: &ActivationStrip) -> Self {
        Self { sums: x.sums32.as_ptr(), scales: x.scales32.as_ptr(), totals: x.totals32.as_ptr() }
    }
}

/// `lanes` plus the sums of eight groups, scaled.
#[inline(always)]
unsafe fn add_groups<V: ThirtyTwo, U: Unpack>(
    sums: V::Sums,
    (scales, minima): (V::Floats, V::Floats),
    x: With,
    lanes: V::Floats,
) -> V::Floats {
    // SAFETY: the caller's promise.
    unsafe {
        let dots = match U::CODES {
            Codes::Raised(bits) => V::floats_less(sums, x.sums, bits),
            Codes::Signed | Codes::Unsigned => V::floats(sums),
        };
        let lanes = lanes.add_product(dots.times(scales), V::Floats::load(x.scales));
        if !U::MINIMA {
            return lanes;
        }
        lanes.take_product(minima, V::Floats::load(x.totals))
    }
}

/// The sums of the lanes that the format uses, of each token.
#[inline(always)]
fn fold<V: ThirtyTwo, U: Unpack>(lanes: &[[V::Floats; 2]], out: &mut [f32]) {
    for (lanes, out) in lanes.iter().zip(out) {
        *out = if U::SIXTEEN { lanes[0].plus(lanes[1]).fold() } else { lanes[0].fold() };
    }
}
