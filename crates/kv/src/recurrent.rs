//! The states of recurrent layers: the one that is kept, the one a pass writes, and the one at a mark.
//!
//! A pass reads the first and writes the second, and the two change places when it succeeds: so a pass that fails leaves
//! everything as it was, and nothing is copied. A conversation goes on from where its former prompt ended rather than
//! from its end, for templates leave out what a model thought: a mark keeps the state of that place.

use std::ops::Range;

use backend::{Backend, Before, DeltaState, Precision};
use base::Result;
use spec::{DeltaNet, ModelSpec};

use crate::keep::keeps;
use crate::{KvCache, Mark};

/// Takes a stretch of tokens up: from what was kept before it, to the state after it.
pub type TakeUp<'a> = &'a mut dyn FnMut(Range<usize>, Before<'_>, &mut DeltaState) -> Result<()>;

/// Bytes a sequence keeps however many tokens it has: three of every state, and of every ring.
pub fn state_bytes(spec: &ModelSpec, precision: Precision) -> u64 {
    let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, precision));
    keeps.map(|keep| keep.fixed_bytes()).sum()
}

/// The states of one layer.
pub(crate) struct Recurrent {
    pub(crate) kept: DeltaState,
    next: DeltaState,
    pub(crate) marked: DeltaState,
}

impl Recurrent {
    pub(crate) fn new(net: &DeltaNet, backend: &dyn Backend) -> Result<Self> {
        let state = || DeltaState::new(net, backend);
        Ok(Self { kept: state()?, next: state()?, marked: state()? })
    }

    /// Takes tokens up, in one stretch, or in two around the mark; `first` are those that no pass has written over, and
    /// `begun` says that tokens are kept.
    pub(crate) fn walk(
        &mut self,
        (first, begun): (bool, bool),
        tokens: usize,
        stop: Option<usize>,
        work: TakeUp<'_>,
    ) -> Result<()> {
        let Self { kept, next, marked } = self;
        let Some(stop) = stop else {
            let before = match (first, begun) {
                (true, false) => Before::Nothing,
                (true, true) => Before::State(kept),
                (false, _) => Before::Same,
            };
            return work(0..tokens, before, next);
        };
        let before = match (first, begun) {
            (true, false) => Before::Nothing,
            (true, true) => Before::State(kept),
            (false, _) => Before::State(next),
        };
        work(0..stop, before, marked)?;
        work(stop..tokens, Before::State(marked), next)
    }

    /// What is kept, or what was marked.
    pub(crate) fn at(&self, mark: bool) -> &DeltaState {
        if mark { &self.marked } else { &self.kept }
    }

    /// Keeps a copy of another sequence's state.
    pub(crate) fn copy(&mut self, backend: &dyn Backend, from: &DeltaState) -> Result<()> {
        for (from, to) in [(&from.inputs, &mut self.kept.inputs), (&from.heads, &mut self.kept.heads)] {
            backend.copy_rows(from, 0..from.rows, to, 0)?;
        }
        Ok(())
    }

    /// What the pass wrote is what is kept.
    pub(crate) fn keep(&mut self) {
        std::mem::swap(&mut self.kept, &mut self.next);
    }

    /// What was marked is what is kept.
    pub(crate) fn back(&mut self) {
        std::mem::swap(&mut self.kept, &mut self.marked);
    }
}

impl KvCache {
    /// Has recurrent layers keep their state of the first `tokens` tokens as well, when a pass comes by there. There is
    /// one such place; a former one is forgotten.
    pub fn mark_at(&mut self, tokens: usize) {
        if tokens > self.len() && !self.goes_back_anywhere() {
            self.mark = Mark::Wanted(tokens);
        }
    }

    /// How many of the tokens from `at` on come before the mark, if so many make it.
    pub(crate) fn until_mark(&self, at: usize, tokens: usize) -> Option<usize> {
        let Mark::Wanted(mark) = self.mark else { return None };
        let ahead = mark.checked_sub(at)?;
        (1..=tokens).contains(&ahead).then_some(ahead)
    }
}
