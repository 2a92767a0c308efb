//! `tidemill plan`: what will be resident, what streamed, and how fast this machine can be with it.

use base::{ByteSize, Result};
use serde_json::json;
use tidemill::{MemoryPlan, Opened};

use crate::args::PlanArgs;
use crate::{models, probe, terminal};

pub fn plan(args: &PlanArgs) -> Result<()> {
    let opened = Opened::read(&models::resolve(&args.model)?)?;
    let options = args.engine.options();
    let plan = opened.plan(&options)?;
    let traffic = opened.traffic();
    let rates = Rates {
        memory: probe::memory(args.engine.threads.map_or_else(tidemill::machine::cores, usize::from))?,
        drive: probe::model_drive(&opened)?,
    };
    let ceiling = Ceiling::new(&plan, &traffic, &rates);
    if args.json {
        return terminal::json(&json!({
            "memory_budget": plan.budget,
            "minimum_memory": plan.minimum,
            "process_bytes": plan.process,
            "trunk_bytes": plan.trunk,
            "kv_bytes": plan.kv,
            "scratch_bytes": plan.scratch,
            "pool_bytes": plan.pool,
            "context": plan.context,
            "chunk": plan.chunk,
            "expert_bytes_total": traffic.experts_total,
            "expert_bytes_per_token": traffic.experts_per_token,
            "trunk_bytes_per_token": traffic.trunk_per_token,
            "drive_bytes_per_second": rates.drive,
            "memory_bytes_per_second": rates.memory,
            "ceiling_tok_s": { "drive": ceiling.drive, "memory": ceiling.memory },
            "limited_by": ceiling.limited_by,
        }));
    }
    terminal::answer(&table(&plan, &traffic, &rates, &ceiling))
}

/// What this machine's drive and memory do, in bytes a second.
struct Rates {
    /// `None` when the model is too small, or the drive would not be read past the page cache.
    drive: Option<u64>,
    memory: u64,
}

/// Tokens a second that no engine can exceed here.
struct Ceiling {
    /// Share of a token's experts that are not in the pool when routing is uniform: the worst case.
    missed: f64,
    /// `None` when every expert fits, or the drive was not measured.
    drive: Option<f64>,
    memory: f64,
    limited_by: &'static str,
}

impl Ceiling {
    fn new(plan: &MemoryPlan, traffic: &tidemill::Traffic, rates: &Rates) -> Self {
        let held = plan.pool as f64 / traffic.experts_total.max(1) as f64;
        let missed = (1.0 - held).max(0.0);
        let memory = rates.memory as f64 / (traffic.trunk_per_token + traffic.experts_per_token) as f64;
        let read = missed * traffic.experts_per_token as f64;
        let drive = rates.drive.filter(|_| read > 0.0).map(|rate| rate as f64 / read);
        let limited_by = if drive.is_some_and(|drive| drive < memory) { "drive" } else { "memory" };
        Self { missed, drive, memory, limited_by }
    }
}

fn table(plan: &MemoryPlan, traffic: &tidemill::Traffic, rates: &Rates, ceiling: &Ceiling) -> String {
    let row = |name: &str, bytes: u64, what: &str| {
        format!("  {name:<12}{:>11}   {what}\n", ByteSize(bytes).to_string())
    };
    let mut text = String::from("memory\n");
    text += &row("process", plan.process, "code, headers, tokenizer, slack");
    text += &row("trunk", plan.trunk, "weights that every token needs");
    text += &row("kv cache", plan.kv, &format!("{} tokens of context", plan.context));
    text += &row("scratch", plan.scratch, &format!("passes of up to {} tokens", plan.chunk));
    let share = 100.0 * plan.pool as f64 / traffic.experts_total.max(1) as f64;
    let pool = format!("{:.1} % of {} of experts", share.min(100.0), ByteSize(traffic.experts_total));
    text += &row("expert pool", plan.pool, &pool);
    text += &row("total", plan.total(), &format!("of a budget of {}", ByteSize(plan.budget)));
    text += &row("minimum", plan.minimum, "the smallest budget that works");
    text += "\nper token\n";
    text += &row("trunk", traffic.trunk_per_token, "read from memory");
    text += &row(
        "experts",
        traffic.experts_per_token,
        &format!(
            "of which {} from the drive, if all experts are equally likely",
            ByteSize((ceiling.missed * traffic.experts_per_token as f64) as u64)
        ),
    );
    text += "\nceiling\n";
    let drive = match (rates.drive, ceiling.drive) {
        (Some(rate), Some(ceiling)) => format!("{ceiling:.2} tok/s at {}/s", ByteSize(rate)),
        (_, None) if ceiling.missed == 0.0 => "none: every expert fits in memory".to_owned(),
        _ => {
            "not measured: the model is too small, or its drive cannot be read past the page cache".to_owned()
        }
    };
    text += &format!("  drive       {drive}\n");
    text += &format!("  memory      {:.2} tok/s at {}/s\n", ceiling.memory, ByteSize(rates.memory));
    text += &format!("  limited by  {}\n", ceiling.limited_by);
    text
}
