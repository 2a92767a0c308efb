//! The loaded model and its loop.
//!
//! One step takes a batch: a token of every sequence that generates, and chunks of the prompts that wait, up to the
//! plan's number of rows. All of them share each expert that is read. Which sequences happen to be in a batch, and
//! how prompts are cut, changes no bit of any answer.

mod pace;
mod prefix;
mod room;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backend::{Activations, Backend, Cpu};
use base::{Context, Error, Extent, Result, Timeline, TokenId};
use disk::{Answer, Disk, Files, Io, Setting};
use experts::policy::Policy;
use experts::simulate::ShelfSize;
use experts::{ExpertPool, Lookahead, PoolStats, Watch};
use kv::KvCache;
use manifest::Manifest;
use model::{Decoder, Entry, Logits, ManifestCatalogue};
use spec::ModelSpec;

use self::pace::Pace;
use self::room::Room;
use crate::choice::Chosen;
use crate::drive::Decided;
use crate::governor::Governor;
use crate::opened::{Opened, threads};
use crate::plan::MemoryPlan;
use crate::sequence::{Event, Finish, Request, Sequence, SequenceId};
use crate::stats::{StepReport, Totals};
use crate::{Options, drive, machine};

/// Hears the logits of one token: its place in the text, and `[vocab]` numbers.
pub type Each<'a> = &'a mut dyn FnMut(usize, &[f32]) -> Result<()>;

/// Hears how many tokens of a prompt are computed, and how many it has.
pub type Progress = Box<dyn FnMut(usize, usize) + Send>;

/// A loaded model that generates for any number of sequences at once.
pub struct Engine {
    plan: MemoryPlan,
    decoder: Decoder,
    pool: ExpertPool,
    disk: Arc<dyn Disk>,
    reading: Answer,
    probed_before: Option<Duration>,
    pinned_bytes: u64,
    /// Watches memory for as long as the engine lives.
    _governor: Option<Governor>,
    sequences: BTreeMap<SequenceId, Sequence>,
    next: u64,
    /// The last sequence whose token the step before took; the next one's turn comes first.
    last_served: Option<SequenceId>,
    pace: Pace,
    room: Room,
    cancel: Arc<AtomicBool>,
    progress: Option<Progress>,
    totals: Totals,
}

/// Tokens before the end of a prompt where a recurrent state is marked, to go on from in the next one: templates end a
/// prompt with what opens the answer, some ten tokens that the next prompt may spell otherwise.
const MARK_BEFORE: usize = 16;

impl Engine {
    /// Opens the model at `path` and loads what stays resident.
    pub fn open(path: &std::path::Path, options: &Options) -> Result<Self> {
        let opened = Opened::read(path)?;
        let plan = opened.plan(options)?;
        Self::load(opened, plan, options, &mut |_, _| {})
    }

    /// Loads what stays resident of an opened model, within a plan made for it. `progress` hears bytes done and bytes
    /// in all.
    pub fn load(
        opened: Opened,
        plan: MemoryPlan,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        let manifest = opened.planned(&plan);
        drop(opened); // the metadata and the list of tensors
        let Decided { answer: mut reading, probed_before } = drive::decide(&manifest, options, &plan)?;
        let files = Arc::new(Files::open(&manifest.files, reading.setting.io)?);
        reading.note = reading.note.or(files.io_note().map(str::to_owned));
        let cpu = Arc::new(Cpu::with(options.kernels()?, options.activations, threads(options))?);
        let backend: Arc<dyn Backend> = cpu.clone();
        // Pages that are pinned beyond what there is would be somebody else's.
        cpu.pin_weights(machine::memory_limit().is_some_and(|limit| plan.total() <= limit));
        cpu.keep_tensors(plan.kept());
        let (total, mut done) = (manifest.trunk_bytes(), 0);
        let read = &mut |extent: Extent, bytes: &mut [u8]| {
            files.read_exact(extent, bytes)?;
            done += extent.len;
            progress(done, total);
            Ok(())
        };
        // Rows of the embedding are small and come again: the page cache is the place for them.
        let rows = Files::open(&manifest.files, Io::Buffered)?;
        rows.expect_scattered_reads();
        let rows = Arc::new(move |extent: Extent, bytes: &mut [u8]| rows.read_exact(extent, bytes));
        let decoder = model::load(&manifest, backend, read, rows)?;
        cpu.pin_weights(false);
        let (disk, note) = disk::start(files, &reading.setting)?;
        reading.note = reading.note.or(note);
        let mut engine = Self::assemble(manifest, decoder, disk, plan, &options.expert_policy)?;
        engine.reading = reading;
        engine.probed_before = probed_before;
        engine.pinned_bytes = cpu.pinned_bytes();
        engine.look_ahead(options.lookahead);
        if let Some(path) = &options.trace_log {
            engine.log_to(timeline(path)?);
        }
        engine._governor = Governor::start(
            engine.pool.bound(),
            plan.pool,
            plan.kv + plan.scratch + plan.kept() + plan.guesses,
        )?;
        base::release_code_pages(); // what loads runs no more
        Ok(engine)
    }

