//! The arithmetic of a transformer.
