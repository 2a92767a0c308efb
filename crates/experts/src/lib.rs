//! Which experts are resident, and which will be wanted.
