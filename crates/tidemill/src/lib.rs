//! Run Mixture-of-Experts models far larger than memory: the engine as a library.
