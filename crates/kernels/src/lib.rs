//! Arithmetic on slices, for every instruction set.
//!
//! [`Kernels`] is a table of functions for one instruction set; all tables give the same bits, because every sum
//! follows one canonical order: `lanes.rs` says it for f32, `integer.rs` for codes. Most are the same source
//! (`generic.rs`) compiled again; the products of codes are written by hand: in `x86_64/avx512/`, and for all others in
//! `stream/`, on top of a few registers' worth of `x86_64/` and `aarch64/`. [`Threads`] cuts work into
//! chunks, and [`matmul`] and [`units`] are the two products a transformer is made of. Nothing here knows tensors or
//! files, and what grows with a product is the scratch its caller keeps.

mod activations;
mod integer;
mod lanes;
mod tiles;

mod beside;
mod tile;

mod thirty_two;
mod stream;

#[cfg(target_arch = "x86_64")]
mod x86_64;

mod sixteen;
#[cfg(target_arch = "x86_64")]
mod sixteen_x86_64;

#[cfg(target_arch = "aarch64")]
mod aarch64;

mod float_row;
mod float_tile;

mod exp;
mod generic;
mod attention;
mod delta;
mod isa;

mod threads;

mod product;

mod codes;
mod floats;

mod matmul;

pub use activations::{ActivationStrip, Activations};
pub use attention::{Factors, Size};
pub use codes::codes_scratch_bytes;
pub use delta::DeltaToken;
pub use floats::floats_scratch_bytes;
pub use isa::{Isa, Kernels, Product};
pub use matmul::{Assignment, MatmulScratch, Unit, matmul, unit, units};
pub use product::{Compute, Join};
pub use threads::{OnPair, Threads};
