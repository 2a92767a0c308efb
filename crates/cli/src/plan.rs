//! `tidemill plan`: what will be resident, what streamed, and how fast this machine can be with it.
//!
//! Of a model on the drive, or of one that is only known by its sizes: then the file that it would be is planned with.

use std::path::{Path, PathBuf};

use base::{ByteSize, Error, Kind, Result};
use geometry::{Geometry, Outline};
use serde_json::json;
use tidemill::{Demand, MemoryPlan, Opened, Options, Sizes, Traffic, machine};

use crate::args::PlanArgs;
use crate::ceiling::{Ceiling, Rates};
use crate::{models, probe, terminal};

pub fn plan(args: &PlanArgs) -> Result<()> {
    let planned = match subject(args)? {
        Subject::Files(path) => of_files(args, &path)?,
        Subject::Sizes(geometry) => of_sizes(args, geometry)?,
    };
    let Planned { plan, traffic, rates, title, runs } = &planned;
    let ceiling = Ceiling::new(plan, traffic, rates);
    if args.json {
        return terminal::json(&json!({
            "title": title,
            "runs": runs,
            "memory_budget": plan.budget,
            "minimum_memory": plan.minimum,
            "process_bytes": plan.process,
            "trunk_bytes": plan.trunk,
            "kv_bytes": plan.kv,
            "kv": plan.precision.name(),
            "scratch_bytes": plan.scratch,
            "pool_bytes": plan.pool,
            "guess_bytes": plan.guesses,
            "streams_dense": plan.streams_dense,
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
    let heading = title.as_ref().map_or(String::new(), |title| format!("{title}\n\n"));
    terminal::answer(&format!("{heading}{}", table(plan, traffic, rates, &ceiling)))
}

/// What was named.
enum Subject {
    Files(PathBuf),
    Sizes(&'static Geometry),
}

/// A file or folder wins over a geometry of the same name.
fn subject(args: &PlanArgs) -> Result<Subject> {
    if models::is_model(&args.model) {
        if args.shape.is_chosen() {
            return Err(Error::input(format!(
                "{} is a file or folder; --layers, --experts and --trunk choose what a geometry would be",
                args.model
            )));
        }
        return models::resolve(&args.model).map(Subject::Files);
    }
    let found = geometry::by_name(&args.model).map(Subject::Sizes);
    found.map_err(|error| Error::input(format!("{}: no such file or folder, and {error}", args.model)))
}

/// All that is told.
struct Planned {
    plan: MemoryPlan,
    traffic: Traffic,
    rates: Rates,
    /// What was planned with, when it is no file.
    title: Option<String>,
    /// Whether this engine runs it.
    runs: bool,
}

fn of_files(args: &PlanArgs, path: &Path) -> Result<Planned> {
    let opened = Opened::read(path)?;
    let plan = opened.plan(&args.engine.options())?;
    let rates = Rates { memory: probe::memory(threads(args))?, drive: probe::model_drive(&opened, None)? };
    Ok(Planned { plan, traffic: opened.traffic(&plan), rates, title: None, runs: true })
}

/// As of files where the engine runs the family; else by what every family has, and a guess at the scratch.
fn of_sizes(args: &PlanArgs, geometry: &'static Geometry) -> Result<Planned> {
    let outline = Outline::new(geometry, &args.shape.choice())?;
    let path = PathBuf::from(format!("{}.gguf", geometry.name));
    let options = args.engine.options();
    let (plan, traffic, runs) = match Opened::of(&path, outline.checkpoint(path.clone())?) {
        Ok(opened) => {
            let plan = opened.plan(&options)?;
            (plan, opened.traffic(&plan), true)
        }
        Err(error) if error.kind() == Kind::Unsupported => {
            if !args.json {
                terminal::note(&format!(
                    "note: this engine does not run it yet, so scratch is an estimate: {error}"
                ));
            }
            (estimate(geometry, &outline, &options)?, traffic(geometry, &outline), false)
        }
        Err(error) => return Err(error),
    };
    let drive =
        if plan.pool < traffic.experts_total { drive(args, outline.expert_read_bytes())? } else { None };
    let rates = Rates { memory: probe::memory(threads(args))?, drive };
    let title = format!(
        "{}: {}, {:.1} billion weights in a file of {}",
        geometry.name,
        geometry.title,
        outline.parameters() as f64 / 1e9,
        ByteSize(outline.bytes())
    );
    Ok(Planned { plan, traffic, rates, title: Some(title), runs })
}

fn threads(args: &PlanArgs) -> usize {
    args.engine.threads.map_or_else(machine::cores, usize::from)
}

/// The drive that the model would lie on. Where nobody named one and the current folder cannot be written, none.
fn drive(args: &PlanArgs, read_bytes: u64) -> Result<Option<u64>> {
    let folder = args.drive.as_deref().unwrap_or(Path::new("."));
    match probe::folder_drive(folder, read_bytes, args.json || args.engine.quiet) {
        Err(_) if args.drive.is_none() => Ok(None),
        measured => measured,
    }
}

fn estimate(geometry: &Geometry, outline: &Outline, options: &Options) -> Result<MemoryPlan> {
    let demand = Demand::of(options, geometry.context)?;
    let one = outline.expert_bytes() / outline.expert_count().max(1);
    MemoryPlan::fit(
        &Sizes {
            trunk: outline.trunk_bytes(),
            kv_per_token: demand.precision.row_bytes(outline.kv_values_per_token()) as u64,
            state: 0, // every model that keeps one runs
            scratch: &|tokens| (outline.pass_values(tokens) * size_of::<f32>()) as u64,
            pool_minimum: one,
            pool_maximum: outline.expert_bytes(),
            streams_dense: false,
        },
        &demand,
    )
}

fn traffic(geometry: &Geometry, outline: &Outline) -> Traffic {
    let moe = &geometry.moe;
    let experts_total = outline.expert_bytes();
    let experts_per_token = (experts_total as f64 * moe.top_k as f64 / moe.experts.max(1) as f64) as u64;
    Traffic { experts_total, experts_per_token, trunk_per_token: outline.trunk_bytes() }
}

fn table(plan: &MemoryPlan, traffic: &tidemill::Traffic, rates: &Rates, ceiling: &Ceiling) -> String {
    let row = |name: &str, bytes: u64, what: &str| {
        format!("  {name:<12}{:>11}   {what}\n", ByteSize(bytes).to_string())
    };
    let mut text = String::from("memory\n");
    text += &row("process", plan.process, "code, headers, tokenizer, slack");
    text += &row("trunk", plan.trunk, "weights that every token needs");
    text += &row(
        "kv cache",
        plan.kv,
        &format!("{} tokens of context, in {}", plan.context, plan.precision.name()),
    );
    text += &row("scratch", plan.scratch, &format!("passes of up to {} tokens", plan.chunk));
    let share = 100.0 * plan.pool as f64 / traffic.experts_total.max(1) as f64;
    let what = if plan.streams_dense { "streamed networks, of dense layers too" } else { "experts" };
    let pool = format!("{:.1} % of {} of {what}", share.min(100.0), ByteSize(traffic.experts_total));
    text += &row("expert pool", plan.pool, &pool);
    if plan.guesses > 0 {
        text += &row("guesses", plan.guesses, "experts read before they are asked for");
    }
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
