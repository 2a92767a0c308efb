//! Rows and tokens laid out for products with many tokens.
//!
//! Sixteen columns of twelve rows make a [`RowTile`], sixteen columns of sixteen tokens a [`TokenTile`]; what belongs to
//! a group of columns is a [`RowGroup`] and a [`TokenGroup`]. All are taken group by group of the canonical order, and
//! of each group strip by strip: so a sum stays in a register along the whole row, and the tokens' part of one group
//! stays in the first-level cache for all rows of a block.

use std::ops::Range;

use quant::{Group, Matrix, Quant, Row, Strip};

use crate::activations::{ActivationStrip, STRIP};

/// Tokens that [`ByRows`] takes at most.
pub(crate) const SEVERAL: usize = 32;

/// Rows that [`ByRows`] multiplies together with several tokens.
pub(crate) const FOUR: usize = 4;

/// Tiles are for more tokens than this, at least.
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

/// 16 columns of 16 tokens: four columns of each token, then the next four of each.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TokenTile(pub [[[i8; 4]; WIDTH]; COLS / 4]);

impl TokenTile {
    pub(crate) const ZERO: Self = Self([[[0; 4]; WIDTH]; COLS / 4]);
}

/// What belongs to a group of columns of 16 tokens.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TokenGroup {
    /// The bits of [`ANCHOR`] less [`Tiles::offset`] times the sum of the group's codes.
    pub starts: [i32; WIDTH],
    /// As [`ActivationStrip::scales32`].
    pub scales: [f32; WIDTH],
    /// As [`ActivationStrip::totals32`].
    pub totals: [f32; WIDTH],
}

impl TokenGroup {
    pub(crate) const ZERO: Self = Self { starts: [0; WIDTH], scales: [0.0; WIDTH], totals: [0.0; WIDTH] };
}

/// Room for 16 columns of 12 rows, [`Tiles::offset`] added to their codes: the tiles that make a group hold its columns of
/// the first row, then those of the second, and so on.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct RowTile(pub [[u8; COLS]; ROWS]);

impl RowTile {
    pub(crate) const ZERO: Self = Self([[0; COLS]; ROWS]);
}

/// What belongs to a group of columns of 12 rows.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct RowGroup {
    /// As [`Strip::scales`].
    pub scales: [f32; ROWS],
    /// The scales times −[`ANCHOR`].
    pub anchors: [f32; ROWS],
    /// As [`Strip::minima`].
    pub minima: [f32; ROWS],
}

impl RowGroup {
    pub(crate) const ZERO: Self = Self { scales: [0.0; ROWS], anchors: [0.0; ROWS], minima: [0.0; ROWS] };
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

    /// Tiles of a row, or of a token.
    pub(crate) fn tiles(self) -> usize {
        self.strips * TILES
    }

    /// Groups of a row, or of a token.
    pub(crate) fn all_groups(self) -> usize {
        self.strips * self.groups
    }

    /// The place of group `g` of strip `s` among those.
    pub(crate) fn place(self, g: usize, s: usize) -> usize {
        g * self.strips + s
    }
}

/// Tokens laid out, 16 a tile: of a group's part of a strip first the tiles of the first sixteen, then those of the next.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub tiles: &'a [TokenTile],
    pub groups: &'a [TokenGroup],
}

impl Tokens<'_> {
    /// The first `count` sixteens of them, and the rest.
    pub(crate) fn split_at(self, count: usize, order: Order) -> (Self, Self) {
        let count = count.min(self.tiles.len() / order.tiles());
        let (tiles, more_tiles) = self.tiles.split_at(count * order.tiles());
        let (groups, more_groups) = self.groups.split_at(count * order.all_groups());
        (Self { tiles, groups }, Self { tiles: more_tiles, groups: more_groups })
    }
}

