//! What the bits of a weight mean: one file and one row of a table for each format, in safe scalar Rust.
//!
//! [`Quant`] names a format, [`Matrix`] borrows the bytes of one weight, [`Quant::dequantize`] is the truth every
//! kernel is compared with, [`Quant::strip`] the same as integers. This crate reads no files and knows no tensors' names. Bytes carry no alignment:
//! everything is read a little-endian number at a time.
#![forbid(unsafe_code)]

pub mod float;

mod block;
mod planes;
mod strip;

pub mod codebook;
pub mod grids;
pub mod signs;

mod fp8;
mod int4_g32;
mod k_scales;
mod plain;
mod q1_0;
mod q2_0;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

mod iq1_s;
mod iq1_m;
mod iq2_xxs;
mod iq2_xs;
mod iq2_s;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod mxfp4_g32;
mod nvfp4;
mod nvfp4_g16;

mod quant;

mod matrix;

pub use block::Row;
pub use matrix::Matrix;
pub use planes::{Encoded, Planes};
pub use quant::Quant;
pub use strip::{Group, Strip};
