//! Keeps who came first: what every pass wants in the same order.
//!
//! Layers that stream one network each are asked one after another, over and over. Any policy of recency or frequency
//! gives up just what is wanted next, and never hits. Here the last to come makes room for the next: all others stay, and
//! a pass reads exactly what is not among them.

use base::{ExpertKey, LayerId};

use super::EvictionPolicy;

/// Residents, the last to come at the end.
#[derive(Debug, Default)]
pub struct First(Vec<ExpertKey>);

impl EvictionPolicy for First {
    fn begin(&mut self, _: LayerId) {}

    fn used(&mut self, _: ExpertKey, _: u32) {}

    fn inserted(&mut self, key: ExpertKey) {
        self.0.push(key);
    }

    fn removed(&mut self, key: ExpertKey) {
        self.0.retain(|resident| *resident != key);
    }

    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.0.iter().rev().copied().find(|key| evictable(*key))
    }
}
