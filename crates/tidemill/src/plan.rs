//! The memory plan: computed from headers alone, before anything is loaded.
//!
//! The budget bounds the whole process. What every token needs is subtracted first; what is left is the expert pool,
//! which can be any size from one expert upwards. So the plan fails only when not even one expert would fit, and then
//! names the smallest budget that works.

use std::sync::Arc;

use base::{ByteSize, Error, Kind, Result};
use experts::{GUESS_SLOTS, PoolNeeds, needs};
use kv::Precision;
use manifest::Manifest;
use model::{ManifestCatalogue, PassSize, scratch_bytes};

/// What a run asks of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Bytes the whole process may use.
    pub budget: u64,
    /// Tokens that all live sequences together may keep.
    pub context: usize,
    /// Tokens of the longest prompt.
    pub prompt: usize,
    /// Tokens that one pass takes at most; the plan takes fewer when memory is short.
    pub chunk_max: usize,
    /// Tokens of prompts that a pass takes at most in which others generate.
    pub chunk_beside: usize,
    /// Threads that compute.
    pub threads: usize,
    /// How rows of the KV cache are stored.
    pub precision: Precision,
    /// Sequences that may live at once, where each keeps a state beside its tokens.
    pub sequences: usize,
    /// Whether experts are read before their layer asks for them.
    pub lookahead: bool,
    /// Bytes the process holds before any weight is read: its code, the headers, the tokenizer.
    pub process: u64,
}

/// Where the bytes of the budget go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes the whole process may use.
    pub budget: u64,
    /// Bytes before any weight is read, with some slack.
    pub process: u64,
    /// Bytes of the weights every token needs.
    pub trunk: u64,
    /// Bytes of the attention state of `context` tokens, and of states that do not grow.
    pub kv: u64,
    /// Sequences that may live at once, finished ones that are not forgotten among them; `None` where only their tokens
    /// count.
    pub sequences: Option<usize>,
    /// How its rows are stored.
    pub precision: Precision,
    /// Bytes one pass works in.
    pub scratch: u64,
    /// Bytes of resident experts.
    pub pool: u64,
    /// Bytes of experts that are read before their layer asks for them.
    pub guesses: u64,
    /// The feed-forward networks of dense layers are not in the trunk, but read as experts are.
    pub streams_dense: bool,
    /// The smallest budget that works for this context.
    pub minimum: u64,
    /// Tokens that all live sequences together may keep.
    pub context: usize,
    /// Tokens of the longest prompt.
    pub prompt: usize,
    /// Tokens that one pass takes at most.
    pub chunk: usize,
    /// Tokens of prompts that a pass takes at most in which others generate.
    pub chunk_beside: usize,
}

/// What comes beside what is counted: code and constants, of which the system holds more or fewer as it reads around what is
/// touched, the reader threads, the allocator. Measured at 3.9 to 4.8 MiB on the demo model.
const SLACK: u64 = 39 << 17;

/// The fewest rows of a pass. With fewer, weights would be read from memory too often for too little.
const CHUNK_LEAST: usize = 4;

/// Scratch takes no more than this part of what is left: a larger chunk reads fewer experts in prefill, a larger pool
/// fewer in decode.
const CHUNK_PART: u64 = 4;

/// Slots of guesses take no more than this part of what the pool would have: residents gain more by them.
const GUESS_PART: u64 = 16;

/// What a model asks of memory whatever the budget is.
pub struct Sizes<'a> {
    /// Bytes of the weights every token needs.
    pub trunk: u64,
    /// Bytes that attention keeps of each token.
    pub kv_per_token: u64,
    /// Bytes a sequence keeps however many tokens it has.
    pub state: u64,
    /// Bytes that a pass of so many tokens works in.
    pub scratch: &'a dyn Fn(usize) -> u64,
    /// Bytes of the smallest expert pool.
    pub pool_minimum: u64,
    /// Bytes of a pool that holds all experts.
    pub pool_maximum: u64,
    /// Among them are the feed-forward networks of dense layers.
    pub streams_dense: bool,
}

