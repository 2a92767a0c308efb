//! One request, as the pool finds its experts and as its reads end.

use std::collections::VecDeque;

use base::{Error, ExpertKey};

use crate::lease::Lease;

/// A request as the pool finds its experts.
#[derive(Default)]
pub(crate) struct Opened {
    /// Those that are resident.
    pub hits: VecDeque<Lease>,
    /// Those that were guessed and have landed.
    pub landed: VecDeque<Lease>,
    /// How many are on their way already.
    pub reading: usize,
    /// Those to be read, in file order.
    pub unread: VecDeque<Unread>,
}

/// An expert to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub key: ExpertKey,
    /// Whether it is resident from then on, or used and given up.
    pub stays: bool,
}

/// How a read ended, for the latest request.
pub(crate) enum Landing {
    Ready(Lease),
    Failed(Error),
    Unwanted,
}
