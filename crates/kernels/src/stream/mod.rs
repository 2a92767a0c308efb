//! Rows with one token, or with several: each weight byte is read once, and little is written.
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

mod several;

use std::ops::Range;

use quant::{Group, Matrix, Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};
use crate::thirty_two::{Eight, ThirtyTwo};

use several::dot_several;
use unpack::{Codes, Factors, Place, Spelled, Unpack};

/// How far ahead of its use a weight is asked for, in bytes.
const AHEAD: usize = 2048;

/// [`Quant::strip`], compiled once for an instruction set.
pub(crate) type Spell = unsafe fn(Quant, Row<'_>, usize, &mut Strip);

/// Calls `$work::<V, U>` for the way `$quant` is unpacked: by hand where a row below says so.
macro_rules! with_unpack {
    ($quant:expr, $work:ident::<$v:ident> ( $($argument:expr),* )) => {
        match $quant {
            Quant::Q8_0 => $work::<$v, plain::Q8_0>($($argument),*),
            Quant::Q4_0 => $work::<$v, nibbles::Q4_0>($($argument),*),
            Quant::Q4_1 => $work::<$v, nibbles::Q4_1>($($argument),*),
            Quant::Q5_0 => $work::<$v, nibbles::Q5_0>($($argument),*),
            Quant::Q5_1 => $work::<$v, nibbles::Q5_1>($($argument),*),
            Quant::Int4G32 => $work::<$v, nibbles::Int4G32>($($argument),*),
            Quant::Q4K => $work::<$v, k_quants::Q4K>($($argument),*),
            Quant::Q5K => $work::<$v, k_quants::Q5K>($($argument),*),
            Quant::Q6K => $work::<$v, k_quants::Q6K>($($argument),*),
            Quant::Q2K => $work::<$v, pairs::Q2K>($($argument),*),
            Quant::Q3K => $work::<$v, pairs::Q3K>($($argument),*),
            Quant::Tq2_0 => $work::<$v, pairs::Tq2_0>($($argument),*),
            Quant::Q1_0 => $work::<$v, plain::Q1_0>($($argument),*),
            Quant::Iq4Nl => $work::<$v, tables::Iq4Nl>($($argument),*),
            Quant::Iq4Xs => $work::<$v, tables::Iq4Xs>($($argument),*),
            Quant::Mxfp4 => $work::<$v, tables::Mxfp4>($($argument),*),
            Quant::Iq1S => $work::<$v, grids::Iq1S>($($argument),*),
            Quant::Iq1M => $work::<$v, grids::Iq1M>($($argument),*),
            Quant::Iq2Xxs => $work::<$v, grids::Iq2Xxs>($($argument),*),
            Quant::Iq2Xs => $work::<$v, grids::Iq2Xs>($($argument),*),
            Quant::Iq2S => $work::<$v, grids::Iq2S>($($argument),*),
            Quant::Iq3Xxs => $work::<$v, grids::Iq3Xxs>($($argument),*),
            Quant::Iq3S => $work::<$v, grids::Iq3S>($($argument),*),
            Quant::Mxfp4G32 => $work::<$v, tables::Mxfp4G32>($($argument),*),
            other => match (other.strip_group() == Some(Group::Sixteen), other.has_minima()) {
                (false, false) => $work::<$v, Spelled<false, false>>($($argument),*),
                (false, true) => $work::<$v, Spelled<false, true>>($($argument),*),
                (true, false) => $work::<$v, Spelled<true, false>>($($argument),*),
                (true, true) => $work::<$v, Spelled<true, true>>($($argument),*),
            },
        }
    };
}

/// A row with one token.
///
/// # Safety
/// The CPU has the instruction set of `V`, and the row has the strips of `x`, the last of which may be short. `spell` is
/// [`Quant::strip`].
#[inline(always)]
pub(crate) unsafe fn dot<V: ThirtyTwo>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { with_unpack!(quant, dot_one::<V>(quant, row, x, spell)) }
}

/// Rows with one or several tokens, `x` [tokens, strips], of several each strip [turned](crate::activations::turn): their
/// products, [rows, tokens].
///
/// # Safety
/// As [`dot`], of every row and token.
#[inline(always)]
pub(crate) unsafe fn dot_rows<V: ThirtyTwo>(
    matrix: Matrix<'_>,
    rows: Range<usize>,
    x: &[ActivationStrip],
    spell: Spell,
    out: &mut [f32],
) {
    // SAFETY: the caller's promise.
    unsafe { with_unpack!(matrix.quant(), dot_several::<V>(matrix, rows, x, spell, out)) }
}

