//! What a pool would have done with the requests of a run: the same rules, without the bytes.
//!
//! A [`Replay`] follows the requests one by one with the pool's own rules and policies, so it counts what the pool
//! counted, to the access. [`clairvoyant`] is the bound: Belady's choice, which gives up what is wanted last and
//! therefore must know the future.

use std::collections::BTreeSet;

use base::{ExpertId, ExpertKey, LayerId};

use crate::policy::Policy;
use crate::roster::{Roster, Standing, Wanted};
pub use crate::shelf::ShelfSize;

/// One request as the pool heard it: the layer, and its experts with their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whose experts.
    pub layer: LayerId,
    /// In the order in which they are settled, with the number of tokens that use each.
    pub experts: Vec<(ExpertId, u32)>,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Experts found resident.
    pub hits: u64,
    /// Experts that had to be read.
    pub misses: u64,
    /// Residents given up for another.
    pub evictions: u64,
}

impl Counts {
    /// Hits among all accesses; 0 when there were none.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / (self.hits + self.misses).max(1) as f64
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            evictions: self.evictions + other.evictions,
        }
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            hits: self.hits - before.hits,
            misses: self.misses - before.misses,
            evictions: self.evictions - before.evictions,
        }
    }
}

/// A pool without bytes.
pub struct Replay {
    shelves: Vec<Roster>,
    /// [layers]: shelf, and whether each expert is resident.
    layers: Vec<(usize, Vec<bool>)>,
    counts: Counts,
}

impl Replay {
    /// An empty pool of these shelves.
    pub fn new(shelves: &[ShelfSize], policy: Policy) -> Self {
        let count = shelves.iter().flat_map(|shelf| &shelf.layers).map(|layer| layer.0 as usize + 1).max();
        let mut layers = vec![(0, Vec::new()); count.unwrap_or(0)];
        for (index, shelf) in shelves.iter().enumerate() {
            shelf.layers.iter().for_each(|layer| layers[layer.0 as usize].0 = index);
        }
        let shelves = shelves.iter().map(|shelf| Roster::new(shelf.slots, (policy.make)())).collect();
        Self { shelves, layers, counts: Counts::default() }
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Follows one request.
    ///
    /// # Panics
    /// When no shelf has its layer.
    pub fn follow(&mut self, asked: &Asked) {
        let layer = asked.layer;
        let (shelf, resident) = &mut self.layers[layer.0 as usize];
        let count = asked.experts.iter().map(|(expert, _)| expert.0 as usize + 1).max().unwrap_or(0);
        if resident.len() < count {
            resident.resize(count, false);
        }
        let standing = |expert: ExpertId| {
            if resident[expert.0 as usize] { Standing::Hit } else { Standing::Miss }
        };
        let wanted: Vec<Wanted> =
            asked.experts.iter().map(|(expert, tokens)| (*expert, *tokens, standing(*expert))).collect();
        let settled = self.shelves[*shelf].settle(layer, &wanted, &|_| true);
        for (expert, ..) in &wanted {
            resident[expert.0 as usize] = true;
        }
        // Given up in this order: one that only passed through came and went.
        for key in settled.leaving.iter().chain(&settled.homeless) {
            self.layers[key.layer.0 as usize].1[key.expert.0 as usize] = false;
        }
        let hits = wanted.iter().filter(|one| one.2 == Standing::Hit).count();
        self.counts.hits += hits as u64;
        self.counts.misses += (wanted.len() - hits) as u64;
        self.counts.evictions += settled.leaving.len() as u64;
    }
}

/// What the best of all choices would count, request by request: of the residents the one wanted latest is given up,
/// and a newcomer wanted later than all of them is not taken in.
pub fn clairvoyant(requests: &[Asked], shelves: &[ShelfSize]) -> Vec<Counts> {
    let next = next_uses(requests);
    let mut counts = vec![Counts::default(); requests.len()];
    for shelf in shelves {
        // Residents by the request that wants them next; those wanted never come last.
        let mut residents: BTreeSet<(usize, ExpertKey)> = BTreeSet::new();
        for (turn, asked) in
            requests.iter().enumerate().filter(|(_, asked)| shelf.layers.contains(&asked.layer))
        {
            let keys =
                asked.experts.iter().map(|(expert, _)| ExpertKey { layer: asked.layer, expert: *expert });
            let keys: Vec<(ExpertKey, usize)> = keys.zip(next[turn].iter().copied()).collect();
            for (key, _) in &keys {
                let hit = residents.remove(&(turn, *key));
                *(if hit { &mut counts[turn].hits } else { &mut counts[turn].misses }) += 1;
            }
            for (key, again) in keys {
                residents.insert((again, key));
            }
            while residents.len() > shelf.slots {
                residents.pop_last();
                counts[turn].evictions += 1;
            }
        }
    }
    counts
}

/// For every expert of every request, the request that wants it next.
fn next_uses(requests: &[Asked]) -> Vec<Vec<usize>> {
    let mut seen = std::collections::HashMap::new();
    let mut next = vec![Vec::new(); requests.len()];
    for (turn, asked) in requests.iter().enumerate().rev() {
        let of = |(expert, _): &(ExpertId, u32)| ExpertKey { layer: asked.layer, expert: *expert };
        next[turn] =
            asked.experts.iter().map(|one| seen.get(&of(one)).copied().unwrap_or(usize::MAX)).collect();
        for one in &asked.experts {
            seen.insert(of(one), turn);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::POLICIES;

    fn asked(experts: &[u32]) -> Asked {
        Asked { layer: LayerId(0), experts: experts.iter().map(|expert| (ExpertId(*expert), 1)).collect() }
    }

    #[test]
    fn the_clairvoyant_keeps_what_is_wanted_soonest() {
        let requests: Vec<Asked> = [0, 1, 2, 0, 1, 2, 0].iter().map(|expert| asked(&[*expert])).collect();
        let shelf = ShelfSize { slots: 2, layers: vec![LayerId(0)] };
        let hits: Vec<u64> = clairvoyant(&requests, &[shelf]).iter().map(|counts| counts.hits).collect();
        assert_eq!(hits, [0, 0, 0, 1, 1, 0, 1]);
    }

    #[test]
    fn nobody_beats_the_clairvoyant() {
        let mut state = 1u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % bound
        };
        let mut requests = Vec::new();
        for turn in 0..600 {
            let chosen: BTreeSet<u32> = (0..4).map(|_| (below(12) * below(3)) as u32).collect();
            let experts = chosen.into_iter().map(|expert| (ExpertId(expert), 1)).collect();
            requests.push(Asked { layer: LayerId(turn % 3), experts });
        }
        for slots in [1, 4, 9, 70] {
            let shelf = ShelfSize { slots, layers: (0..3).map(LayerId).collect() };
            let best: u64 =
                clairvoyant(&requests, std::slice::from_ref(&shelf)).iter().map(|one| one.hits).sum();
            for policy in POLICIES {
                let mut replay = Replay::new(std::slice::from_ref(&shelf), *policy);
                requests.iter().for_each(|asked| replay.follow(asked));
                assert!(replay.counts().hits <= best, "{} with {slots} slots", policy.name);
                assert!(slots < 70 || replay.counts().hits == best, "{}", policy.name);
            }
        }
    }
}
