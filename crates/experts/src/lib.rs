//! Which experts are resident, and which will be wanted.
//!
//! The [`ExpertPool`] keeps the bytes of routed experts within a budget. [`ExpertPool::request`] names the experts
//! one layer wants; the [`Arrivals`] it returns hand out a [`Lease`] for each, resident ones at once and missing
//! ones as the disk delivers them. An [`EvictionPolicy`] says whose buffer to give up next, and touches no bytes.
//!
//! Three types carry the crate: [`ExpertPool`] (what is resident), [`Lease`] (one expert's bytes, pinned) and
//! [`Catalogue`] (where bytes lie, from the caller). Nothing here computes, knows a file format, or changes what the
//! bytes are.

#![forbid(unsafe_code)]

mod catalogue;
mod lease;
mod stats;
mod bound;

pub mod policy;

mod roster;
mod banks;
mod shelf;
mod forecast;
mod opened;

mod pool;

mod lookahead;

mod arrivals;

pub mod simulate;

pub use arrivals::Arrivals;
pub use bound::Bound;
pub use catalogue::Catalogue;
pub use forecast::{GUESS_SLOTS, Lookahead};
pub use lease::Lease;
pub use policy::{EvictionPolicy, Policy};
pub use pool::{ExpertPool, Watch};
pub use shelf::{PoolNeeds, needs};
pub use stats::{Guesses, PoolStats};