    /// An engine over any disk; what [`load`](Self::load) ends with, and what tests begin with.
    pub fn assemble(
        manifest: Arc<Manifest>,
        decoder: Decoder,
        disk: Arc<dyn Disk>,
        plan: MemoryPlan,
        policy: &str,
    ) -> Result<Self> {
        let in_turn =
            manifest.streams_dense() && manifest.spec.layers.iter().all(|layer| layer.moe().is_none());
        let policy = if in_turn { Policy::IN_TURN } else { Policy::named(policy)? };
        let (catalogue, io) = (ManifestCatalogue(manifest), disk.io());
        let mut pool = ExpertPool::new(&catalogue, disk.clone(), plan.pool, policy)?;
        let (cancel, pace) = (Arc::new(AtomicBool::new(false)), Pace::new(plan.chunk_beside));
        pool.cancel_with(cancel.clone());
        pool.add_guess_slots(plan.guesses);
        Ok(Self {
            plan,
            decoder,
            pool,
            disk,
            probed_before: None,
            pinned_bytes: 0,
            _governor: None,
            reading: Answer { setting: Setting::usual(io), bytes_per_second: None, note: None },
            sequences: BTreeMap::new(),
            next: 0,
            last_served: None,
            pace,
            room: Room::default(),
            cancel,
            progress: None,
            totals: Totals::default(),
        })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        self.decoder.spec()
    }

    /// How memory was divided.
    pub fn plan(&self) -> &MemoryPlan {
        &self.plan
    }

    /// Where it computes, for people.
    pub fn backend_name(&self) -> String {
        self.decoder.backend().name()
    }

    /// How activations meet quantized weights.
    pub fn activations(&self) -> Activations {
        self.decoder.backend().activations()
    }

    /// Bytes of the trunk that the system may not take out of memory.
    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    /// How experts are read, and why not as wished, if so.
    pub fn io(&self) -> (Io, Option<&str>) {
        (self.disk.io(), self.reading.note.as_deref())
    }

    /// How reads are handed to the drive, and the bytes a second it gave when it was probed; `None` when it was not, or
    /// when what was read did not come from a drive.
    pub fn reading(&self) -> (Setting, Option<u64>) {
        (self.reading.setting, self.reading.bytes_per_second)
    }

    /// How long ago a probe chose how reads are handed to the drive; `None` when none did, or just now.
    pub fn probed_before(&self) -> Option<Duration> {
        self.probed_before
    }

    /// What the expert pool counted since the engine was opened.
    pub fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Gives up every resident expert: the next answer begins with as few as the first one did.
    pub fn forget_experts(&mut self) -> Result<()> {
        self.pool.clear()
    }

    /// How many experts each shelf of the pool holds, and of which layers.
    pub fn pool_shelves(&self) -> Vec<ShelfSize> {
        self.pool.shelves()
    }

    /// Lets `watch` hear which experts every layer asks for from now on; `None` ends it.
    pub fn watch(&mut self, watch: Option<Watch>) {
        self.pool.watch(watch);
    }

    /// Whether experts are read ahead from now on. It needs a plan that was made for it.
    pub fn look_ahead(&mut self, mode: Lookahead) {
        self.pool.look_ahead(mode);
    }

    /// Lets `hear` know from now on how far the first prompt of a step is, several times in a layer; `None` ends it.
    pub fn on_progress(&mut self, hear: Option<Progress>) {
        self.progress = hear;
    }

    /// Writes down from now on what steps do when.
    pub fn log_to(&mut self, timeline: Timeline) {
        self.decoder.log_to(timeline.clone());
        self.pool.log_to(timeline);
    }