impl MemoryPlan {
    /// Fits `demand`. Where that takes it, the feed-forward networks of dense layers are streamed as experts are.
    pub fn new(manifest: &Arc<Manifest>, demand: &Demand) -> Result<Self> {
        let whole = Self::of_manifest(manifest, demand);
        if !whole.as_ref().is_err_and(|error| error.kind() == Kind::Budget) {
            return whole;
        }
        let streamed = Arc::new(manifest.with_dense_streamed());
        if streamed.streams_dense() { Self::of_manifest(&streamed, demand) } else { whole }
    }

    fn of_manifest(manifest: &Arc<Manifest>, demand: &Demand) -> Result<Self> {
        let PoolNeeds { smallest_bytes: pool_minimum, all_bytes: pool_maximum } =
            needs(&ManifestCatalogue(manifest.clone()))?;
        let streams_dense = manifest.streams_dense();
        let spec = &manifest.spec;
        let Demand { context, prompt, threads, .. } = *demand;
        let scratch = |tokens| scratch_bytes(spec, &PassSize { tokens, context, prompt, threads });
        let trunk = manifest.trunk_bytes();
        let kv_per_token = kv::bytes_per_token(spec, demand.precision);
        let state = kv::state_bytes(spec, demand.precision);
        Self::fit(
            &Sizes {
                trunk,
                kv_per_token,
                state,
                scratch: &scratch,
                pool_minimum,
                pool_maximum,
                streams_dense,
            },
            demand,
        )
    }

    /// The same for a model of which only the sizes are known.
    pub fn fit(sizes: &Sizes<'_>, demand: &Demand) -> Result<Self> {
        let Sizes { trunk, scratch, pool_minimum, pool_maximum, .. } = *sizes;
        let Demand { context, prompt, sequences, .. } = *demand;
        let process = demand.process + SLACK;
        let states = sizes.state.saturating_mul(sequences as u64);
        let kv = sizes.kv_per_token.saturating_mul(context as u64).saturating_add(states);
        let fixed = (process + trunk).saturating_add(kv);

        let minimum = fixed.saturating_add(scratch(CHUNK_LEAST) + pool_minimum);
        let free = demand.budget.saturating_sub(fixed);
        let chunk = chunk(demand.chunk_max, &|rows| {
            let scratch = scratch(rows);
            scratch <= free / CHUNK_PART && free - scratch >= pool_minimum
        });
        let left = free.saturating_sub(scratch(chunk));
        let guesses = guess_bytes(sizes, demand, left);
        let plan = Self {
            budget: demand.budget,
            process,
            trunk,
            kv,
            sequences: (sizes.state > 0).then_some(sequences),
            precision: demand.precision,
            scratch: scratch(chunk),
            pool: (left - guesses).min(pool_maximum),
            guesses,
            streams_dense: sizes.streams_dense,
            minimum,
            context,
            prompt,
            chunk,
            chunk_beside: demand.chunk_beside.min(chunk),
        };
        if demand.budget < minimum { Err(plan.err_too_small(pool_minimum)) } else { Ok(plan) }
    }

    /// Bytes the plan accounts for.
    pub fn total(&self) -> u64 {
        self.process + self.trunk + self.kv + self.scratch + self.pool + self.guesses
    }

    /// Bytes of what a pass works in that may stay from one pass to the next: only of those that nothing else can use, since
    /// all experts are resident.
    pub fn kept(&self) -> u64 {
        self.budget.saturating_sub(self.total()).min(self.scratch)
    }

