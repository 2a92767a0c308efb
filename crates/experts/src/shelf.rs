//! How the budget is cut into slots.
//!
//! A shelf is a number of equal slots, each a buffer for one expert, for the layers whose experts have about that
//! size. Buffers are made once, when first needed, and from then on only change hands: nothing is freed and
//! allocated again, so the process's memory cannot grow or fragment, and the budget holds by construction. Only when
//! the pool's bound falls are some given back to the system, whole. Where
//! layers differ in size (quantizers give some of them more bits) every shelf gets the same share of its experts.

use std::sync::Arc;

use base::{AlignedBuf, ByteSize, Context, Error, LayerId, Result};
use disk::{Layout, lay_out};

use crate::catalogue::{Catalogue, keys};
use crate::policy::EvictionPolicy;
use crate::roster::Roster;

/// What a pool for some catalogue needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolNeeds {
    /// The smallest workable budget: one expert.
    pub smallest_bytes: u64,
    /// The budget with which nothing is ever evicted.
    pub all_bytes: u64,
}

/// What a pool for `catalogue` needs, in bytes of budget. Fails as [`disk::lay_out`] does.
pub fn needs(catalogue: &dyn Catalogue) -> Result<PoolNeeds> {
    let sizes = classes(&layer_sizes(&lay_out_all(catalogue)?));
    let smallest_bytes = sizes.iter().map(|class| class.slot_bytes as u64).max().unwrap_or(0);
    let all_bytes = u64::try_from(all_bytes(&sizes)).unwrap_or(u64::MAX);
    Ok(PoolNeeds { smallest_bytes, all_bytes })
}

/// Equal slots, and the rules of who may stay in them.
pub(crate) struct Shelf {
    /// Bytes of one slot.
    pub slot_bytes: usize,
    /// How many slots the budget allows; the roster has how many there may be now.
    pub most: usize,
    /// How many buffers were made and not given back.
    pub made: usize,
    /// How many are being read to.
    pub reading: usize,
    /// How many buffers there may be beside those of `most`, for guesses; and how many guesses hold one.
    pub guess_slots: usize,
    pub guessed: usize,
    /// Who is resident, and who makes room.
    pub roster: Roster,
    /// Buffers that hold nothing.
    free: Vec<AlignedBuf>,
    /// Buffers of experts that were given up, some of them leased until they have been computed with.
    leaving: Vec<Arc<AlignedBuf>>,
}

