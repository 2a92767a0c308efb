//! Policies that go by how often experts were used, and differ in how layers share the slots.
//!
//! A newcomer is worth what its uses say, so one that is worth less than what it displaced is the next to go: its slot
//! is where the following reads go, and what is hot stays. To admit it to no slot at all would gain nothing more,
//! docs/experiments/0007.

use base::{ExpertKey, LayerId};

use super::EvictionPolicy;
use super::worth::{Layer, Memory};

/// How layers share the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each has as many as any other: a request takes from its own layer, or from the one that has most.
    Equal,
    /// Slots go where they are worth most. A slot also costs rent until the layer's turn comes: an expert whose layer
    /// comes next is worth its slot at less than one whose layer was just passed.
    Worth,
}

/// Gives up the expert of least estimated use.
#[derive(Debug)]
pub struct Frequency {
    memory: Memory,
    sharing: Sharing,
    /// [layers], as far as seen
    layers: Vec<Layer>,
    current: usize,
    residents: usize,
    /// What a slot is worth for a whole pass: the faded mean worth of those given up.
    rent: f64,
}

/// How much one eviction moves the rent.
const RENT_STEP: f64 = 0.01;

/// The part of the rent that is asked: with all of it, small pools of 36 layers lost half a point, docs/experiments/0007.
const RENT_ASKED: f64 = 0.5;

impl Frequency {
    pub fn new(memory: Memory, sharing: Sharing) -> Self {
        Self { memory, sharing, layers: Vec::new(), current: 0, residents: 0, rent: 0.0 }
    }

    fn layer(&mut self, layer: LayerId) -> &mut Layer {
        let index = layer.0 as usize;
        if self.layers.len() <= index {
            self.layers.resize_with(index + 1, Layer::default);
        }
        &mut self.layers[index]
    }

    /// The layer that has to give: the one that asks, unless it has less than its share.
    fn giver(&self) -> Option<usize> {
        let sharing = self.layers.iter().filter(|layer| layer.held() > 0).count();
        let held = self.layers.get(self.current).map_or(0, Layer::held);
        if held > 0 && held * sharing >= self.residents {
            return Some(self.current);
        }
        (0..self.layers.len()).max_by_key(|index| self.layers[*index].held())
    }

    /// The least of one layer, with what its slot is worth beyond the rent until its turn.
    fn least(
        &mut self,
        index: usize,
        evictable: &dyn Fn(ExpertKey) -> bool,
    ) -> Option<(f64, f64, ExpertKey)> {
        let count = self.layers.len();
        let turns = (index + count - self.current - 1) % count + 1; // 1 for the next layer, `count` for this one
        let (worth, key) = self.layers[index].least(LayerId(index as u32), &self.memory, evictable)?;
        Some((worth - RENT_ASKED * self.rent * turns as f64 / count as f64, worth, key))
    }
}

impl EvictionPolicy for Frequency {
    fn begin(&mut self, layer: LayerId) {
        self.layer(layer).begin();
        self.current = layer.0 as usize;
    }

    fn used(&mut self, key: ExpertKey, tokens: u32) {
        let memory = self.memory;
        self.layer(key.layer).used(key.expert, tokens, &memory);
    }

    fn inserted(&mut self, key: ExpertKey) {
        let memory = self.memory;
        self.layer(key.layer).insert(key.expert, &memory);
        self.residents += 1;
    }

    fn removed(&mut self, key: ExpertKey) {
        self.layer(key.layer).remove(key.expert);
        self.residents -= 1;
    }

    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        if self.sharing == Sharing::Equal
            && let Some((_, _, key)) = self.giver().and_then(|giver| self.least(giver, evictable))
        {
            return Some(key);
        }
        let candidates = (0..self.layers.len()).filter_map(|index| self.least(index, evictable));
        let (_, worth, key) = candidates.min_by(|a, b| a.0.total_cmp(&b.0))?;
        self.rent += RENT_STEP * (worth - self.rent);
        Some(key)
    }
}
