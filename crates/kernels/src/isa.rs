//! The instruction sets, and the table of kernels of each.

use quant::{Matrix, Quant, Row};

#[cfg(target_arch = "aarch64")]
use crate::aarch64;
use crate::activations::{self, ActivationStrip, STRIP};
use crate::attention::{self, Factors, Size};
use crate::delta::{self, DeltaToken};
use crate::float_row;
use crate::float_tile::{self, Part, Sum};
use crate::generic;
use crate::integer;
use crate::lanes::LANES;
#[cfg(target_arch = "x86_64")]
use crate::sixteen_x86_64::{OneOfAvx512, TwoOfAvx2};
use crate::tiles::Many;
#[cfg(target_arch = "x86_64")]
use crate::x86_64;

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What the compiler may assume of any machine of this architecture.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-VNNI besides: Alder Lake, Zen 5 and later.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL, DQ, VNNI and VBMI, and FMA: Ice Lake, Zen 4 and later.
    Avx512,
    /// aarch64 with the dot products of bytes of ARMv8.2: Cortex-A76, Apple M1, Graviton 2 and later.
    Neon,
}

impl Isa {
    /// Every instruction set, slowest first.
    pub const ALL: &'static [Isa] = &[Isa::Scalar, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Neon];

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }
}

/// The kernels for one instruction set. The bits of an answer are the same for all of them (any NaN counts as NaN).
pub struct Kernels {
    /// The instruction set.
    pub isa: Isa,
    functions: Functions,
}