impl Shelf {
    pub fn new(class: &Class, policy: Box<dyn EvictionPolicy>) -> Self {
        let roster = Roster::new(class.slots, policy);
        Self {
            slot_bytes: class.slot_bytes,
            most: class.slots,
            made: 0,
            reading: 0,
            guess_slots: 0,
            guessed: 0,
            roster,
            free: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// A buffer that holds nothing any more: made now if the shelf has not all of its slots yet.
    pub fn spare(&mut self) -> Result<Option<AlignedBuf>> {
        match self.unused() {
            None if self.made < self.allowed() && self.one_more()? => Ok(self.free.pop()),
            unused => Ok(unused),
        }
    }

    /// A buffer for a guess. Guesses hold no more than what is there for them, so residents lack nothing.
    pub fn spare_for_guess(&mut self) -> Result<Option<AlignedBuf>> {
        let is_short = self.roster.slots < self.most;
        if is_short || self.guessed >= self.guess_slots {
            return Ok(None);
        }
        let spare = self.spare()?;
        self.guessed += usize::from(spare.is_some());
        Ok(spare)
    }

    /// Buffers there may be now. Where memory is short, there are none for guesses.
    fn allowed(&self) -> usize {
        let is_short = self.roster.slots < self.most;
        self.roster.slots + if is_short { 0 } else { self.guess_slots }
    }

    /// Makes a buffer, if the budget allows.
    pub fn one_more(&mut self) -> Result<bool> {
        if self.made >= self.most + self.guess_slots {
            return Ok(false);
        }
        self.free.push(AlignedBuf::zeroed(self.slot_bytes)?);
        self.made += 1;
        Ok(true)
    }

    /// Gives back to the system what is unused, until there are no more buffers than slots. Answers with how many.
    pub fn release(&mut self) -> usize {
        let before = self.made;
        while self.made > self.allowed() && self.unused().is_some() {
            self.made -= 1;
        }
        before - self.made
    }

    /// A buffer that was made and holds nothing any more.
    fn unused(&mut self) -> Option<AlignedBuf> {
        self.free.pop().or_else(|| {
            let index = self.leaving.iter().position(|buffer| Arc::strong_count(buffer) == 1)?;
            Arc::into_inner(self.leaving.swap_remove(index))
        })
    }

    /// Takes back a buffer that holds nothing.
    pub fn give_back(&mut self, buffer: AlignedBuf) {
        self.free.push(buffer);
    }

    /// Takes the buffer of an expert that was given up, once nobody leases it.
    pub fn give_up(&mut self, buffer: Arc<AlignedBuf>) {
        self.leaving.push(buffer);
    }

    /// Buffers that hold an expert, leased ones included.
    pub fn holding(&self) -> usize {
        let unused = self.leaving.iter().filter(|buffer| Arc::strong_count(buffer) == 1).count();
        self.made - self.reading - self.guessed - self.free.len() - unused
    }
}

/// Slots, and the layers that share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfSize {
    /// Experts that fit.
    pub slots: usize,
    /// The layers.
    pub layers: Vec<LayerId>,
}

/// Layers whose experts go to one shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Bytes of the largest of their experts' buffers.
    pub slot_bytes: usize,
    /// How many of these buffers the budget allows.
    pub slots: usize,
    /// Their experts.
    experts: usize,
    /// The layers themselves.
    pub layers: Vec<usize>,
}

/// Buffers that differ by less than this part are made equal: layers of one kind differ only in how their tensors
/// fall on pages.
const ALIKE: usize = 64;

/// A shelf with fewer slots than one token's experts would evict within one request; rather than that, its layers
/// join those of the next size.
const MIN_SLOTS: usize = 16;

/// The layout of every expert, by layer. Equal layouts are not shared: pieces differ in their offsets.
pub(crate) fn lay_out_all(catalogue: &dyn Catalogue) -> Result<Vec<Vec<Layout>>> {
    let mut layers: Vec<Vec<Layout>> = (0..catalogue.layers()).map(|_| Vec::new()).collect();
    for key in keys(catalogue) {
        let layout = lay_out(&catalogue.extents(key)).within(|| key)?;
        layers[key.layer.0 as usize].push(layout);
    }
    Ok(layers)
}

/// The shelves that make the best of `budget_bytes`, or [`Kind::Budget`](base::Kind::Budget) when it holds no expert.
pub(crate) fn arrange(layers: &[Vec<Layout>], budget_bytes: u64) -> Result<Vec<Class>> {
    let mut classes = classes(&layer_sizes(layers));
    let smallest = classes.first().map_or(0, |class| class.slot_bytes as u64);
    if budget_bytes < smallest {
        return Err(err_budget(budget_bytes, smallest));
    }
    loop {
        share_out(&mut classes, budget_bytes);
        let starved = classes.iter().position(|class| class.slots < MIN_SLOTS.min(class.experts));
        match starved {
            Some(i) if classes.len() > 1 => {
                let small = classes.remove(i.max(1)); // into the next larger one
                let large = &mut classes[i.max(1) - 1];
                large.experts += small.experts;
                large.layers.extend(small.layers);
            }
            _ => return Ok(classes),
        }
    }
}

/// The shelf of each layer, given all classes.
pub(crate) fn shelf_of_layers(classes: &[Class], layers: usize) -> Vec<usize> {
    let mut shelves = vec![0; layers];
    for (shelf, class) in classes.iter().enumerate() {
        class.layers.iter().for_each(|layer| shelves[*layer] = shelf);
    }
    shelves
}