    /// What steps cost since the engine was opened.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Set it, from any thread, and the step under way ends with [`base::Kind::Cancelled`]. Sequences stay as they
    /// were before that step. It stays set until the caller clears it.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// Begins a sequence. Its tokens come from [`step`](Self::step).
    pub fn submit(&mut self, mut request: Request) -> Result<SequenceId> {
        let former = request.resume.take();
        let freed =
            former.and_then(|id| self.sequences.get(&id)).map_or(0, |sequence| sequence.kv.capacity());
        self.check(&request, request.capacity(), freed)?;
        let resumed = former.and_then(|id| self.sequences.remove(&id));
        let kv = match request.copy {
            Some(source) if resumed.is_none() => self.copied(&request, source)?,
            _ => self.kv_for(&request, resumed)?,
        };
        Ok(self.begin(request, kv))
    }

    /// Refuses what the model or the plan has no room for: a request that takes `capacity` tokens of the context, of which
    /// it gives back `freed`.
    fn check(&self, request: &Request, capacity: usize, freed: usize) -> Result<()> {
        request.check()?;
        self.decoder.check_tokens(&request.tokens)?;
        let biased: Vec<TokenId> = request.sampling.logit_bias.keys().copied().collect();
        self.decoder.check_tokens(&biased).within(|| "logit-bias")?;
        if request.tokens.len() > self.plan.prompt {
            return Err(err_prompt(request.tokens.len(), self.plan.prompt));
        }
        let limit = self.spec().context.min(self.plan.context);
        if request.capacity() > limit {
            return Err(err_context(request, 0, limit));
        }
        let used = self.kept() - freed;
        if capacity > self.plan.context.saturating_sub(used) {
            return Err(err_context(request, used, self.plan.context));
        }
        self.check_state(usize::from(freed > 0))
    }

    fn begin(&mut self, request: Request, mut kv: KvCache) -> SequenceId {
        kv.mark_at(request.tokens.len().saturating_sub(MARK_BEFORE));
        let id = SequenceId(self.next);
        self.next += 1;
        self.sequences.insert(id, Sequence::new(request, kv));
        id
    }

    /// One more sequence has room for its state, when so many give theirs up.
    fn check_state(&self, given_up: usize) -> Result<()> {
        match self.plan.sequences {
            Some(most) if self.sequences.len() - given_up >= most => Err(Error::input(format!(
                "{} sequences keep a state, and memory was planned for {most}",
                self.sequences.len()
            ))),
            _ => Ok(()),
        }
    }

    /// Tokens of the context that live and finished sequences hold.
    fn kept(&self) -> usize {
        self.sequences.values().map(|sequence| sequence.kv.capacity()).sum()
    }

    /// Attention state for a request, with what a former sequence shares with it.
    fn kv_for(&self, request: &Request, resumed: Option<Sequence>) -> Result<KvCache> {
        let backend = self.decoder.backend().as_ref();
        let Some(former) = resumed else {
            return KvCache::new(self.spec(), backend, self.plan.precision, request.capacity());
        };
        let kept = &former.tokens[..former.kv.len()];
        let shared = prefix::shared(kept, &request.tokens);
        let mut kv = former.kv;
        kv.truncate(shared.min(request.tokens.len() - 1));
        kv.reserve(self.spec(), backend, request.capacity())?;
        Ok(kv)
    }