/// The entries. Each may be called only on a CPU that has the table's instruction set.
#[allow(clippy::type_complexity)] // Slices, spelled out as the functions have them.
struct Functions {
    dequantize: unsafe fn(Quant, Row<'_>, &mut [f32]),
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_rows: unsafe fn(&[f32], &[f32], &mut [f32]),
    add_products: unsafe fn(Part<'_>, Part<'_>, &mut [Sum]),
    folded: unsafe fn(&[Sum], &mut [f32]),
    dot_floats: unsafe fn(Quant, Row<'_>, &[f32]) -> Option<f32>,
    axpy: unsafe fn(f32, &[f32], &mut [f32]),
    add: unsafe fn(&[f32], &mut [f32]),
    rms_norm: unsafe fn(&[f32], &[f32], f32, &mut [f32]),
    silu_mul: unsafe fn(&mut [f32], &[f32]),
    clamped_mul: unsafe fn(&mut [f32], &[f32], [f32; 2], f32),
    softmax: unsafe fn(&mut [f32]),
    sigmoid: unsafe fn(&mut [f32]),
    root_softplus: unsafe fn(&mut [f32]),
    quantize: unsafe fn(&[f32], &mut ActivationStrip),
    dot_codes: unsafe fn(Quant, Row<'_>, &[ActivationStrip]) -> f32,
    many: Many,
    accumulate: unsafe fn(Factors<'_>, (&[f32], usize), (&mut [f32], usize), Size),
    soften: unsafe fn(&mut [f32], &mut [f32], &mut [f32], &mut [f32]),
    widen: unsafe fn(&[u16], &mut [f32]),
    scale_codes: unsafe fn(&[i8], f32, &mut [f32]),
    blend: unsafe fn(f32, &mut [f32], f32, &[f32]),
    convolve: unsafe fn(&[&[f32]], &[f32], &mut [f32]),
    delta: unsafe fn(&mut [f32], DeltaToken<'_>, &[f32], &mut [f32]),
    fade: unsafe fn(&mut [f32], f32),
    fade_within: unsafe fn(&mut [f32], f32, f32),
    soft_mul: unsafe fn(&mut [f32], &[f32], f32, f32),
    gate_silu: unsafe fn(&mut [f32], &[f32]),
    gate_sigmoid: unsafe fn(&mut [f32], &[f32]),
    peaks: Option<Peaks>,
}

/// Register-only loops: each takes a number of rounds, and gives the number of multiply-adds that makes.
struct Peaks {
    codes: unsafe fn(u64) -> u64,
    floats: unsafe fn(u64) -> u64,
}

/// What is multiplied and added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Signed bytes, into 32-bit sums.
    Codes,
    /// f32.
    Floats,
}

/// Compiles [`generic`] once more, under `$attribute`, as a module with a table of its own.
macro_rules! instantiate {
    ($module:ident, $isa:expr, $lanes:ty, $sixteen:ty, $tile:literal, $tall:literal, $wide:literal, $dot_codes:path, $quantize:path, $many:expr, $peaks:expr, $(#[$attribute:meta])*) => {
        mod $module {
            use super::*;

            pub(super) static KERNELS: Kernels = Kernels {
                isa: $isa,
                functions: Functions {
                    dequantize, dot, dot_rows, add_products, folded, axpy, add, rms_norm, silu_mul, clamped_mul, softmax, sigmoid, root_softplus, quantize,
                    dot_floats, dot_codes: $dot_codes, many: $many, peaks: $peaks,
                    accumulate, soften, widen, scale_codes, blend, convolve, delta, fade, fade_within, soft_mul, gate_silu,
                    gate_sigmoid,
                },
            };

            $(#[$attribute])*
            fn dequantize(quant: Quant, row: Row<'_>, out: &mut [f32]) {
                generic::dequantize(quant, row, out);
            }
            $(#[$attribute])*
            fn dot(a: &[f32], b: &[f32]) -> f32 {
                generic::dot::<$lanes>(a, b)
            }
            $(#[$attribute])*
            fn dot_rows(row: &[f32], x: &[f32], out: &mut [f32]) {
                generic::dot_rows::<$lanes, $tile>(row, x, out);
            }
            $(#[$attribute])*
            fn add_products(rows: Part<'_>, tokens: Part<'_>, sums: &mut [Sum]) {
                float_tile::add_products::<$sixteen, $tall, $wide>(rows, tokens, sums);
            }
            $(#[$attribute])*
            fn folded(sums: &[Sum], out: &mut [f32]) {
                float_tile::folded(sums, out);
            }
            $(#[$attribute])*
            unsafe fn dot_floats(quant: Quant, row: Row<'_>, x: &[f32]) -> Option<f32> {
                // SAFETY: the caller's duty.
                unsafe { float_row::dot_floats::<$sixteen>(quant, row, x) }
            }
            $(#[$attribute])*
            fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
                generic::axpy(a, x, y);
            }
            $(#[$attribute])*
            fn add(x: &[f32], y: &mut [f32]) {
                generic::add(x, y);
            }
            $(#[$attribute])*
            fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
                generic::rms_norm::<$lanes>(x, weight, eps, out);
            }
            $(#[$attribute])*
            fn silu_mul(gate: &mut [f32], up: &[f32]) {
                generic::silu_mul(gate, up);
            }
            $(#[$attribute])*
            fn clamped_mul(gate: &mut [f32], up: &[f32], slope: [f32; 2], limit: f32) {
                generic::clamped_mul(gate, up, slope, limit);
            }
            $(#[$attribute])*
            fn softmax(x: &mut [f32]) {
                generic::softmax(x);
            }
            $(#[$attribute])*
            fn sigmoid(x: &mut [f32]) {
                generic::sigmoid(x);
            }
            $(#[$attribute])*
            fn root_softplus(x: &mut [f32]) {
                delta::root_softplus(x);
            }
            $(#[$attribute])*
            fn quantize(x: &[f32], out: &mut ActivationStrip) {
                $quantize(x, out);
            }
            $(#[$attribute])*
            unsafe fn accumulate(a: Factors<'_>, b: (&[f32], usize), c: (&mut [f32], usize), size: Size) {
                // SAFETY: the caller's duty.
                unsafe { attention::accumulate::<$sixteen>(a, b, c, size) }
            }
            $(#[$attribute])*
            fn soften(scores: &mut [f32], most: &mut [f32], total: &mut [f32], fade: &mut [f32]) {
                attention::soften(scores, most, total, fade);
            }
            $(#[$attribute])*
            fn widen(halves: &[u16], out: &mut [f32]) {
                attention::widen::<$sixteen>(halves, out);
            }
            $(#[$attribute])*
            fn scale_codes(codes: &[i8], scale: f32, out: &mut [f32]) {
                attention::scale_codes(codes, scale, out);
            }
            $(#[$attribute])*
            fn blend(fade: f32, y: &mut [f32], weight: f32, x: &[f32]) {
                attention::blend(fade, y, weight, x);
            }
            $(#[$attribute])*
            fn convolve(rows: &[&[f32]], weights: &[f32], out: &mut [f32]) {
                delta::convolve(rows, weights, out);
            }
            $(#[$attribute])*
            unsafe fn delta(state: &mut [f32], token: DeltaToken<'_>, value: &[f32], out: &mut [f32]) {
                // SAFETY: the caller's duty.
                unsafe { delta::delta::<$sixteen>(state, token, value, out) }
            }
            $(#[$attribute])*
            fn fade(x: &mut [f32], rate: f32) {
                delta::fade(x, rate);
            }
            $(#[$attribute])*
            fn fade_within(x: &mut [f32], rate: f32, bound: f32) {
                delta::fade_within(x, rate, bound);
            }
            $(#[$attribute])*
            fn soft_mul(gate: &mut [f32], up: &[f32], beta: f32, linear: f32) {
                generic::soft_mul(gate, up, beta, linear);
            }
            $(#[$attribute])*
            fn gate_silu(x: &mut [f32], gate: &[f32]) {
                delta::gate_silu(x, gate);
            }
            $(#[$attribute])*
            fn gate_sigmoid(x: &mut [f32], gate: &[f32]) {
                delta::gate_sigmoid(x, gate);
            }
        }
    };
}

// The numbers are how many tokens share the loads of one row, and how many rows and tokens share theirs, sixteen lanes at a
// time: as many as their sums fit the registers.
instantiate!(
    scalar,
    Isa::Scalar,
    [f32; LANES],
    [f32; 16],
    1,
    1,
    1,
    integer::dot,
    activations::quantize,
    Many::OneByOne { spell: integer::spell, dot: integer::dot_spelled },
    None,
);
#[cfg(target_arch = "x86_64")]
instantiate!(
    avx2, Isa::Avx2, x86_64::Avx2, TwoOfAvx2, 3, 2, 2, x86_64::avx2::plain::dot_codes,
    activations::quantize,
    Many::Rows(x86_64::avx2::plain::dot_rows),
    Some(Peaks { codes: x86_64::peak::codes_avx2, floats: x86_64::peak::floats_avx2 }),
    #[target_feature(enable = "avx2,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
instantiate!(
    avx_vnni, Isa::AvxVnni, x86_64::Avx2, TwoOfAvx2, 3, 2, 2, x86_64::avx2::vnni::dot_codes,
    activations::quantize,
    Many::Tiles(x86_64::avx2::vnni::dot_rows, x86_64::avx2::vnni::TILES),
    Some(Peaks { codes: x86_64::peak::codes_avx_vnni, floats: x86_64::peak::floats_avx2 }),
    #[target_feature(enable = "avx2,fma,f16c")]
);
#[cfg(target_arch = "x86_64")]
instantiate!(
    avx512, Isa::Avx512, x86_64::Avx512, OneOfAvx512, 3, 6, 4, x86_64::avx512::dot_codes,
    x86_64::avx512::quantize,
    Many::Tiles(x86_64::avx512::dot_rows, x86_64::avx512::TILES),
    Some(Peaks { codes: x86_64::peak::codes_avx512, floats: x86_64::peak::floats_avx512 }),
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,fma,f16c")]
);
#[cfg(target_arch = "aarch64")]
instantiate!(
    neon, Isa::Neon, aarch64::NeonLanes, aarch64::FourOfNeon, 3, 2, 2, aarch64::codes::dot_codes,
    activations::quantize,
    Many::Tiles(aarch64::codes::dot_rows, aarch64::codes::TILES),
    Some(Peaks { codes: aarch64::peak::codes, floats: aarch64::peak::floats }),
    #[target_feature(enable = "neon,dotprod")]
);

impl Kernels {
    /// The kernels for the best instruction set of this CPU.
    pub fn detect() -> &'static Kernels {
        Isa::ALL.iter().rev().find_map(|isa| Self::for_isa(*isa)).unwrap_or(&scalar::KERNELS)
    }

    /// The kernels for `isa`; `None` when this CPU lacks it.
    #[cfg(target_arch = "x86_64")]
    pub fn for_isa(isa: Isa) -> Option<&'static Kernels> {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma") && has!("f16c");
        match isa {
            Isa::Scalar => Some(&scalar::KERNELS),
            Isa::Avx2 => avx2.then_some(&avx2::KERNELS),
            Isa::AvxVnni => (avx2 && has!("avxvnni")).then_some(&avx_vnni::KERNELS),
            Isa::Avx512 => {
                let base = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
                let bytes = has!("avx512vnni") && has!("avx512vbmi");
                (base && bytes && has!("fma") && has!("f16c")).then_some(&avx512::KERNELS)
            }
            Isa::Neon => None,
        }
    }

    /// The kernels for `isa`; `None` when this CPU lacks it.
    #[cfg(target_arch = "aarch64")]
    pub fn for_isa(isa: Isa) -> Option<&'static Kernels> {
        match isa {
            Isa::Scalar => Some(&scalar::KERNELS),
            Isa::Neon => std::arch::is_aarch64_feature_detected!("dotprod").then_some(&neon::KERNELS),
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 => None,
        }
    }

    /// The kernels for `isa`; `None` when this CPU lacks it.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn for_isa(isa: Isa) -> Option<&'static Kernels> {
        (isa == Isa::Scalar).then_some(&scalar::KERNELS)
    }

    /// Decodes one row of `out.len()` columns; the bits of [`Quant::dequantize`].
    pub fn dequantize(&self, quant: Quant, row: Row<'_>, out: &mut [f32]) {
        // SAFETY: a table is only handed out, by `for_isa`, when the CPU has its instruction set.
        unsafe { (self.functions.dequantize)(quant, row, out) }
    }

    /// Decodes row `row` of `matrix`, its factor included.
    pub fn dequantize_row(&self, matrix: &Matrix<'_>, row: usize, out: &mut [f32]) {
        self.dequantize(matrix.quant(), matrix.row(row), out);
        if matrix.factor() != 1.0 {
            out.iter_mut().for_each(|value| *value *= matrix.factor());
        }
    }

    /// The dot product of two rows of equal length.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "a dot product of rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.dot)(a, b) }
    }

    /// `out[t]` = the dot product of `row` with row t of `x`, [out.len(), row.len()]; the bits of [`Kernels::dot`],
    /// whatever the number of tokens.
    pub fn dot_rows(&self, row: &[f32], x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), row.len() * out.len(), "x is [tokens, cols]");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.dot_rows)(row, x, out) }
    }

    /// See [`float_tile::add_products`].
    pub(crate) fn add_products(&self, rows: Part<'_>, tokens: Part<'_>, sums: &mut [Sum]) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.add_products)(rows, tokens, sums) }
    }

    /// See [`float_tile::folded`].
    pub(crate) fn folded(&self, sums: &[Sum], out: &mut [f32]) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.folded)(sums, out) }
    }

    /// The dot product of a row of weights, dequantized, with a token, without writing the row down, where this
    /// instruction set can; the bits of [`Kernels::dequantize`] and [`Kernels::dot`].
    pub fn dot_floats(&self, quant: Quant, row: Row<'_>, x: &[f32]) -> Option<f32> {
        assert_eq!(quant.row_len(row), Some(x.len()), "a row as long as the token");
        // SAFETY: as in `dequantize`; the row is as long as the token, by the line above.
        unsafe { (self.functions.dot_floats)(quant, row, x) }
    }

    /// y += a·x, each element fused.
    pub fn axpy(&self, a: f32, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.axpy)(a, x, y) }
    }

    /// y += x.
    pub fn add(&self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.add)(x, y) }
    }

    /// out = weight · x / √(mean x² + eps).
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        assert!(x.len() == weight.len() && x.len() == out.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.rms_norm)(x, weight, eps, out) }
    }

    /// gate = silu(gate) · up, where silu(g) = g·sigmoid(g).
    pub fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.silu_mul)(gate, up) }
    }

    /// gate = g·sigmoid(alpha·g) · (u + shift) of the slope (alpha, shift), where g is the gate but at most `limit`, and u is `up` within ±`limit`.
    pub fn clamped_mul(&self, gate: &mut [f32], up: &[f32], slope: [f32; 2], limit: f32) {
        assert_eq!(gate.len(), up.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.clamped_mul)(gate, up, slope, limit) }
    }

    /// x = e^x / Σ e^x, computed from the largest down so that it cannot overflow. NaN if all of `x` is −∞.
    pub fn softmax(&self, x: &mut [f32]) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.softmax)(x) }
    }

    /// x = 1 / (1 + e^−x).
    pub fn sigmoid(&self, x: &mut [f32]) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.sigmoid)(x) }
    }

