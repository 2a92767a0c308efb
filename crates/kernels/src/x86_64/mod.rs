//! Kernels written by hand for x86-64: where the compiler, given the plain source, does not find the way.

mod beside;
mod lanes;
mod thirty_two;

pub(crate) mod peak;

pub(crate) mod avx2;
pub(crate) mod avx512;

pub(crate) use lanes::{Avx2, Avx512};
