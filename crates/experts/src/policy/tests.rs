//! Every policy of the register, under random operations.