    /// x = √ln(1 + e^x).
    pub fn root_softplus(&self, x: &mut [f32]) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.root_softplus)(x) }
    }

    /// Spells a row of `x` as signed bytes, 256 columns a strip; the last strip may be short of columns.
    pub fn quantize(&self, x: &[f32], out: &mut [ActivationStrip]) {
        assert_eq!(x.len().div_ceil(STRIP), out.len(), "a strip for every {STRIP} columns");
        for (x, out) in x.chunks(STRIP).zip(out) {
            // SAFETY: as in `dequantize`.
            unsafe { (self.functions.quantize)(x, out) }
        }
    }

    /// The product of a row of integer codes with a token, in the order of `integer.rs`.
    ///
    /// # Panics
    /// When `quant` has no strips, and when the row is not as long as the token.
    pub fn dot_codes(&self, quant: Quant, row: Row<'_>, x: &[ActivationStrip]) -> f32 {
        check_codes(quant, row, x.len());
        if x.is_empty() {
            return 0.0;
        }
        // SAFETY: as in `dequantize`; every strip of the row is there, by the check above.
        unsafe { (self.functions.dot_codes)(quant, row, x) }
    }

    /// `c[i, j] += Σ a[i, k]·b[k, j]`, k ascending and each product fused, for all sizes. `b` and `c` come with the
    /// floats from one row to the next.
    pub fn accumulate(&self, a: Factors<'_>, b: (&[f32], usize), c: (&mut [f32], usize), size: Size) {
        attention::check(a, b, (c.0, c.1), size);
        // SAFETY: as in `dequantize`; and the operands were checked.
        unsafe { (self.functions.accumulate)(a, b, c, size) }
    }

    /// One tile of an online softmax: `scores`, [keys, lanes], become e^(score − most) and are added to `total`; `most`
    /// is raised where a score is higher, and `fade` is what former sums must be multiplied by therefore. A lane that
    /// has seen nothing has `most` −∞ and `total` 0.
    pub fn soften(&self, scores: &mut [f32], most: &mut [f32], total: &mut [f32], fade: &mut [f32]) {
        let lanes = most.len();
        assert!(lanes > 0 && lanes.is_multiple_of(16) && scores.len().is_multiple_of(lanes), "whole lanes");
        assert!(total.len() == lanes && fade.len() == lanes, "one of each a lane");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.soften)(scores, most, total, fade) }
    }

    /// The floats equal to `halves`.
    pub fn widen(&self, halves: &[u16], out: &mut [f32]) {
        assert_eq!(halves.len(), out.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.widen)(halves, out) }
    }

    /// out = codes · scale.
    pub fn scale_codes(&self, codes: &[i8], scale: f32, out: &mut [f32]) {
        assert_eq!(codes.len(), out.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.scale_codes)(codes, scale, out) }
    }

    /// y = y·fade + x·weight, the second product fused.
    pub fn blend(&self, fade: f32, y: &mut [f32], weight: f32, x: &[f32]) {
        assert_eq!(x.len(), y.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.blend)(fade, y, weight, x) }
    }

    /// `out = silu(Σ rows[i] · weights[i])`, oldest row first, each column by itself; `weights` is
    /// `[rows.len(), out.len()]`.
    pub fn convolve(&self, rows: &[&[f32]], weights: &[f32], out: &mut [f32]) {
        assert!(rows.iter().all(|row| row.len() == out.len()), "rows of equal length");
        assert_eq!(weights.len(), rows.len() * out.len(), "weights for every row");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.convolve)(rows, weights, out) }
    }

    /// One token through the delta rule of a head: `state`, `[panels, keys, 16]`, fades by `decay`, takes up `value`
    /// under `key`, and is asked for `query`. `value` and `out` are `[panels, 16]`.
    pub fn delta(&self, state: &mut [f32], token: DeltaToken<'_>, value: &[f32], out: &mut [f32]) {
        let keys = token.key.len();
        let slices = [token.faded, token.decay, token.query];
        assert!(slices.iter().all(|slice| slice.len() == keys), "slices as long as a key");
        assert!(value.len().is_multiple_of(16) && value.len() == out.len(), "whole panels of values");
        assert_eq!(state.len(), keys * value.len(), "a state of keys by values");
        // SAFETY: as in `dequantize`; the lengths were checked.
        unsafe { (self.functions.delta)(state, token, value, out) }
    }

    /// x = e^(rate · softplus(x)).
    pub fn fade(&self, x: &mut [f32], rate: f32) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.fade)(x, rate) }
    }

    /// x = e^(bound · sigmoid(−rate · x)).
    pub fn fade_within(&self, x: &mut [f32], rate: f32, bound: f32) {
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.fade_within)(x, rate, bound) }
    }

    /// gate = soft(gate, beta) · sigmoid(gate) · soft(up, linear), where soft(x, most) = most · tanh(x / most).
    pub fn soft_mul(&self, gate: &mut [f32], up: &[f32], beta: f32, linear: f32) {
        assert_eq!(gate.len(), up.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.soft_mul)(gate, up, beta, linear) }
    }

    /// x = x · silu(gate).
    pub fn gate_silu(&self, x: &mut [f32], gate: &[f32]) {
        assert_eq!(x.len(), gate.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.gate_silu)(x, gate) }
    }

    /// x = x · sigmoid(gate).
    pub fn gate_sigmoid(&self, x: &mut [f32], gate: &[f32]) {
        assert_eq!(x.len(), gate.len(), "rows of equal length");
        // SAFETY: as in `dequantize`.
        unsafe { (self.functions.gate_sigmoid)(x, gate) }
    }

    /// Multiplies and adds in registers alone for some rounds; how many times, or `None` where there is no such loop.
    /// What a second of it gives is the most this processor can do.
    pub fn peak(&self, product: Product, rounds: u64) -> Option<u64> {
        let peaks = self.functions.peaks.as_ref()?;
        let work = match product {
            Product::Codes => peaks.codes,
            Product::Floats => peaks.floats,
        };
        // SAFETY: as in `dequantize`.
        Some(unsafe { work(rounds) })
    }

    /// Products with many tokens.
    pub(crate) fn many(&self) -> &Many {
        &self.functions.many
    }
}

/// Asserts that `row` spells `strips` strips, of which the last may be short.
pub(crate) fn check_codes(quant: Quant, row: Row<'_>, strips: usize) {
    assert!(quant.strip_group().is_some(), "{quant} has no integer codes");
    assert_eq!(quant.row_len(row).map(|len| len.div_ceil(STRIP)), Some(strips), "a row as long as the token");
}

/// Panics unless all rows of `matrix` are integer codes with so many strips.
pub(crate) fn check_matrix(matrix: Matrix<'_>, strips: usize) {
    let quant = matrix.quant();
    assert!(quant.strip_group().is_some(), "{quant} has no integer codes");
    assert_eq!(matrix.cols().div_ceil(STRIP), strips, "rows as long as the tokens");
}
