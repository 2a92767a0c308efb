//! Tokens laid side by side, for products with many of them.

use quant::{Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};

/// Tokens of a tile.
pub(crate) const WIDTH: usize = 16;

/// Rows that share each load of a tile.
pub(crate) const ROWS: usize = 8;

/// Token tiles that are multiplied together.
pub(crate) const ABREAST: usize = 3;

/// 256 columns of 16 tokens; tokens past the last are zeros.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TokenTile {
    /// Four columns of each token, then the next four of each.
    pub codes: [[[i8; 4]; WIDTH]; STRIP / 4],
    /// See [`ActivationStrip::scales32`].
    pub scales: [[f32; WIDTH]; 8],
    /// See [`ActivationStrip::sums16`]; its other fields follow likewise.
    pub sums16: [[i32; WIDTH]; 16],
    pub totals16: [[f32; WIDTH]; 16],
    pub sums32: [[i32; WIDTH]; 8],
    pub totals32: [[f32; WIDTH]; 8],
}

impl TokenTile {
    pub(crate) const ZERO: Self = Self {
        codes: [[[0; 4]; WIDTH]; STRIP / 4],
        scales: [[0.0; WIDTH]; 8],
        sums16: [[0; WIDTH]; 16],
        totals16: [[0.0; WIDTH]; 16],
        sums32: [[0; WIDTH]; 8],
        totals32: [[0.0; WIDTH]; 8],
    };

    /// Puts a token's strip at `place`.
    pub(crate) fn put(&mut self, place: usize, strip: &ActivationStrip) {
        for (quads, codes) in self.codes.iter_mut().zip(strip.codes.as_chunks().0) {
            quads[place] = *codes;
        }
        for g in 0..8 {
            self.scales[g][place] = strip.scales32[g];
            self.sums32[g][place] = strip.sums32[g];
            self.totals32[g][place] = strip.totals32[g];
        }
        for g in 0..16 {
            self.sums16[g][place] = strip.sums16[g];
            self.totals16[g][place] = strip.totals16[g];
        }
    }
}

/// How an instruction set multiplies rows with many tokens, in two steps. All of it may be called only on a CPU that
/// has the instruction set.
pub(crate) enum Many {
    /// Each row with one token after the other.
    OneByOne {
        /// Spells a row as [`Quant::strip`] does.
        spell: unsafe fn(Quant, Row<'_>, &mut [Strip]),
        /// A spelled row with a token.
        dot: unsafe fn(Quant, &[Strip], &[ActivationStrip]) -> f32,
    },
    /// Each row with tokens side by side.
    Tiles(Tiles),
}

/// See [`Many::Tiles`].
pub(crate) struct Tiles {
    /// Spells a row as codes of the kind `multiply` takes, which need not be those of [`Quant::strip`].
    pub spell: unsafe fn(Quant, Row<'_>, &mut [Strip]),
    /// Multiplies spelled rows, [rows, strips], with up to [`ABREAST`] token tiles, [tiles, strips], strips being the
    /// third argument; the answer is [rows, tiles · WIDTH].
    pub multiply: unsafe fn(Quant, &[Strip], &[TokenTile], usize, &mut [f32]),
}
