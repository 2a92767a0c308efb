//! What the bits of a weight mean: one row a format, safe scalar Rust.