    fn err_too_small(&self, pool_minimum: u64) -> Error {
        let part = ByteSize;
        let needed = typed(self.minimum);
        Error::budget(format!(
            "the model does not fit the memory budget of {}: it needs at least {needed} (process {}, trunk {}, kv \
             cache {} for {} tokens, scratch {}, smallest expert pool {})",
            part(self.budget),
            part(self.process),
            part(self.trunk),
            part(self.kv),
            self.context,
            part(self.minimum - self.process - self.trunk - self.kv - pool_minimum),
            part(pool_minimum),
        ))
        .hint(format!("--memory {needed}"))
    }
}

/// Bytes for what is read ahead, of those that are left for experts. What dense layers stream is certain to be used, so
/// two slots for it come before residents; guesses only where they cost residents little.
fn guess_bytes(sizes: &Sizes<'_>, demand: &Demand, left: u64) -> u64 {
    let slots = if sizes.streams_dense { 2 } else { GUESS_SLOTS as u64 };
    let (bytes, part) = (slots * sizes.pool_minimum, if sizes.streams_dense { 2 } else { GUESS_PART });
    let is_wanted = sizes.streams_dense || demand.lookahead;
    if is_wanted && left < sizes.pool_maximum && bytes <= left / part { bytes } else { 0 }
}

/// Rows of a pass: as many as fit, up to `most`, so that a prompt is computed in as few passes as possible; and those
/// of about equal length, for which less memory may do. Each pass of a long prompt reads nearly every expert.
fn chunk(most: usize, fits: &dyn Fn(usize) -> bool) -> usize {
    let most = most.max(CHUNK_LEAST);
    if fits(most) {
        return most;
    }
    let (mut fitting, mut too_many) = (CHUNK_LEAST, most);
    while fitting + 1 < too_many {
        let middle = fitting.midpoint(too_many);
        *(if fits(middle) { &mut fitting } else { &mut too_many }) = middle;
    }
    most.div_ceil(most.div_ceil(fitting))
}

/// A size rounded up so that typing it back is enough.
fn typed(bytes: u64) -> String {
    const TENTH: u64 = (1 << 30) / 10;
    match bytes {
        0..=0x3fff_ffff => format!("{}MiB", bytes.div_ceil(1 << 20)),
        _ => format!("{:.1}GiB", (bytes.div_ceil(TENTH) + 1) as f64 / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_cut_in_as_few_passes_as_fit_and_those_are_equal() {
        // the longest prompt, rows that fit, rows of a pass
        let cases = [(1, 4096, 4), (15, 4096, 15), (2048, 4096, 2048), (2048, 2047, 1024), (2048, 900, 683)];
        for (most, fits, expected) in
            cases.into_iter().chain([(2048, 9, 9), (2048, 3, 4), (usize::MAX, 10, 10)])
        {
            assert_eq!(chunk(most, &|rows| rows <= fits), expected, "{most} {fits}");
        }
    }

    #[test]
    fn tensors_are_kept_only_of_what_every_expert_leaves() {
        let sizes = Sizes {
            trunk: 100 << 20,
            kv_per_token: 1 << 10,
            state: 0,
            scratch: &|tokens| (tokens as u64) << 16,
            pool_minimum: 1 << 20,
            pool_maximum: 200 << 20,
            streams_dense: false,
        };
        let demand = Demand {
            budget: 0,
            context: 1024,
            prompt: 512,
            chunk_max: 512,
            chunk_beside: 512,
            threads: 2,
            precision: Precision::F16,
            sequences: 1,
            lookahead: false,
            process: 10 << 20,
        };
        let plan = |budget| MemoryPlan::fit(&sizes, &Demand { budget, ..demand }).unwrap();
        let whole = plan(1 << 30);
        let all = whole.total();
        // A budget, and what is kept: nothing, what is left, and no more than scratch has.
        let cases = [(all - (1 << 20), 0), (all, 0), (all + (1 << 20), 1 << 20), (1 << 30, whole.scratch)];
        for (budget, kept) in cases {
            let plan = plan(budget);
            assert_eq!(plan.kept(), kept, "{budget}");
            assert!(plan.total() + plan.kept() <= budget, "{plan:?}");
        }
    }
}
