//! What outlives the server: prompts that were read, and which experts were hot.
//!
//! All of it is done while nothing else is to be done, a piece at a time, and none of it is needed: what fails here costs
//! time later, and no answer.

use std::collections::VecDeque;

use base::{ExpertId, LayerId, Result};
use tidemill::{Engine, Prompts, Request, SequenceId};

use super::heat::Heat;
use super::status::PrefixStatus;
use crate::options::Store;

/// Keeps prompts and heat on a drive.
pub struct Keeping {
    prompts: Option<Prompts>,
    heat: Heat,
    /// Finished sequences that may be worth a file.
    unsaved: VecDeque<SequenceId>,
    /// Experts to be read while nothing else is.
    cold: VecDeque<(LayerId, Vec<ExpertId>)>,
}

impl Keeping {
    /// Opens what former runs kept at `store`. `heat` goes on from where it was.
    pub fn open(store: Option<&Store>, heat: Heat, engine: &Engine) -> Result<Self> {
        let prompts =
            store.map(|store| Prompts::open(&store.folder, store.bytes, &store.identity)).transpose()?;
        let noted = prompts.as_ref().and_then(Prompts::noted);
        let mut cold = VecDeque::new();
        if let Some(map) = noted.and_then(|text| serde_json::from_str(&text).ok()) {
            heat.recall(map);
            cold = hottest(&heat, engine).into();
        }
        Ok(Self { prompts, heat, unsaved: VecDeque::new(), cold })
    }

    /// How many of the first `tokens` a file knows.
    pub fn known(&self, tokens: &[base::TokenId]) -> usize {
        self.prompts.as_ref().and_then(|prompts| prompts.likest(tokens)).map_or(0, |(_, shared)| shared)
    }

    /// Hands a request to the engine with what a file knows of its prompt; `None` when that cannot be used.
    pub fn submit(&mut self, engine: &mut Engine, request: &Request) -> Option<SequenceId> {
        let prompts = self.prompts.as_mut()?;
        let (entry, shared) = prompts.likest(&request.tokens)?;
        let kept = prompts.tokens(entry).len();
        let submit =
            |input: &mut dyn std::io::Read| engine.submit_saved(request.clone(), kept, shared, input);
        prompts.read(entry, submit).ok().flatten()
    }

    /// A sequence has finished.
    pub fn finished(&mut self, id: SequenceId) {
        if self.prompts.is_some() {
            self.unsaved.push_back(id);
        }
    }

    /// A sequence goes on as another, which will be worth more.
    pub fn taken_over(&mut self, id: SequenceId) {
        self.unsaved.retain(|one| *one != id);
    }

    /// A sequence is about to be forgotten.
    pub fn leaving(&mut self, engine: &Engine, id: SequenceId) {
        if let Some(place) = self.unsaved.iter().position(|one| *one == id) {
            self.unsaved.remove(place);
            self.save(engine, id);
        }
    }

    /// Does a piece of what there is to do; `false` when there is nothing.
    pub fn work(&mut self, engine: &mut Engine) -> bool {
        if let Some(id) = self.unsaved.pop_front() {
            self.save(engine, id);
            return true;
        }
        match self.cold.pop_front() {
            Some((layer, experts)) => {
                if engine.warm(layer, &experts).is_err() {
                    engine.clear_cancel();
                    self.cold.clear();
                }
                true
            }
            None => false,
        }
    }

    /// The server ends: everything that is worth it is kept.
    pub fn end(&mut self, engine: &Engine) {
        while let Some(id) = self.unsaved.pop_front() {
            self.save(engine, id);
        }
        if let Some(prompts) = &self.prompts {
            let map = serde_json::to_string(&self.heat.map()).unwrap_or_default();
            let _ = prompts.note(&map); // the next run begins cold
        }
    }

    /// Adds what is known of the files.
    pub fn tell(&self, status: &mut PrefixStatus) {
        if let Some(prompts) = &self.prompts {
            status.drive_bytes = prompts.bytes();
            status.damaged = prompts.damaged();
        }
    }

    fn save(&mut self, engine: &Engine, id: SequenceId) {
        let (Some(prompts), Some(tokens)) = (&mut self.prompts, engine.computed(id)) else { return };
        if prompts.lacks(tokens) {
            // A full drive costs the next run some time, and no answer of this one.
            let _ = prompts.keep(tokens, engine.saved_bytes(id), |out| engine.save(id, out));
        }
    }
}

/// The hottest experts of each layer, as many as the pool has room for.
fn hottest(heat: &Heat, engine: &Engine) -> Vec<(LayerId, Vec<ExpertId>)> {
    let hottest = heat.by_layer();
    let mut chosen = Vec::new();
    for shelf in engine.pool_shelves() {
        let each = shelf.slots / shelf.layers.len().max(1);
        for layer in shelf.layers {
            let experts =
                hottest.get(layer.0 as usize).map_or(&[][..], |experts| &experts[..experts.len().min(each)]);
            if !experts.is_empty() && engine.has_experts(layer, experts) {
                chosen.push((layer, experts.to_vec()));
            }
        }
    }
    chosen
}
