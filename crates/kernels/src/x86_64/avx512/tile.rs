//! Rows with many tokens: a lane is a token, a weight is broadcast.
//!
//! A tile is [`ROWS`] rows by up to 48 tokens, whose integer sums stay in registers over a group; the f32 lanes of
//! the canonical order are kept beside, in the first-level cache.

use std::arch::x86_64::*;

use quant::{Quant, Row, Strip};

use super::unpack::{Unpack, prefetch, spelled, whole_strips};
use crate::tiles::{ROWS, TokenTile, WIDTH};

/// Spells a row in this folder's unsigned codes.
///
/// # Safety
/// As [`Unpack::strip`], of every strip of the row.
#[inline(always)]
pub(super) unsafe fn spell<U: Unpack>(quant: Quant, row: Row<'_>, out: &mut [Strip]) {
    let whole = whole_strips(quant, row);
    let per_strip = row.values.len() / out.len();
    for (index, out) in out.iter_mut().enumerate() {
        prefetch(row.values.as_ptr().wrapping_add(index * per_strip), per_strip);
        // SAFETY: the caller's promise; the stores fill whole arrays.
        unsafe {
            let strip =
                if index < whole { U::strip(quant, row, index) } else { spelled::<U>(quant, row, index) };
            for (i, codes) in strip.codes.into_iter().enumerate() {
                _mm512_storeu_si512(out.codes.as_mut_ptr().add(64 * i).cast(), codes);
            }
            _mm512_storeu_ps(out.scales.as_mut_ptr(), strip.scales);
            if U::MINIMA {
                _mm512_storeu_ps(out.minima.as_mut_ptr(), strip.minima);
            }
        }
    }
}

/// Multiplies `rows`, [rows, strips], with up to [`crate::tiles::ABREAST`] token tiles, `x` [tiles, strips]; `out` is
/// [rows, tiles · WIDTH].
///
/// # Safety
/// The CPU has the instruction set of this folder.
#[inline(always)]
pub(super) unsafe fn multiply<U: Unpack>(rows: &[Strip], x: &[TokenTile], strips: usize, out: &mut [f32]) {
    let tiles = x.len() / strips;
    for (rows, out) in rows.chunks(ROWS * strips).zip(out.chunks_mut(ROWS * tiles * WIDTH)) {
        // SAFETY: the caller's promise.
        unsafe {
            match (rows.len() / strips, tiles) {
                (ROWS, 3) => tile::<U, ROWS, 3>(rows, x, strips, out),
                (ROWS, 2) => tile::<U, ROWS, 2>(rows, x, strips, out),
                (ROWS, 1) => tile::<U, ROWS, 1>(rows, x, strips, out),
                _ => {
                    for (row, out) in rows.chunks(strips).zip(out.chunks_mut(tiles * WIDTH)) {
                        for (x, out) in x.chunks(strips).zip(out.chunks_mut(WIDTH)) {
                            tile::<U, 1, 1>(row, x, strips, out);
                        }
                    }
                }
            }
        }
    }
}

/// `R` rows with `C` token tiles.
#[inline(always)]
unsafe fn tile<U: Unpack, const R: usize, const C: usize>(
    rows: &[Strip],
    x: &[TokenTile],
    strips: usize,
    out: &mut [f32],
) {
    assert!(rows.len() == R * strips && x.len() == C * strips && out.len() == R * C * WIDTH);
    let groups = if U::SIXTEEN { 16 } else { 8 };
    // SAFETY: the caller's promise; the pointers stay within the slices by the line above.
    unsafe {
        let mut lanes = [[[_mm512_setzero_ps(); C]; R]; 16];
        for s in 0..strips {
            let w: [*const Strip; R] = std::array::from_fn(|r| rows.as_ptr().add(r * strips + s));
            let x: [*const TokenTile; C] = std::array::from_fn(|c| x.as_ptr().add(c * strips + s));
            for (g, lanes) in lanes[..groups].iter_mut().enumerate() {
                add_group::<U, R, C>(&w, &x, g, lanes);
            }
        }
        let mut half = groups / 2;
        while half > 0 {
            let (low, high) = lanes.split_at_mut(half);
            for (low, high) in low.iter_mut().flatten().flatten().zip(high.iter().flatten().flatten()) {
                *low = _mm512_add_ps(*low, *high);
            }
            half /= 2;
        }
        for (sums, out) in lanes[0].as_flattened().iter().zip(out.chunks_exact_mut(WIDTH)) {
            _mm512_storeu_ps(out.as_mut_ptr(), *sums);
        }
    }
}

/// Adds the products of group `g` of a strip to its lane of the sums.
#[inline(always)]
unsafe fn add_group<U: Unpack, const R: usize, const C: usize>(
    w: &[*const Strip; R],
    x: &[*const TokenTile; C],
    g: usize,
    lanes: &mut [[__m512; C]; R],
) {
    let quads = if U::SIXTEEN { 4 } else { 8 };
    // SAFETY: the caller's promise.
    unsafe {
        let start: [__m512i; C] = std::array::from_fn(|c| match U::OFFSET {
            None => _mm512_setzero_si512(),
            Some(log2) => {
                let sums = if U::SIXTEEN { &(*x[c]).sums16[g] } else { &(*x[c]).sums32[g] };
                let sums = _mm512_load_si512(sums.as_ptr().cast());
                let shift = _mm512_set1_epi32(log2 as i32);
                _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_sllv_epi32(sums, shift))
            }
        });
        let mut sums = [start; R];
        for quad in g * quads..(g + 1) * quads {
            let x: [__m512i; C] =
                std::array::from_fn(|c| _mm512_load_si512((*x[c]).codes[quad].as_ptr().cast()));
            for r in 0..R {
                let w = (*w[r]).codes.as_ptr().add(4 * quad).cast::<i32>().read_unaligned();
                let w = _mm512_set1_epi32(w);
                for c in 0..C {
                    sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], w, x[c]);
                }
            }
        }
        for r in 0..R {
            let scale = _mm512_set1_ps((*w[r]).scales[g]);
            for c in 0..C {
                let scales = _mm512_load_ps((*x[c]).scales[if U::SIXTEEN { g / 2 } else { g }].as_ptr());
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][c]), scale);
                lanes[r][c] = _mm512_fmadd_ps(scaled, scales, lanes[r][c]);
                if U::MINIMA {
                    let totals = if U::SIXTEEN { &(*x[c]).totals16[g] } else { &(*x[c]).totals32[g] };
                    let minimum = _mm512_set1_ps((*w[r]).minima[g]);
                    lanes[r][c] = _mm512_fnmadd_ps(minimum, _mm512_load_ps(totals.as_ptr()), lanes[r][c]);
                }
            }
        }
    }
}
