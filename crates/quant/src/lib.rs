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

mod fp8_b128;
mod int4_g32;
mod k_scales;
mod plain;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

mod quant;

mod matrix;

pub use block::Row;
pub use matrix::Matrix;
pub use planes::{Encoded, Planes};
pub use quant::Quant;
pub use strip::{Group, Strip};
