//! Least recently used.

use base::ExpertKey;

use super::EvictionPolicy;
use super::ranking::Ranking;

/// Gives up the expert unused for longest.
#[derive(Debug, Default)]
pub struct Lru {
    /// Ranked by the use that came last.
    residents: Ranking<u64>,
    uses: u64,
}

impl Lru {
    fn used(&mut self, key: ExpertKey) {
        self.uses += 1;
        self.residents.set(key, self.uses);
    }
}

impl EvictionPolicy for Lru {
    fn inserted(&mut self, key: ExpertKey, _tokens: u32) {
        self.used(key);
    }

    fn touched(&mut self, key: ExpertKey, _tokens: u32) {
        self.used(key);
    }

    fn removed(&mut self, key: ExpertKey) {
        self.residents.remove(key);
    }

    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.residents.first(evictable)
    }
}