/// Lays out group `g` of some tokens, whose strips follow one another in `tokens`, as [`Tokens`] are.
/// `offset` is [`Tiles::offset`].
pub(crate) fn lay_out_group(
    order: Order,
    g: usize,
    offset: u8,
    tokens: &[ActivationStrip],
    tiles: &mut [TokenTile],
    groups: &mut [TokenGroup],
) {
    let abreast = groups.len() / order.strips;
    let tiles = tiles.chunks_exact_mut(abreast * order.per_group());
    for (s, (tiles, groups)) in tiles.zip(groups.chunks_exact_mut(abreast)).enumerate() {
        for (which, group) in groups.iter_mut().enumerate() {
            let tokens = tokens.chunks_exact(order.strips).skip(which * WIDTH).take(WIDTH);
            *group = TokenGroup::ZERO;
            for (token, strips) in tokens.clone().enumerate() {
                let (sum, scale, total) = strips[s].group(order.groups, g);
                group.starts[token] = ANCHOR.to_bits() as i32 - i32::from(offset) * sum;
                (group.scales[token], group.totals[token]) = (scale, total);
            }
            for (t, tile) in tiles[which * order.per_group()..][..order.per_group()].iter_mut().enumerate() {
                *tile = TokenTile::ZERO;
                for (token, strips) in tokens.clone().enumerate() {
                    let codes = strips[s].codes.as_chunks::<COLS>().0[g * order.per_group() + t];
                    for (quads, codes) in tile.0.iter_mut().zip(codes.as_chunks::<4>().0) {
                        quads[token] = *codes;
                    }
                }
            }
        }
    }
}

/// Rows of a checked matrix with up to [`SEVERAL`] tokens, [tokens, strips], [turned](crate::activations::turn) when there
/// is more than one: their products, [rows, tokens].
pub(crate) type ByRows = unsafe fn(Matrix<'_>, Range<usize>, &[ActivationStrip], &mut [f32]);

/// How an instruction set multiplies rows with several tokens. All of it may be called only on a CPU that has the
/// instruction set.
#[derive(Clone, Copy)]
pub(crate) enum Many {
    /// Each row with one token after the other.
    OneByOne {
        /// Spells a row as [`Quant::strip`] does.
        spell: unsafe fn(Quant, Row<'_>, &mut [Strip]),
        /// A spelled row with a token.
        dot: unsafe fn(Quant, &[Strip], &[ActivationStrip]) -> f32,
    },
    /// Rows as they stream by, however many tokens there are.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // AVX2's.
    Rows(ByRows),
    /// Rows as they stream by with a few tokens, tiles with more.
    Tiles(ByRows, Tiles),
}

/// Rows spelled out, and multiplied with tokens side by side.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    /// With so many tokens or fewer, rows as they stream by are faster: [`FEW`] or more.
    pub few: usize,
    /// What is added to the codes of weights: 128 to make them unsigned, or 0 to leave them signed.
    pub offset: u8,
    /// Spells up to twelve rows in the [`Order`] of their format; whether all scales may be anchored.
    pub spell: unsafe fn(Quant, &[Row<'_>], Order, Twelve<'_>) -> bool,
    /// Multiplies rows with one or two sixteens of tokens; in the sums of each twelve rows the first lane becomes the
    /// answer. Fetches the tokens that come next meanwhile.
    pub multiply: unsafe fn(&Block<'_>, Tokens<'_>, Tokens<'_>, &mut [Sums]),
}

impl Tiles {
    /// The same: memory for tiles is planned from more tokens than [`FEW`] on.
    pub(crate) const fn checked(self) -> Self {
        assert!(self.few >= FEW, "rows as they stream by for few tokens");
        self
    }
}

/// Where twelve rows are spelled out.
pub(crate) struct Twelve<'a> {
    pub tiles: &'a mut [RowTile],
    pub groups: &'a mut [RowGroup],
}

/// Rows spelled out, twelve after twelve.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub tiles: &'a [RowTile],
    pub groups: &'a [RowGroup],
}

/// The same, and what is to be known of them.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub rows: Rows<'a>,
    pub order: Order,
    /// Whether the format has minima.
    pub minima: bool,
    /// Whether all scales may be anchored.
    pub anchored: bool,
}

/// The sums of twelve rows with one or two sixteens of tokens for each lane of the canonical order; lanes of its second
/// half are added to those of the first as they come.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Sums(pub [Lane; 8]);

/// A lane of all of them.
pub(crate) type Lane = [[f32; ABREAST * WIDTH]; ROWS];

impl Sums {
    pub(crate) const ZERO: Self = Self([[[0.0; ABREAST * WIDTH]; ROWS]; 8]);
}
