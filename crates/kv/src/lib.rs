//! What was said: the attention state of live sequences.
