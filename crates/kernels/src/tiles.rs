//! Rows and tokens laid out for products with many tokens.
//!
//! Sixteen columns of twelve rows make a [`RowTile`], sixteen columns of sixteen tokens a [`TokenTile`]. Columns are
//! taken group by group of the canonical order, and of each group strip by strip: so a sum stays in a register along
//! the whole row, and the tokens' part of one group stays in the first-level cache for all rows of a block.

use std::ops::Range;

use quant::{Group, Matrix, Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};

/// Tokens that [`Tiles::few`] takes at most.
pub(crate) const FEW: usize = 16;

/// Tokens of a tile.
pub(crate) const WIDTH: usize = 16;

/// Token tiles that are multiplied together, at most.
pub(crate) const ABREAST: usize = 2;

/// Rows of a tile.
pub(crate) const ROWS: usize = 12;

/// Columns of a tile.
const COLS: usize = 16;

/// Tiles in a strip.
pub(crate) const TILES: usize = STRIP / COLS;

/// 16 columns of 16 tokens. Of a group of 32 columns the first tile has the floats.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TokenTile {
    /// Four columns of each token, plus [`Tiles::offset`], then the next four of each.
    pub codes: [[[u8; 4]; WIDTH]; COLS / 4],
    /// The scale of each token.
    pub scales: [f32; WIDTH],
    /// scale · Σ code of the group.
    pub totals: [f32; WIDTH],
}

impl TokenTile {
    pub(crate) const ZERO: Self =
        Self { codes: [[[0; 4]; WIDTH]; COLS / 4], scales: [0.0; WIDTH], totals: [0.0; WIDTH] };
}

/// 16 columns of 12 rows. Of a group of 32 columns the first tile has what belongs to the group.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct RowTile {
    /// Of each row.
    pub codes: [[i8; COLS]; ROWS],
    /// The bits of [`ANCHOR`] less [`Tiles::offset`] times the sum of the group's codes.
    pub starts: [i32; ROWS],
    /// As [`Strip::scales`].
    pub scales: [f32; ROWS],
    /// The scales times −[`ANCHOR`].
    pub anchors: [f32; ROWS],
    /// As [`Strip::minima`].
    pub minima: [f32; ROWS],
}

impl RowTile {
    pub(crate) const ZERO: Self = Self {
        codes: [[0; COLS]; ROWS],
        starts: [0; ROWS],
        scales: [0.0; ROWS],
        anchors: [0.0; ROWS],
        minima: [0.0; ROWS],
    };
}

/// 1.5 · 2²³: an integer below 2²² added to the bits of this float is added to its value. So a sum of codes that
/// starts there is a float already, and `(ANCHOR + sum) · scale − ANCHOR · scale`, fused, is `sum · scale` rounded
/// once, which saves a conversion. Right for scales that are 0, or end in two zero bits and lie between
/// [`LEAST_ANCHORED`] and [`MOST_ANCHORED`]: then `ANCHOR · scale` is exact, nothing overflows, and no product with
/// an activation's scale, which is 0 or at least 2⁻¹⁰⁷, vanishes (a sum of −0 would betray it).
pub(crate) const ANCHOR: f32 = 12_582_912.0;

/// 2⁻⁴¹.
pub(crate) const LEAST_ANCHORED: f32 = f32::from_bits((127 - 41) << 23);

/// 2⁸⁰.
pub(crate) const MOST_ANCHORED: f32 = f32::from_bits((127 + 80) << 23);

/// How the tiles of a row of `strips` strips, or of some tokens, follow one another: by group, by strip, by column.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub strips: usize,
    /// Groups of a strip: 8 or 16.
    pub groups: usize,
}

impl Order {
    pub(crate) fn new(quant: Quant, strips: usize) -> Self {
        Self { strips, groups: if quant.strip_group() == Some(Group::Sixteen) { 16 } else { 8 } }
    }

    /// Tiles that make a group.
    pub(crate) fn per_group(self) -> usize {
        TILES / self.groups
    }

    /// Tokens up to which rows are multiplied as they stream by: to spell a row out costs as much as so many products.
    pub(crate) fn few(self) -> usize {
        if self.groups == 16 { FEW } else { FEW / 2 }
    }

    /// Tiles of a row, or of a token.
    pub(crate) fn tiles(self) -> usize {
        self.strips * TILES
    }

    /// The place of the first tile of group `g` of strip `s`.
    pub(crate) fn place(self, g: usize, s: usize) -> usize {
        (g * self.strips + s) * self.per_group()
    }
}

/// Lays out group `g` of some tokens, whose strips follow one another in `tokens`, as `out`: 16 tokens a tile, all
/// their tiles abreast, `offset` added to their codes.
pub(crate) fn lay_out_group(
    order: Order,
    g: usize,
    offset: u8,
    tokens: &[ActivationStrip],
    out: &mut [TokenTile],
) {
    let abreast = out.len() / (order.strips * order.per_group());
    for (at, out) in out.chunks_exact_mut(abreast).enumerate() {
        let (s, t) = (at / order.per_group(), at % order.per_group());
        let first = (g * order.per_group() + t) * COLS;
        for (which, out) in out.iter_mut().enumerate() {
            *out = TokenTile::ZERO;
            for (token, strips) in
                tokens.chunks_exact(order.strips).skip(which * WIDTH).take(WIDTH).enumerate()
            {
                let strip = &strips[s];
                let codes: &[i8; COLS] =
                    strip.codes[first..].first_chunk().expect("a strip holds whole tiles");
                for (quads, codes) in out.codes.iter_mut().zip(codes.as_chunks::<4>().0) {
                    // Four bytes at a time: to add 128, or nothing, is to flip bits.
                    let four = u32::from_ne_bytes(codes.map(|code| code as u8));
                    quads[token] = (four ^ u32::from_ne_bytes([offset; 4])).to_ne_bytes();
                }
                (out.scales[token], out.totals[token]) = match order.groups {
                    16 => (strip.scales16[g], strip.totals16[g]),
                    _ => (strip.scales32[g], strip.totals32[g]),
                };
            }
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
    /// What is added to the codes of activations: 128 to make them unsigned, or 0 to leave them signed.
    pub offset: u8,
    /// Rows of a checked matrix with up to [`FEW`] tokens, [tokens, strips]: their products, [rows, tokens].
    pub few: unsafe fn(Matrix<'_>, Range<usize>, &[ActivationStrip], &mut [f32]),
    /// Spells up to twelve rows in the [`Order`] of their format; whether all scales may be anchored.
    pub spell: unsafe fn(Quant, &[Row<'_>], Order, &mut [RowTile]) -> bool,
    /// Multiplies rows with tokens, of which one or two tiles lie together; in the sums of each twelve rows the first
    /// lane becomes the answer. Fetches the tokens that come next meanwhile.
    pub multiply: unsafe fn(&Block<'_>, &[TokenTile], &[TokenTile], &mut [Sums]),
}

/// Rows spelled out, and what is to be known of them.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// Twelve rows after twelve.
    pub tiles: &'a [RowTile],
    pub order: Order,
    /// Whether the format has minima.
    pub minima: bool,
    /// Whether all scales may be anchored.
    pub anchored: bool,
}

/// The sums of twelve rows with the tokens of one or two tiles for each lane of the canonical order.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Sums(pub [[[f32; ABREAST * WIDTH]; ROWS]; 16]);

impl Sums {
    pub(crate) const ZERO: Self = Self([[[0.0; ABREAST * WIDTH]; ROWS]; 16]);
}
