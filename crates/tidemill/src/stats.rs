//! What steps cost, counted where it happens.

use std::time::Duration;

use experts::PoolStats;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Prompt tokens computed.
    pub prefill_tokens: usize,
    /// Generated tokens computed: one for each sequence that decodes.
    pub decode_tokens: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// Experts found resident.
    pub hits: u64,
    /// Experts that had to be read.
    pub misses: u64,
    /// Bytes of experts read.
    pub bytes_read: u64,
    /// Bytes read from drives, by the kernel's count.
    pub drive_bytes: Option<u64>,
    /// Time with nothing to compute, waiting for experts.
    pub wait: Duration,
    /// Time from naming a layer's experts until the last was computed.
    pub serving: Duration,
    /// Time from the last expert of a pass to the first that the next names: compute that no read can overlap.
    pub exposed: Duration,
}

/// What an engine did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Prompt tokens computed.
    pub prefill_tokens: u64,
    /// Time of the steps that computed prompt tokens.
    pub prefill: Duration,
    /// Tokens computed in steps without prompt tokens.
    pub decode_tokens: u64,
    /// Time of those steps.
    pub decode: Duration,
    /// Bytes of experts read in those steps.
    pub decode_bytes: u64,
    /// Time of those steps from naming a layer's experts until the last was computed.
    pub decode_serving: Duration,
    /// Time of those steps from the last expert of a pass to the first that the next names.
    pub decode_exposed: Duration,
    /// Bytes read from drives in those steps, by the kernel's count; `None` where the system does not tell.
    pub decode_drive_bytes: Option<u64>,
}

impl Totals {
    pub(crate) fn add(&mut self, step: &StepReport) {
        if step.prefill_tokens > 0 {
            self.prefill_tokens += step.prefill_tokens as u64;
            self.prefill += step.elapsed;
        } else {
            self.decode_tokens += step.decode_tokens as u64;
            self.decode += step.elapsed;
            self.decode_bytes += step.bytes_read;
            self.decode_serving += step.serving;
            self.decode_exposed += step.exposed;
            if let Some(bytes) = step.drive_bytes {
                *self.decode_drive_bytes.get_or_insert(0) += bytes;
            }
        }
    }
}

impl StepReport {
    /// What the pool counted between two looks at it.
    pub(crate) fn of_pool(before: &PoolStats, after: &PoolStats) -> Self {
        Self {
            hits: after.hits - before.hits,
            misses: after.misses - before.misses,
            bytes_read: after.bytes_read - before.bytes_read,
            wait: after.wait.saturating_sub(before.wait),
            serving: after.serving.saturating_sub(before.serving),
            exposed: after.between.saturating_sub(before.between),
            ..Self::default()
        }
    }
}
