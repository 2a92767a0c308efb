//! `tidemill simulate`: what every policy would have made of a trace, at every pool size, beside the clairvoyant.
//!
//! Scored are the accesses of the second half of the generated tokens, after everything before has warmed the pool.

use std::path::Path;

use base::{Error, LayerId, Result};
use experts::policy::{POLICIES, Policy};
use experts::simulate::{Counts, Replay, ShelfSize, clairvoyant};
use serde_json::json;

use crate::args::SimulateArgs;
use crate::curves::{Curve, svg};
use crate::streams::Streams;
use crate::terminal;
use crate::traces::{Recorded, Trace};

/// Shares of all experts that fit the pool.
pub const FRACTIONS: [f64; 5] = [0.03, 0.0625, 0.125, 0.25, 0.5];

/// What the bound is called among the policies.
const CLAIRVOYANT: &str = "clairvoyant";

pub fn simulate(args: &SimulateArgs) -> Result<()> {
    let trace = Trace::read(&args.trace)?;
    if let Some(streams) = args.streams {
        return at_once(args, &trace, streams);
    }
    let curves = curves(&trace, args.policy.as_deref())?;
    let again = trace.recorded.as_ref().map(|recorded| replay(&trace, recorded)).transpose()?;
    if let Some(plot) = &args.plot {
        let title = format!("{}: hit rate by pool size", name(&trace, &args.trace));
        std::fs::write(plot, svg(&title, &curves))
            .map_err(|error| Error::io(format!("writing {}", plot.display()), &error))?;
    }
    if args.json {
        let row = |curve: &Curve| {
            let policy = curve.name.clone();
            let row = move |(fraction, hit_rate): &(f64, f64)| json!({ "policy": policy, "fraction": fraction, "hit_rate": hit_rate });
            curve.points.iter().map(row).collect::<Vec<_>>()
        };
        let counts = |counts: Counts| json!({ "hits": counts.hits, "misses": counts.misses, "evictions": counts.evictions });
        let recorded = trace.recorded.as_ref().zip(again).map(|(recorded, again)| {
            json!({ "policy": recorded.policy, "engine": recorded.counts.map(counts), "replayed": counts(again) })
        });
        return terminal::json(&json!({
            "model": trace.model,
            "decoded_tokens": trace.decoded.len(),
            "default_policy": Policy::default().name,
            "rows": curves.iter().flat_map(row).collect::<Vec<_>>(),
            "recorded": recorded,
        }));
    }
    terminal::answer(&table(&trace, &args.trace, &curves))?;
    match trace.recorded.as_ref().zip(again) {
        Some((recorded, again)) => terminal::answer(&told(recorded, &again)),
        None => Ok(()),
    }
}

/// What several answers at once read for each of their tokens, beside one at a time.
fn at_once(args: &SimulateArgs, trace: &Trace, count: usize) -> Result<()> {
    let policy = args.policy.as_deref().map_or(Ok(Policy::default()), Policy::named)?;
    let streams = Streams::cut(trace, count)?;
    let sizes = FRACTIONS.map(|fraction| (fraction, shelves(trace, fraction)));
    let rows = sizes.map(|(fraction, shelves)| {
        let one = streams.read_one_at_a_time(&shelves, policy);
        (fraction, one, streams.read_at_once(&shelves, policy))
    });
    if args.json {
        let row =
            |(fraction, one, all)| json!({ "fraction": fraction, "one_at_a_time": one, "at_once": all });
        return terminal::json(&json!({
            "model": trace.model,
            "policy": policy.name,
            "streams": count,
            "tokens_each": streams.tokens(),
            "experts_read_per_token": rows.map(row),
        }));
    }
    let mut table = format!(
        "{}: {count} answers of {} tokens; experts read a token by {}, over the second half of each\n\n",
        name(trace, &args.trace),
        streams.tokens(),
        policy.name
    );
    let mut line = |what: String, cells: [String; FRACTIONS.len()]| {
        table += &format!("{what:<16}");
        cells.iter().for_each(|cell| table += &format!("{cell:>9}"));
        table.push('\n');
    };
    line("experts that fit".to_owned(), rows.map(|(fraction, ..)| format!("{} %", fraction * 100.0)));
    line("one at a time".to_owned(), rows.map(|(_, one, _)| format!("{one:.1}")));
    line(format!("{count} at once"), rows.map(|(.., all)| format!("{all:.1}")));
    line("share of one".to_owned(), rows.map(|(_, one, all)| share(all, one)));
    terminal::answer(&table)
}

/// In per cent; of nothing there is none.
fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.0} %", 100.0 * part / whole) } else { "-".to_owned() }
}

