//! How fast a machine can be with a model: bytes that must move, divided by what moves them.

use tidemill::{MemoryPlan, Traffic};

/// What this machine's drive and memory do, in bytes a second.
pub struct Rates {
    /// `None` when the model is too small, or the drive would not be read past the page cache.
    pub drive: Option<u64>,
    /// Of all threads together.
    pub memory: u64,
}

/// Tokens a second that no engine can exceed here.
pub struct Ceiling {
    /// Share of a token's experts that are not in the pool when routing is uniform: the worst case.
    pub missed: f64,
    /// `None` when every expert fits, or the drive was not measured.
    pub drive: Option<f64>,
    /// When every byte that a token uses comes from memory.
    pub memory: f64,
    /// `drive` or `memory`, whichever is less.
    pub limited_by: &'static str,
}

impl Ceiling {
    /// Of a plan, with routing that is uniform.
    pub fn new(plan: &MemoryPlan, traffic: &Traffic, rates: &Rates) -> Self {
        let held = plan.pool as f64 / traffic.experts_total.max(1) as f64;
        let missed = (1.0 - held).max(0.0);
        let memory = rates.memory as f64 / (traffic.trunk_per_token + traffic.experts_per_token) as f64;
        let read = missed * traffic.experts_per_token as f64;
        let drive = rates.drive.filter(|_| read > 0.0).map(|rate| rate as f64 / read);
        let limited_by = if drive.is_some_and(|drive| drive < memory) { "drive" } else { "memory" };
        Self { missed, drive, memory, limited_by }
    }
}
