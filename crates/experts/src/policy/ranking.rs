//! Keys in the order in which they are to be given up.

use std::collections::{BTreeSet, HashMap};

use base::ExpertKey;

/// Residents ordered by a rank, lowest first. Each verb costs log n; [`Ranking::first`] also passes over the
/// leading keys that are not evictable, which are at most the experts of the request at hand.
#[derive(Debug)]
pub struct Ranking<R> {
    ranks: HashMap<ExpertKey, R>,
    order: BTreeSet<(R, ExpertKey)>,
}

impl<R> Default for Ranking<R> {
    fn default() -> Self {
        Self { ranks: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<R: Ord + Copy> Ranking<R> {
    /// Gives `key` that rank, whether or not it had one.
    pub fn set(&mut self, key: ExpertKey, rank: R) {
        self.remove(key);
        self.ranks.insert(key, rank);
        self.order.insert((rank, key));
    }

    pub fn holds(&self, key: ExpertKey) -> bool {
        self.ranks.contains_key(&key)
    }

    pub fn remove(&mut self, key: ExpertKey) {
        if let Some(rank) = self.ranks.remove(&key) {
            self.order.remove(&(rank, key));
        }
    }

    /// The evictable key of lowest rank.
    pub fn first(&self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.order.iter().map(|(_, key)| *key).find(|key| evictable(*key))
    }
}
