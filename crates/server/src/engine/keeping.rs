//! What outlives the server: prompts that were read, and which experts were hot.
//!
//! All of it is done while nothing else is to be done, or in a small part of the time that steps take, a piece at a time;
//! and none of it is needed: what fails here costs time later, and no answer. The drive is waited for on other threads.

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base::{ExpertId, LayerId, Result};
use tidemill::{Complete, Engine, PROMPT_MIN, Prompts, Request, Saving, SequenceId, Writing};

use super::heat::Heat;
use super::status::PrefixStatus;
use crate::options::Store;

/// Keeps prompts and heat on a drive.
pub struct Keeping {
    prompts: Option<Prompts>,
    heat: Heat,
    /// Finished sequences that may be worth a file.
    unsaved: VecDeque<SequenceId>,
    /// The one whose file is being written.
    job: Option<Job>,
    /// Files that wait for the drive.
    ending: Vec<JoinHandle<Result<Complete>>>,
    /// What writing may take of the time of steps, by now.
    allowance: Duration,
    /// A sequence is written when one part in so many of it, at least, is in no file.
    least_part: usize,
    /// Experts to be read while nothing else is.
    cold: VecDeque<(LayerId, Vec<ExpertId>)>,
}

/// A sequence on its way into a file.
struct Job {
    id: SequenceId,
    saving: Saving,
    writing: Writing,
    /// Bytes of it.
    bytes: u64,
}

/// While a conversation goes on, it is written anew each time so large a part of it is new: drives wear out.
const LEAST_PART: usize = 8;
/// Beside steps, one part in so many of their time is spent on writing.
const TIME_PART: u32 = 20;
/// Of a sequence that has to go, no more bytes than this are written while others wait.
const HURRIED_BYTES: u64 = 16 << 20;
/// Files that wait for the drive at once: each takes a thread and a MiB.
const ENDING_MAX: usize = 4;

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
        Ok(Self {
            prompts,
            heat,
            unsaved: VecDeque::new(),
            job: None,
            ending: Vec::new(),
            allowance: Duration::ZERO,
            least_part: LEAST_PART,
            cold,
        })
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
        self.job.take_if(|job| job.id == id);
    }

    /// A sequence is about to be forgotten: what is long is not kept then.
    pub fn leaving(&mut self, engine: &Engine, id: SequenceId) {
        let another = self.job.take_if(|job| job.id != id);
        if let Some(place) = self.unsaved.iter().position(|one| *one == id) {
            self.unsaved.remove(place);
            self.collect(false);
            if engine.saved_bytes(id) <= HURRIED_BYTES && self.ending.len() < ENDING_MAX {
                self.begin(engine, id);
            }
        }
        while let Some(job) = self.job.take_if(|job| job.bytes <= HURRIED_BYTES) {
            self.go_on(engine, job);
        }
        self.job = another;
    }

    /// Does a piece of what there is to do; `false` when there is nothing.
    pub fn work(&mut self, engine: &mut Engine) -> bool {
        if self.write(engine) {
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

    /// Writes in a small part of the time that a step took.
    pub fn work_beside(&mut self, engine: &Engine, took: Duration) {
        self.allowance = (self.allowance + took / TIME_PART).min(Duration::from_secs(1));
        while !self.allowance.is_zero() {
            let began = Instant::now();
            if !self.write(engine) {
                return;
            }
            self.allowance = self.allowance.saturating_sub(began.elapsed());
        }
    }

    /// The server ends: of the sequences in memory, all is kept that would have to be computed again.
    pub fn end(&mut self, engine: &Engine, sequences: &VecDeque<SequenceId>) {
        self.unsaved.clone_from(sequences);
        if let Some(job) = self.job.take() {
            self.unsaved.retain(|id| *id != job.id);
            self.job = Some(job);
        }
        self.least_part = usize::MAX;
        while self.write(engine) || !self.ending.is_empty() {
            self.collect(self.job.is_none());
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

    /// Writes a piece of whatever is to be written; `false` when nothing is, or when the drive is to be waited for first.
    fn write(&mut self, engine: &Engine) -> bool {
        self.collect(false);
        if self.job.is_none() {
            if !self.ending.is_empty() {
                return false;
            }
            let Some(id) = self.unsaved.pop_front() else { return false };
            self.begin(engine, id);
        }
        if let Some(job) = self.job.take() {
            self.go_on(engine, job);
        }
        true
    }

    /// Begins the file of a sequence, if it is worth one.
    fn begin(&mut self, engine: &Engine, id: SequenceId) {
        let (Some(prompts), Some(tokens)) = (&mut self.prompts, engine.computed(id)) else { return };
        let least = PROMPT_MIN.max(tokens.len() / self.least_part);
        let (Some(beginnings), true) = (engine.beginnings(id), prompts.unknown(tokens) >= least) else {
            return;
        };
        let bytes = engine.saved_bytes(id);
        // A full drive costs the next run some time, and no answer of this one.
        if let Ok(Some(writing)) = prompts.begin(tokens, beginnings, bytes) {
            self.job = Some(Job { id, saving: Saving::of(tokens.len()), writing, bytes });
        }
    }

    /// Writes a piece of a file. When it was the last, another thread waits until the drive has all of it.
    fn go_on(&mut self, engine: &Engine, mut job: Job) {
        match engine.save_piece(job.id, &mut job.saving, &mut job.writing) {
            Ok(true) => self.job = Some(job),
            Ok(false) => {
                let name = thread::Builder::new().name("keeping".to_owned());
                self.ending.extend(name.spawn(move || job.writing.complete()).ok());
            }
            Err(_) => {}
        }
    }

    /// Takes over files that are complete; all, if it is to `wait`.
    fn collect(&mut self, wait: bool) {
        let Some(prompts) = &mut self.prompts else { return };
        for handle in std::mem::take(&mut self.ending) {
            if !wait && !handle.is_finished() {
                self.ending.push(handle);
            } else if let Ok(Ok(complete)) = handle.join() {
                prompts.add(complete);
            }
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