/// As [`dot`].
#[inline(always)]
unsafe fn dot_one<V: ThirtyTwo, U: Unpack>(
    quant: Quant,
    row: Row<'_>,
    x: &[ActivationStrip],
    spell: Spell,
) -> f32 {
    let whole = whole_strips::<U>(quant, row);
    let mut lanes = [V::Floats::splat(0.0); 2];
    // SAFETY: the caller's promise; the row has so many whole strips.
    unsafe {
        for (index, x) in x.iter().enumerate().take(whole) {
            lanes = streamed::<V, U>(row, index).add::<U>(x, lanes);
        }
        for (index, x) in x.iter().enumerate().skip(whole) {
            lanes = spelled::<V, U>(quant, row, index, spell).add::<U>(x, lanes);
        }
    }
    if U::SIXTEEN { lanes[0].plus(lanes[1]).fold() } else { lanes[0].fold() }
}

/// Strips of a row that are unpacked by hand: those of 256 columns.
#[inline(always)]
fn whole_strips<U: Unpack>(quant: Quant, row: Row<'_>) -> usize {
    if U::BYTES == 0 {
        return 0;
    }
    let whole = row.values.len() / quant.block_bytes() * quant.block_len() / STRIP;
    debug_assert!(whole * U::BYTES <= row.values.len() && whole * U::SCALE_BYTES <= row.scales.len());
    whole
}

/// A whole strip.
#[inline(always)]
unsafe fn streamed<V: ThirtyTwo, U: Unpack>(row: Row<'_>, index: usize) -> Unpacked<V> {
    // SAFETY: the caller's promise.
    unsafe {
        let at = Place {
            values: row.values.as_ptr().add(index * U::BYTES),
            scales: row.scales.as_ptr().add(index * U::SCALE_BYTES),
        };
        for line in 0..U::BYTES.div_ceil(64) {
            V::prefetch(at.values.wrapping_add(AHEAD + 64 * line));
        }
        Unpacked {
            codes: [U::codes::<V>(at, 0), U::codes::<V>(at, 1), U::codes::<V>(at, 2), U::codes::<V>(at, 3)],
            factors: U::factors::<V>(at),
        }
    }
}

/// Any strip, by way of memory.
#[inline(always)]
unsafe fn spelled<V: ThirtyTwo, U: Unpack>(
    quant: Quant,
    row: Row<'_>,
    index: usize,
    spell: Spell,
) -> Unpacked<V> {
    let mut strip = Strip::ZERO;
    // SAFETY: the caller's promise; a strip has 256 codes, 16 scales and 16 minima.
    unsafe {
        spell(quant, row, index, &mut strip);
        let raise = V::splat(if let Codes::Raised(bits) = U::CODES { 1 << bits } else { 0 });
        let codes = strip.codes.as_ptr().cast::<u8>();
        let mut unpacked = [[raise; 2]; 4];
        for (i, two) in unpacked.iter_mut().enumerate() {
            two[0] = V::load(codes.add(64 * i)).plus(raise);
            two[1] = V::load(codes.add(64 * i + 32)).plus(raise);
        }
        let (scales, minima) = (strip.scales.as_ptr(), strip.minima.as_ptr());
        Unpacked {
            codes: unpacked,
            factors: Factors {
                scales: [V::Floats::load(scales), V::Floats::load(scales.add(8))],
                minima: [V::Floats::load(minima), V::Floats::load(minima.add(8))],
            },
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
    factors: (V::Floats, V::Floats),
    x: With,
    lanes: V::Floats,
) -> V::Floats {
    // SAFETY: the caller's promise.
    unsafe {
        let sums = match U::CODES {
            Codes::Raised(bits) => V::floats_less(sums, x.sums, bits),
            Codes::Signed | Codes::Unsigned => V::floats(sums),
        };
        add_scaled::<V, U>(sums, factors, x, lanes)
    }
}

/// The same of sums that are those of the codes as they are meant.
#[inline(always)]
unsafe fn add_scaled<V: ThirtyTwo, U: Unpack>(
    sums: V::Floats,
    (scales, minima): (V::Floats, V::Floats),
    x: With,
    lanes: V::Floats,
) -> V::Floats {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = lanes.add_product(sums.times(scales), V::Floats::load(x.scales));
        if !U::MINIMA {
            return lanes;
        }
        lanes.take_product(minima, V::Floats::load(x.totals))
    }
}
