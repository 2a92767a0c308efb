//! The instruction sets, and the table of kernels of each.

use quant::{Quant, Row};

use crate::generic;
use crate::lanes::LANES;
#[cfg(target_arch = "x86_64")]
use crate::x86_64;

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What the compiler may assume of any machine of this architecture.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and DQ, and FMA.
    Avx512,
}

impl Isa {
    /// Every instruction set, slowest first.
    pub const ALL: &'static [Isa] = &[Isa::Scalar, Isa::Avx2, Isa::Avx512];

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
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
struct Functions {
    dequantize: unsafe fn(Quant, Row<'_>, &mut [f32]),
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_rows: unsafe fn(&[f32], &[f32], &mut [f32]),
    axpy: unsafe fn(f32, &[f32], &mut [f32]),
    add: unsafe fn(&[f32], &mut [f32]),
    rms_norm: unsafe fn(&[f32], &[f32], f32, &mut [f32]),
    silu_mul: unsafe fn(&mut [f32], &[f32]),
    softmax: unsafe fn(&mut [f32]),
    sigmoid: unsafe fn(&mut [f32]),
}

/// Compiles [`generic`] once more, under `$attribute`, as a module with a table of its own.
macro_rules! instantiate {
    ($module:ident, $isa:expr, $lanes:ty, $tile:literal, $(#[$attribute:meta])*) => {
        mod $module {
            use super::*;

            pub(super) static KERNELS: Kernels = Kernels {
                isa: $isa,
                functions: Functions {
                    dequantize, dot, dot_rows, axpy, add, rms_norm, silu_mul, softmax, sigmoid,
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
            fn softmax(x: &mut [f32]) {
                generic::softmax(x);
            }
            $(#[$attribute])*
            fn sigmoid(x: &mut [f32]) {
                generic::sigmoid(x);
            }
        }
    };
}

// The last number is how many tokens share a load of a weight row: as many as their sums fit the registers.
instantiate!(scalar, Isa::Scalar, [f32; LANES], 1,);
#[cfg(target_arch = "x86_64")]
instantiate!(avx2, Isa::Avx2, x86_64::Avx2, 3, #[target_feature(enable = "avx2,fma,f16c")]);
#[cfg(target_arch = "x86_64")]
instantiate!(avx512, Isa::Avx512, x86_64::Avx512, 4, #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]);

impl Kernels {
    /// The kernels for the best instruction set of this CPU.
    pub fn detect() -> &'static Kernels {
        Isa::ALL.iter().rev().find_map(|isa| Self::for_isa(*isa)).unwrap_or(&scalar::KERNELS)
    }

    /// The kernels for `isa`; `None` when this CPU lacks it.
    #[cfg(target_arch = "x86_64")]
    pub fn for_isa(isa: Isa) -> Option<&'static Kernels> {
        use std::arch::is_x86_feature_detected as has;
        match isa {
            Isa::Scalar => Some(&scalar::KERNELS),
            Isa::Avx2 => (has!("avx2") && has!("fma") && has!("f16c")).then_some(&avx2::KERNELS),
            Isa::Avx512 => {
                (has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") && has!("fma"))
                    .then_some(&avx512::KERNELS)
            }
        }
    }

    /// The kernels for `isa`; `None` when this CPU lacks it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn for_isa(isa: Isa) -> Option<&'static Kernels> {
        (isa == Isa::Scalar).then_some(&scalar::KERNELS)
    }

    /// Decodes one row of `out.len()` columns; the bits of [`Quant::dequantize`].
    pub fn dequantize(&self, quant: Quant, row: Row<'_>, out: &mut [f32]) {
        // SAFETY: a table is only handed out, by `for_isa`, when the CPU has its instruction set.
        unsafe { (self.functions.dequantize)(quant, row, out) }
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
}
