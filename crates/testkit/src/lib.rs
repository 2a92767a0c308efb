//! Tiny models and tolerances for tests.
