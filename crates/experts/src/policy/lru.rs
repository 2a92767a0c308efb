//! Least recently used.

use std::collections::HashMap;

use base::{ExpertKey, LayerId};

use super::EvictionPolicy;
use super::ranking::Ranking;

/// Gives up the expert unused for longest.
#[derive(Debug, Default)]
pub struct Lru {
    /// Ranked by the use that came last.
    residents: Ranking<u64>,
    /// Those of the latest request that may become resident.
    fresh: HashMap<ExpertKey, u64>,
    uses: u64,
}

impl EvictionPolicy for Lru {
    fn begin(&mut self, _layer: LayerId) {
        self.fresh.clear();
    }

    fn used(&mut self, key: ExpertKey, _tokens: u32) {
        self.uses += 1;
        if self.residents.holds(key) {
            self.residents.set(key, self.uses);
        } else {
            self.fresh.insert(key, self.uses);
        }
    }

    fn inserted(&mut self, key: ExpertKey) {
        self.residents.set(key, self.fresh.get(&key).copied().unwrap_or(self.uses));
    }

    fn removed(&mut self, key: ExpertKey) {
        self.residents.remove(key);
    }

    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.residents.first(evictable)
    }
}
