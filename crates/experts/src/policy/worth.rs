//! What an expert's slot is worth: how likely its layer's next request is to want it.
//!
//! Routers choose partly what they always choose, partly what they chose a moment ago. So two averages of an expert's
//! uses are kept, one that fades within a token or two and one that fades over a text, and their weighted sum is the
//! estimate. Time is counted in requests of the expert's own layer: experts of layers whose turn is still to come in
//! this pass are not older for it than those whose turn has been.

use base::{ExpertId, ExpertKey, LayerId};

/// How long uses are remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Requests of its layer after which a use counts half in the fast average.
    pub fast: f64,
    /// The same of the slow one.
    pub slow: f64,
    /// Share of the fast average in the estimate.
    pub fast_share: f64,
}

impl Memory {
    /// Frequency alone.
    pub const SLOW: Self = Self { fast: 1.0, slow: 32.0, fast_share: 0.0 };
    /// Frequency and recency, as three traces of real models have it: docs/experiments/0007.
    pub const BLEND: Self = Self { fast: 0.6, slow: 40.0, fast_share: 0.35 };
}

/// The uses of every expert of one layer, and its residents in order of worth.
#[derive(Debug, Default)]
pub struct Layer {
    requests: u32,
    /// [experts], as far as seen
    uses: Vec<Uses>,
    /// Residents by worth, the least last. In order unless `stale`.
    residents: Vec<Rank>,
    stale: bool,
}

/// The faded uses of one expert: the averages as of the request it was used in last.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    fast: f64,
    slow: f64,
    /// Request of the layer in which it was used last.
    at: u32,
}

/// A resident: worth, the request it was used in last, and which it is.
type Rank = (f64, u32, u32);

impl Layer {
    /// One more request: all uses fade by a step.
    pub fn begin(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.stale = true;
    }

    /// Tokens of one prompt come all at once. Their number counts by its cube root in the slow average, so that a long
    /// prompt ranks its experts without drowning out the tokens that follow it; in the fast one they count as one.
    pub fn used(&mut self, expert: ExpertId, tokens: u32, memory: &Memory) {
        let (index, requests) = (expert.0 as usize, self.requests);
        if self.uses.len() <= index {
            self.uses.resize(index + 1, Uses::default());
        }
        let Uses { fast, slow, at } = &mut self.uses[index];
        let (age, tokens) = (f64::from(requests - *at), f64::from(tokens));
        *fast = *fast * fade(memory.fast, age) + tokens.min(1.0);
        *slow = *slow * fade(memory.slow, age) + tokens.cbrt();
        *at = requests;
        self.stale = true;
    }

    pub fn insert(&mut self, expert: ExpertId, memory: &Memory) {
        let rank = self.rank(expert.0, memory);
        let place = self.residents.partition_point(|other| before(other, &rank));
        self.residents.insert(if self.stale { self.residents.len() } else { place }, rank);
    }

    pub fn remove(&mut self, expert: ExpertId) {
        self.residents.retain(|rank| rank.2 != expert.0);
    }

    /// How many are resident.
    pub fn held(&self) -> usize {
        self.residents.len()
    }

    /// The evictable resident of least worth, and what it is worth. Passes over those that are not evictable, which
    /// are at most the experts of the request at hand.
    pub fn least(
        &mut self,
        layer: LayerId,
        memory: &Memory,
        evictable: &dyn Fn(ExpertKey) -> bool,
    ) -> Option<(f64, ExpertKey)> {
        self.put_in_order(memory);
        let keys = self.residents.iter().rev().map(|rank| (rank.0, ExpertKey::new(layer.0, rank.2)));
        keys.into_iter().find(|(_, key)| evictable(*key))
    }

    /// Worths change only with requests of the layer, so this is done at most once for each.
    fn put_in_order(&mut self, memory: &Memory) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let mut residents = std::mem::take(&mut self.residents);
        residents.iter_mut().for_each(|rank| *rank = self.rank(rank.2, memory));
        residents.sort_unstable_by(|a, b| before(b, a).cmp(&before(a, b)));
        self.residents = residents;
    }

    fn rank(&self, expert: u32, memory: &Memory) -> Rank {
        let Uses { fast, slow, at } = self.uses.get(expert as usize).copied().unwrap_or_default();
        let age = f64::from(self.requests - at);
        let average = |uses: f64, half_life: f64| uses * fade(half_life, age) * (1.0 - fade(half_life, 1.0));
        let worth = memory.fast_share * average(fast, memory.fast)
            + (1.0 - memory.fast_share) * average(slow, memory.slow);
        (worth, at, expert)
    }
}

/// Worth more, or as much and used later, or used together and the lower number.
fn before(a: &Rank, b: &Rank) -> bool {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2)).is_gt()
}

/// What is left of a use after `age` requests.
fn fade(half_life: f64, age: f64) -> f64 {
    (-age / half_life).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_add_and_fade_by_half_in_32_requests() {
        // two uses 33 requests ago are worth less than one now, 31 requests ago more
        for (requests, older_goes) in [(33, true), (31, false)] {
            let (older, newer) = (ExpertId(0), ExpertId(1));
            let mut layer = Layer::default();
            for _ in 0..2 {
                layer.used(older, 1, &Memory::SLOW);
            }
            layer.insert(older, &Memory::SLOW);
            (0..requests).for_each(|_| layer.begin());
            layer.used(newer, 1, &Memory::SLOW);
            layer.insert(newer, &Memory::SLOW);
            let (_, least) = layer.least(LayerId(0), &Memory::SLOW, &|_| true).unwrap();
            assert_eq!(least.expert, if older_goes { older } else { newer }, "{requests}");
        }
    }

    #[test]
    fn an_expert_that_returns_keeps_its_worth() {
        let (regular, stranger) = (ExpertId(0), ExpertId(1));
        let mut layer = Layer::default();
        for _ in 0..3 {
            layer.used(regular, 1, &Memory::SLOW);
            layer.insert(regular, &Memory::SLOW);
            layer.remove(regular);
        }
        layer.insert(regular, &Memory::SLOW);
        layer.used(stranger, 1, &Memory::SLOW);
        layer.insert(stranger, &Memory::SLOW);
        assert_eq!(layer.least(LayerId(0), &Memory::SLOW, &|_| true).unwrap().1.expert, stranger);
    }

    #[test]
    fn a_use_just_now_outweighs_older_ones_only_for_a_while() {
        let memory = Memory::BLEND;
        let (older, newer) = (ExpertId(0), ExpertId(1));
        let mut layer = Layer::default();
        for _ in 0..6 {
            layer.begin();
            layer.used(older, 1, &memory);
        }
        (0..6).for_each(|_| layer.begin());
        layer.used(newer, 1, &memory);
        layer.insert(older, &memory);
        layer.insert(newer, &memory);
        assert_eq!(layer.least(LayerId(0), &memory, &|_| true).unwrap().1.expert, older);
        (0..8).for_each(|_| layer.begin());
        assert_eq!(layer.least(LayerId(0), &memory, &|_| true).unwrap().1.expert, newer);
    }
}
