//! Arithmetic on slices, for every instruction set.
