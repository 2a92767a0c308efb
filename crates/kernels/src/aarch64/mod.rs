//! Kernels written by hand for aarch64: NEON with the dot products of ARMv8.2 (`sdot`) and, where there are, with the
//! matrix products of ARMv8.6 (`smmla`).
//!
//! The compiler has no stable intrinsics for these two, so they are written in assembly.

mod lanes;
mod sixteen;
mod thirty_two;

mod beside;

pub(crate) mod codes;
pub(crate) mod peak;

pub(crate) use lanes::NeonLanes;
pub(crate) use sixteen::FourOfNeon;