/// Hit rate by pool size, of one policy or of each, and of the clairvoyant.
fn curves(trace: &Trace, only: Option<&str>) -> Result<Vec<Curve>> {
    let policies = match only {
        Some(name) => vec![Policy::named(name)?],
        None => POLICIES.to_vec(),
    };
    let point = |fraction: f64, counts: Counts| (fraction, counts.hit_rate());
    let mut curves: Vec<Curve> = policies
        .into_iter()
        .map(|policy| {
            let scored = |fraction: &f64| point(*fraction, score(trace, &shelves(trace, *fraction), policy));
            Curve { name: policy.name.to_owned(), points: FRACTIONS.iter().map(scored).collect() }
        })
        .collect();
    let best = |fraction: &f64| {
        let counts = clairvoyant(&trace.requests, &shelves(trace, *fraction));
        let scored = counts[trace.scored_from..].iter().fold(Counts::default(), |sum, one| sum.and(one));
        point(*fraction, scored)
    };
    curves.push(Curve { name: CLAIRVOYANT.to_owned(), points: FRACTIONS.iter().map(best).collect() });
    Ok(curves)
}

/// Follows the whole trace, and counts what is scored.
fn score(trace: &Trace, shelves: &[ShelfSize], policy: Policy) -> Counts {
    let mut replay = Replay::new(shelves, policy);
    let (warming, scored) = trace.requests.split_at(trace.scored_from);
    warming.iter().for_each(|asked| replay.follow(asked));
    let before = replay.counts();
    scored.iter().for_each(|asked| replay.follow(asked));
    replay.counts().since(&before)
}

/// Shelves with room for a share of their experts: those of the engine that recorded, or one for all layers.
fn shelves(trace: &Trace, fraction: f64) -> Vec<ShelfSize> {
    let slots = |layers: &[LayerId]| {
        let experts: u32 = layers.iter().filter_map(|layer| trace.experts.get(layer.0 as usize)).sum();
        ((f64::from(experts) * fraction) as usize).max(1)
    };
    let all: Vec<LayerId> = (0..trace.experts.len() as u32).map(LayerId).collect();
    match &trace.recorded {
        Some(recorded) if covers(recorded, trace) => {
            let sized =
                |shelf: &ShelfSize| ShelfSize { slots: slots(&shelf.layers), layers: shelf.layers.clone() };
            recorded.shelves.iter().map(sized).collect()
        }
        _ => vec![ShelfSize { slots: slots(&all), layers: all }],
    }
}

/// The pool of the run again: the same sizes, the same policy.
fn replay(trace: &Trace, recorded: &Recorded) -> Result<Counts> {
    if !covers(recorded, trace) {
        return Err(Error::corrupt("the trace's shelves leave out a layer that it asks for experts of"));
    }
    let mut replay = Replay::new(&recorded.shelves, Policy::named(&recorded.policy)?);
    trace.requests.iter().for_each(|asked| replay.follow(asked));
    Ok(replay.counts())
}

/// Whether every layer has a shelf.
fn covers(recorded: &Recorded, trace: &Trace) -> bool {
    let shelved = |layer| recorded.shelves.iter().any(|shelf| shelf.layers.contains(&layer));
    (0..trace.experts.len()).all(|layer| trace.experts[layer] == 0 || shelved(LayerId(layer as u32)))
}

fn table(trace: &Trace, path: &Path, curves: &[Curve]) -> String {
    let experts: u32 = trace.experts.iter().sum();
    let mut table = format!(
        "{}: {experts} experts, {} tokens generated; hit rate in % over the second half of them\n\n",
        name(trace, path),
        trace.decoded.len()
    );
    table += &format!("{:<14}", "experts that fit");
    FRACTIONS.iter().for_each(|fraction| table += &format!("{:>9}", format!("{} %", fraction * 100.0)));
    for curve in curves {
        let default = if curve.name == Policy::default().name { " (default)" } else { "" };
        table += &format!("\n{:<16}", format!("{}{default}", curve.name));
        curve.points.iter().for_each(|(_, rate)| table += &format!("{:>9.1}", rate * 100.0));
    }
    table + "\n"
}

/// How the replay compares with the run itself.
fn told(recorded: &Recorded, again: &Counts) -> String {
    let spell = |counts: &Counts| {
        format!("{} hits, {} misses, {} evictions", counts.hits, counts.misses, counts.evictions)
    };
    let engine = match &recorded.counts {
        Some(counts) if counts == again => "as the engine counted".to_owned(),
        Some(counts) => format!("the engine counted {}", spell(counts)),
        None => "the run ended before the engine told its own".to_owned(),
    };
    format!("\nthe run again, {}: {}; {engine}\n", recorded.policy, spell(again))
}

fn name(trace: &Trace, path: &Path) -> String {
    if trace.model.is_empty() { path.display().to_string() } else { base::Quoted(&trace.model).to_string() }
}