/// Gives each class the same share of its experts, rounded down.
fn share_out(classes: &mut [Class], budget_bytes: u64) {
    let all = all_bytes(classes).max(1);
    for class in classes {
        // the quotient is at most `experts`
        let share = u128::from(budget_bytes).min(all) * class.experts as u128 / all;
        class.slots = share as usize;
    }
}

/// Layers of about equal size, the largest first.
fn classes(sizes: &[(usize, usize, usize)]) -> Vec<Class> {
    let mut sizes: Vec<_> = sizes.iter().filter(|(_, experts, _)| *experts > 0).collect();
    sizes.sort_by_key(|(slot_bytes, _, layer)| (std::cmp::Reverse(*slot_bytes), *layer));
    let mut classes: Vec<Class> = Vec::new();
    for &&(slot_bytes, experts, layer) in &sizes {
        let last =
            classes.last_mut().filter(|class| class.slot_bytes - slot_bytes <= class.slot_bytes / ALIKE);
        match last {
            Some(class) => {
                class.experts += experts;
                class.layers.push(layer);
            }
            None => classes.push(Class { slot_bytes, slots: 0, experts, layers: vec![layer] }),
        }
    }
    classes
}

/// Buffer bytes, number of experts, index, of each layer.
fn layer_sizes(layers: &[Vec<Layout>]) -> Vec<(usize, usize, usize)> {
    let size = |(i, layer): (usize, &Vec<Layout>)| {
        (layer.iter().map(|layout| layout.buffer_bytes).max().unwrap_or(0), layer.len(), i)
    };
    layers.iter().enumerate().map(size).collect()
}

fn all_bytes(classes: &[Class]) -> u128 {
    classes.iter().map(|class| class.slot_bytes as u128 * class.experts as u128).sum()
}

fn err_budget(budget: u64, smallest: u64) -> Error {
    let (has, needs) = (ByteSize(budget), ByteSize(smallest));
    Error::budget(format!(
        "the expert pool has {has} but needs at least {needs} ({smallest} bytes), one expert"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_by_size_and_never_exceeded() {
        // experts and buffer bytes of each layer
        type Layers<'a> = &'a [(usize, usize)];
        // slots, slot bytes, layers of each shelf
        type Shelves<'a> = &'a [(usize, usize, &'a [usize])];
        let cases: [(Layers, u64, Shelves); 8] = [
            (&[], 0, &[]),
            (&[(0, 0), (8, 100)], 100, &[(1, 100, &[1])]),
            (&[(8, 100), (8, 100)], 799, &[(7, 100, &[0, 1])]),
            (&[(8, 100)], u64::MAX, &[(8, 100, &[0])]),
            (&[(8, 6400), (8, 6300)], 6400 * 16, &[(16, 6400, &[0, 1])]), // alike
            (&[(64, 100), (64, 200)], 100 * 192 / 2, &[(32, 200, &[1]), (32, 100, &[0])]),
            (&[(64, 100), (64, 200)], 3000, &[(15, 200, &[1, 0])]), // too few slots to stand alone
            (&[(64, 200), (8, 100)], 6800, &[(34, 200, &[0, 1])]),  // likewise
        ];
        for (layers, budget, shelves) in cases {
            let layout = |bytes| Layout { pieces: [].into(), buffer_bytes: bytes, bytes: bytes as u64 };
            let layers: Vec<Vec<Layout>> =
                layers.iter().map(|(experts, bytes)| vec![layout(*bytes); *experts]).collect();
            let classes = arrange(&layers, budget).unwrap();
            let found: Vec<_> =
                classes.iter().map(|class| (class.slots, class.slot_bytes, &class.layers[..])).collect();
            assert_eq!(found, shelves, "{budget}");
            let total: u64 = classes.iter().map(|class| (class.slots * class.slot_bytes) as u64).sum();
            assert!(total <= budget, "{budget}");
        }
    }
}
