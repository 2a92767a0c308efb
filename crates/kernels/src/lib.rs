//! Arithmetic on slices, for every instruction set.
//!
//! [`Kernels`] is a table of functions for one instruction set; all tables give the same bits, because each is the
//! same source (`generic.rs`) compiled again and every sum follows one canonical order (`lanes.rs`). [`Threads`] cuts
//! work into chunks, and [`matmul`] and [`gated`] are the two products a transformer is made of. Nothing here knows
//! tensors or files, and nothing allocates but the scratch its caller keeps.

mod lanes;
#[cfg(target_arch = "x86_64")]
mod x86_64;

mod exp;
mod generic;
mod isa;

mod threads;

mod matmul;

pub use isa::{Isa, Kernels};
pub use matmul::{MatmulScratch, gated, matmul};
pub use threads::Threads;