    /// Ends a sequence. [`step`](Self::step) reports it no more; [`Request::resume`] still may.
    pub fn cancel(&mut self, id: SequenceId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.end(Finish::Cancelled);
        }
    }

    /// Forgets a sequence, finished or not.
    pub fn forget(&mut self, id: SequenceId) {
        self.sequences.remove(&id);
    }

    /// Prompt and answer of a sequence so far.
    pub fn tokens(&self, id: SequenceId) -> Option<&[TokenId]> {
        self.sequences.get(&id).map(|sequence| sequence.tokens.as_slice())
    }

    /// Why a sequence [failed](Finish::Failed).
    pub fn failure(&self, id: SequenceId) -> Option<&Error> {
        self.sequences.get(&id)?.failure.as_ref()
    }

    /// Prompt tokens of a sequence that are computed, and all of them.
    pub fn prefill_progress(&self, id: SequenceId) -> Option<(usize, usize)> {
        self.sequences.get(&id).map(|sequence| sequence.prefill_progress())
    }

    /// No sequence has anything to compute.
    pub fn is_idle(&self) -> bool {
        self.sequences.values().all(|sequence| sequence.finish.is_some())
    }

    /// One pass through the model, for as many sequences as fit.
    ///
    /// On an error (a failed read, a cancellation) every sequence is as before, and stepping again goes on.
    pub fn step(&mut self) -> Result<(Vec<Event>, StepReport)> {
        let (start, before) = (Instant::now(), self.pool.stats());
        self.room.make(self.plan.budget);
        let drive_before = machine::bytes_read_from_drives();
        let shares = self.shares();
        let prompt = shares.iter().find(|share| !share.decoding).and_then(|share| {
            let (done, total) = self.prefill_progress(share.id)?;
            Some((done, share.tokens, total))
        });
        let mut chosen: Vec<(SequenceId, Result<Chosen>)> = Vec::new();
        let mut report = {
            let mut live: BTreeMap<SequenceId, &mut Sequence> =
                self.sequences.iter_mut().map(|(id, sequence)| (*id, sequence)).collect();
            let of_share =
                |share: &Share| live.remove(&share.id).map(|sequence| sequence.entry(share.tokens));
            let (mut entries, mut choices): (Vec<_>, Vec<_>) = shares.iter().filter_map(of_share).unzip();
            let emit = &mut |entry: usize, _: usize, logits: &[f32]| {
                chosen.push((shares[entry].id, choices[entry].pick(logits)));
                Ok(())
            };
            let hear = &mut self.progress;
            let progress = &mut |share: f64| {
                if let (Some(hear), Some((done, tokens, total))) = (hear.as_mut(), prompt) {
                    hear(done + (share * tokens as f64) as usize, total);
                }
            };
            let (pool, cancel) = (&mut self.pool, &self.cancel);
            self.decoder.forward_with_progress(&mut entries, pool, cancel, progress, emit)?;
            StepReport::of_pool(&before, &self.pool.stats())
        };
        let mut events = Vec::new();
        for (id, choice) in chosen {
            let Some(sequence) = self.sequences.get_mut(&id) else { continue };
            let taken = sequence.advance(choice);
            events.extend(taken.map(|(token, logprobs)| Event::Token { sequence: id, token, logprobs }));
            events.extend(sequence.finish.map(|finish| Event::Finished { sequence: id, finish }));
        }
        self.last_served = shares.iter().rev().find(|share| share.decoding).map(|share| share.id);
        for share in &shares {
            let count = if share.decoding { &mut report.decode_tokens } else { &mut report.prefill_tokens };
            *count += share.tokens;
        }
        report.elapsed = start.elapsed();
        report.drive_bytes =
            machine::bytes_read_from_drives().zip(drive_before).map(|(now, then)| now - then);
        self.totals.add(&report);
        self.pace.learn(report.prefill_tokens, report.decode_tokens, report.elapsed);
        Ok((events, report))
    }

    /// Whose tokens the next pass takes: one of each sequence that generates, in turn when there are too many; then
    /// those of prompts, in equal parts, and what one leaves to the first of the others. While sequences generate,
    /// prompts have every other moment: see [`Pace`].
    fn shares(&self) -> Vec<Share> {
        let live = self.sequences.iter().filter(|(_, sequence)| sequence.finish.is_none());
        let (mut decoding, prompts): (Vec<_>, Vec<_>) = live.partition(|(_, sequence)| sequence.decoding());
        let turn = decoding.partition_point(|(id, _)| self.last_served.is_some_and(|last| **id <= last));
        decoding.rotate_left(turn);
        // Prompts that wait get a quarter of the rows, however many sequences generate.
        let kept = if prompts.is_empty() { 0 } else { self.plan.chunk.div_ceil(4) };
        decoding.truncate(self.plan.chunk - kept);
        let mut shares: Vec<Share> =
            decoding.iter().map(|(id, _)| Share { id: **id, tokens: 1, decoding: true }).collect();
        let left = self.plan.chunk - shares.len();
        let mut free = if shares.is_empty() { left } else { left.min(self.pace.rows()) };
        let part = (free / prompts.len().max(1)).max(1);
        let begun = shares.len();
        for (id, sequence) in &prompts {
            let tokens = sequence.pending().len().min(part).min(free);
            free -= tokens;
            shares.push(Share { id: **id, tokens, decoding: false });
        }
        for (share, (_, sequence)) in shares[begun..].iter_mut().zip(&prompts) {
            let more = (sequence.pending().len() - share.tokens).min(free);
            free -= more;
            share.tokens += more;
        }
        shares.retain(|share| share.tokens > 0);
        shares
    }

    /// Logits of every token of a text on its own, in order.
    pub fn score(&mut self, tokens: &[TokenId], each: Each<'_>) -> Result<()> {
        self.score_in(tokens, self.plan.chunk, &|_| 0..tokens.len(), each)
    }

    /// [`score`](Self::score), one token after another as generated tokens are computed: equal but for rounding.
    pub fn score_by_token(&mut self, tokens: &[TokenId], each: Each<'_>) -> Result<()> {
        self.score_in(tokens, 1, &|at| at..at + 1, each)
    }

    fn score_in(
        &mut self,
        tokens: &[TokenId],
        chunk: usize,
        prompt: &dyn Fn(usize) -> Range<usize>,
        each: Each<'_>,
    ) -> Result<()> {
        self.decoder.check_tokens(tokens)?;
        if tokens.len() > self.plan.prompt {
            return Err(err_prompt(tokens.len(), self.plan.prompt));
        }
        let free = self.plan.context.saturating_sub(self.kept());
        if tokens.len() > free {
            let error = format!("{} tokens to score, but the context has room for {free}", tokens.len());
            return Err(Error::input(error).hint(format!("--context {}", self.kept() + tokens.len())));
        }
        self.check_state(0)?;
        let mut kv =
            KvCache::new(self.spec(), self.decoder.backend().as_ref(), self.plan.precision, tokens.len())?;
        for chunk in tokens.chunks(chunk) {
            self.room.make(self.plan.budget);
            let start = kv.len();
            let prompt = prompt(start);
            let mut entries = [Entry { kv: &mut kv, tokens: chunk, prompt, logits: Logits::All }];
            let emit = &mut |_: usize, place: usize, logits: &[f32]| each(start + place, logits);
            self.decoder.forward(&mut entries, &mut self.pool, &self.cancel, emit)?;
        }
        Ok(())
    }

    /// Generates one answer; `each` hears every token as it comes, and says whether to go on.
    ///
    /// The sequence is kept, so that a following request can [resume](Request::resume) it. For one answer at a time:
    /// other live sequences go on as well, but their events are not handed out here.
    pub fn generate(
        &mut self,
        request: Request,
        each: &mut dyn FnMut(TokenId) -> std::ops::ControlFlow<()>,
    ) -> Result<(SequenceId, Finish)> {
        let id = self.submit(request)?;
        loop {
            let (events, _) = match self.step() {
                Ok(step) => step,
                Err(error) => {
                    self.forget(id);
                    return Err(error);
                }
            };
            for event in events {
                match event {
                    Event::Token { sequence, token, .. } if sequence == id && each(token).is_break() => {
                        self.cancel(id);
                        return Ok((id, Finish::Cancelled));
                    }
                    Event::Finished { sequence, finish } if sequence == id => {
                        return self.finished(id, finish);
                    }
                    _ => {}
                }
            }
        }
    }

    fn finished(&mut self, id: SequenceId, finish: Finish) -> Result<(SequenceId, Finish)> {
        let failure = self.sequences.get_mut(&id).and_then(|sequence| sequence.failure.take());
        failure.map_or(Ok((id, finish)), Err)
    }

    /// Clears a cancellation, so that steps run again.
    pub fn clear_cancel(&self) {
        self.cancel.store(false, Ordering::Relaxed);
    }
}

/// A timeline in a file made anew.
fn timeline(path: &std::path::Path) -> Result<Timeline> {
    let file = std::fs::File::create(path);
    let file = file.map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
    Ok(Timeline::to(Box::new(std::io::BufWriter::new(file))))
}

/// One sequence's part of a pass.
struct Share {
    id: SequenceId,
    tokens: usize,
    decoding: bool,
}

fn err_prompt(found: usize, prompt: usize) -> Error {
    Error::input(format!("a prompt of {found} tokens, but memory was planned for prompts of up to {prompt}"))
}

fn err_context(request: &Request, used: usize, context: usize) -> Error {
    let asked = request.capacity();
    let beside = if used > 0 { format!(" beside {used} of other sequences") } else { String::new() };
    Error::input(format!(
        "{} tokens of prompt and {} to generate{beside} do not fit the context of {context} tokens",
        request.tokens.len(),
        request.max_tokens
    ))
    .hint(format!("--context {}", used.saturating_add(asked)))
}
