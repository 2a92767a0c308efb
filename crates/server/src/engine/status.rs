//! What one sees of the engine while it works.

use std::time::Instant;

use serde::Serialize;
use tidemill::Totals;
use utoipa::ToSchema;

use super::pulse::Rates;

/// The engine as it was after its last step.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Status {
    /// Answers that are being generated, or whose prompts are read.
    pub answers: Vec<AnswerStatus>,
    /// Answers that wait for their turn.
    pub waiting: usize,
    /// Rates of the last seconds of work.
    pub rates: Rates,
    /// Where memory goes.
    pub memory: MemoryStatus,
    /// What was kept of former prompts.
    pub prefixes: PrefixStatus,
    /// Since the server was started.
    pub totals: Counts,
}

/// One answer.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct AnswerStatus {
    /// Counted from the start of the server.
    pub id: u64,
    /// Tokens of its prompt.
    pub prompt_tokens: usize,
    /// Those known from before.
    pub cached_tokens: usize,
    /// Those computed or known by now.
    pub prompt_done: usize,
    /// Seconds until the prompt is read, at the speed so far; absent before it is known and when it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_seconds_left: Option<f64>,
    /// Tokens generated.
    pub tokens: usize,
    /// Seconds since the request came.
    pub seconds: f64,
    /// When its prompt was begun, and the seconds it had waited by then.
    #[serde(skip)]
    pub(super) since: Option<Instant>,
    #[serde(skip)]
    pub(super) waited: f64,
}

/// Where memory goes, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct MemoryStatus {
    /// What the whole process may use.
    pub budget_bytes: u64,
    /// What it uses now; absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// What every token needs.
    pub trunk_bytes: u64,
    /// What attention may keep.
    pub kv_bytes: u64,
    /// What experts may use.
    pub pool_bytes: u64,
    /// What resident experts use now.
    pub pool_resident_bytes: u64,
    /// Tokens of context in all.
    pub context_tokens: usize,
    /// Tokens of context nobody holds.
    pub context_free_tokens: usize,
}

/// What was kept of former prompts.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct PrefixStatus {
    /// Prompts of which nothing was known.
    pub misses: u64,
    /// Prompts whose beginning was in memory.
    pub memory_hits: u64,
    /// Prompts whose beginning was on the drive.
    pub drive_hits: u64,
    /// Tokens that were not computed again.
    pub tokens: u64,
    /// Finished sequences in memory.
    pub kept: usize,
    /// Bytes on the drive.
    pub drive_bytes: u64,
    /// Entries on the drive that were damaged, and dropped.
    pub damaged: u64,
}

/// Counted since the server was started.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    /// Answers that ended by themselves.
    pub finished: u64,
    /// Answers whose client went away or whose time was over.
    pub cancelled: u64,
    /// Answers that failed.
    pub failed: u64,
    /// Steps of the engine.
    pub steps: u64,
    /// Tokens of prompts that were computed.
    pub prompt_tokens: u64,
    /// Tokens that were generated.
    pub tokens: u64,
    /// Experts found in memory.
    pub expert_hits: u64,
    /// Experts that had to be read.
    pub expert_misses: u64,
    /// Bytes of experts read.
    pub expert_bytes: u64,
    /// Seconds without an expert to compute.
    pub wait_seconds: f64,
    /// Seconds of steps.
    pub busy_seconds: f64,
}

impl Counts {
    /// Takes over what the engine counts itself.
    pub(super) fn take(&mut self, totals: &Totals, stats: &experts::PoolStats) {
        self.prompt_tokens = totals.prefill_tokens;
        self.busy_seconds = (totals.prefill + totals.decode).as_secs_f64();
        self.expert_hits = stats.hits + stats.late_hits;
        self.expert_misses = stats.misses;
        self.expert_bytes = stats.bytes_read;
        self.wait_seconds = stats.wait.as_secs_f64();
    }
}

impl AnswerStatus {
    /// So many tokens of the prompt are done by now.
    pub(super) fn advance(&mut self, done: usize) {
        self.prompt_done = self.prompt_done.max(done.min(self.prompt_tokens));
        if let Some(since) = self.since {
            self.seconds = self.waited + since.elapsed().as_secs_f64();
            let (done, all) =
                (self.prompt_done - self.cached_tokens, self.prompt_tokens - self.cached_tokens);
            let left = since.elapsed().as_secs_f64() * (all - done) as f64 / done.max(1) as f64;
            self.prompt_seconds_left = (done > 0 && done < all).then_some(left);
        }
    }
}
