//! Routing traces: which experts a model chose, layer by layer, in three formats.
//!
//! Our own (the recorder writes it), lines of `{"tok", "layers"}` with one token each, and the comma-separated rows of
//! `route_trace v1`. A trace is a list of passes; a prompt is one pass, as it is for the pool.

use std::collections::BTreeMap;
use std::path::Path;

use base::{Context, Error, ExpertId, LayerId, Result};
use experts::simulate::{Asked, Counts, ShelfSize};
use serde_json::Value;

/// What a model asked for.
#[derive(Debug)]
pub struct Trace {
    /// What is known of the model.
    pub model: String,
    /// Every request, in order.
    pub requests: Vec<Asked>,
    /// Experts of each layer; 0 for a dense one.
    pub experts: Vec<u32>,
    /// The first request of the second half of the generated tokens: what came before warms the pool.
    pub scored_from: usize,
    /// The first request of each generated token.
    pub decoded: Vec<usize>,
    /// What the engine that recorded it did.
    pub recorded: Option<Recorded>,
}

/// A pool that really ran.
#[derive(Debug)]
pub struct Recorded {
    pub policy: String,
    pub shelves: Vec<ShelfSize>,
    /// `None` when the run ended before it could say.
    pub counts: Option<Counts>,
}

/// Bounds on what numbers in a trace may ask us to allocate; real models have 61 layers of 384 experts.
const MAX_LAYERS: u64 = 4096;
const MAX_EXPERTS: u64 = 65_536;

/// Traces are a few megabytes; a file this large is something else.
const MAX_BYTES: u64 = 1 << 30;

impl Trace {
    /// Reads a trace of any of the three formats.
    pub fn read(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let failed = |error: std::io::Error| Error::input(error.to_string()).within(name());
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_BYTES {
            return Err(Error::input(format!("{bytes} bytes are too many for a trace")).within(name()));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).within(name)
    }

    fn parse(text: &str) -> Result<Self> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut trace = if first.starts_with('#') || first.starts_with("turn,") {
            rows(text)?
        } else if first.contains("\"tidemill_trace\"") {
            own(text)?
        } else if first.contains("\"layers\"") {
            tokens(text)?
        } else {
            return Err(err_format());
        };
        if trace.requests.is_empty() {
            return Err(Error::corrupt("the trace has no requests"));
        }
        trace.score();
        Ok(trace)
    }

    /// Finds where the second half of the generated tokens begins. Generated tokens are the passes with the fewest
    /// uses: a prompt has more, and so has a batch.
    fn score(&mut self) {
        let starts = |pair: &[Asked]| pair[1].layer <= pair[0].layer;
        let mut passes = vec![0];
        let later = self.requests.windows(2).enumerate().filter(|(_, pair)| starts(pair));
        passes.extend(later.map(|(index, _)| index + 1));
        let uses = |start: &usize| -> u64 {
            self.requests[*start].experts.iter().map(|(_, tokens)| u64::from(*tokens)).sum()
        };
        let fewest = passes.iter().map(uses).min().unwrap_or(0);
        self.decoded = passes.iter().filter(|start| uses(start) == fewest).copied().collect();
        self.scored_from = self.decoded.get(self.decoded.len() / 2).copied().unwrap_or(0);
    }

    /// The requests of the generated token that begins with request `start`.
    pub fn pass(&self, start: usize) -> &[Asked] {
        let rest = &self.requests[start..];
        let end = rest.windows(2).position(|pair| pair[1].layer <= pair[0].layer);
        &rest[..end.map_or(rest.len(), |last| last + 1)]
    }

    fn new(model: String) -> Self {
        let (requests, experts) = (Vec::new(), Vec::new());
        Self { model, requests, experts, scored_from: 0, decoded: Vec::new(), recorded: None }
    }

    /// Takes one request, of experts each listed once.
    fn push(&mut self, layer: u64, experts: Vec<(u64, u64)>) -> Result<()> {
        if layer >= MAX_LAYERS {
            return Err(Error::corrupt(format!("layer {layer}; at most {MAX_LAYERS} are expected")));
        }
        let mut listed = std::collections::BTreeSet::new();
        if let Some((expert, _)) = experts.iter().find(|(expert, _)| *expert >= MAX_EXPERTS) {
            return Err(Error::corrupt(format!("expert {expert}; at most {MAX_EXPERTS} are expected")));
        }
        if let Some((expert, _)) = experts.iter().find(|(expert, _)| !listed.insert(*expert)) {
            return Err(Error::corrupt(format!("layer {layer} lists expert {expert} twice")));
        }
        let layer = layer as usize;
        if self.experts.len() <= layer {
            self.experts.resize(layer + 1, 0);
        }
        let most = experts.iter().map(|(expert, _)| *expert as u32 + 1).max().unwrap_or(0);
        self.experts[layer] = self.experts[layer].max(most);
        let narrow = |(expert, tokens): (u64, u64)| {
            (ExpertId(expert as u32), u32::try_from(tokens).unwrap_or(u32::MAX))
        };
        let experts = experts.into_iter().map(narrow).collect();
        self.requests.push(Asked { layer: LayerId(layer as u32), experts });
        Ok(())
    }

    /// Formats that do not tell how many experts a layer has: as many as the highest number seen in any.
    fn level(&mut self, told: u32) {
        let most = self.experts.iter().copied().max().unwrap_or(0).max(told);
        self.experts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = most);
    }
}

/// Our own: a header, requests, and what was counted.
fn own(text: &str) -> Result<Trace> {
    let mut trace = Trace::new(String::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        own_line(&mut trace, line).within(|| format!("line {}", index + 1))?;
    }
    Ok(trace)
}

fn own_line(trace: &mut Trace, line: &str) -> Result<()> {
    let line = object(line)?;
    if let Some(version) = line.get("tidemill_trace") {
        if version.as_u64() != Some(1) {
            return Err(Error::unsupported(format!("version {version} of the trace format; 1 is expected")));
        }
        trace.model = line["model"].as_str().unwrap_or_default().to_owned();
        let counts = line.get("experts").map(numbers).transpose()?.unwrap_or_default();
        if counts.len() as u64 > MAX_LAYERS || counts.iter().any(|count| *count > MAX_EXPERTS) {
            return Err(Error::corrupt("`experts` lists more than any model has"));
        }
        trace.experts = counts.into_iter().map(|count| count as u32).collect();
        trace.recorded = recorded(&line)?;
        return Ok(());
    }
    if let Some(layer) = line.get("layer").and_then(Value::as_u64) {
        let experts = numbers(&line["experts"])?;
        let tokens = line.get("tokens").map(numbers).transpose()?.unwrap_or(vec![1; experts.len()]);
        if tokens.len() != experts.len() {
            return Err(Error::corrupt("`tokens` and `experts` differ in length"));
        }
        return trace.push(layer, experts.into_iter().zip(tokens).collect());
    }
    let count = |key: &str| line.get(key).and_then(Value::as_u64);
    let (Some(hits), Some(misses), Some(evictions)) = (count("hits"), count("misses"), count("evictions"))
    else {
        return Err(err_format());
    };
    if let Some(recorded) = &mut trace.recorded {
        let late = count("late_hits").unwrap_or(0);
        recorded.counts = Some(Counts { hits, misses: misses.saturating_add(late), evictions });
    }
    Ok(())
}

/// The pool that the header tells of, if it does.
fn recorded(header: &Value) -> Result<Option<Recorded>> {
    let (Some(policy), Some(shelves)) = (header["policy"].as_str(), header["shelves"].as_array()) else {
        return Ok(None);
    };
    let shelf = |shelf: &Value| {
        let layers = numbers(&shelf["layers"])?;
        let slots = shelf["slots"].as_u64().filter(|_| layers.iter().all(|layer| *layer < MAX_LAYERS));
        let slots = slots.ok_or_else(|| Error::corrupt("a shelf needs `slots` and `layers`"))?;
        let layers = layers.into_iter().map(|layer| LayerId(layer as u32)).collect();
        Ok(ShelfSize { slots: slots as usize, layers })
    };
    let shelves = shelves.iter().map(shelf).collect::<Result<_>>()?;
    Ok(Some(Recorded { policy: policy.to_owned(), shelves, counts: None }))
}

/// Lines of `{"tok": 0, "layers": [[expert, ...], ...]}`: one token each, MoE layers only.
fn tokens(text: &str) -> Result<Trace> {
    let mut trace = Trace::new(String::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let take = |trace: &mut Trace| -> Result<()> {
            let line = object(line)?;
            let layers = line["layers"].as_array().ok_or_else(err_format)?;
            for (layer, experts) in layers.iter().enumerate() {
                trace
                    .push(layer as u64, numbers(experts)?.into_iter().map(|expert| (expert, 1)).collect())?;
            }
            Ok(())
        };
        take(&mut trace).within(|| format!("line {}", index + 1))?;
    }
    trace.level(0);
    Ok(trace)
}

/// Rows of `turn,phase,step,layer,slot,expert,...`: phase 0 is the prompt, read as one pass.
fn rows(text: &str) -> Result<Trace> {
    let mut trace = Trace::new(String::new());
    let mut told = 0;
    let mut pass: (Option<[u64; 3]>, Pass) = (None, Pass::new());
    for (index, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix('#') {
            for word in comment.split_whitespace() {
                match word.split_once('=') {
                    Some(("model", model)) => trace.model = model.to_owned(),
                    Some(("n_expert", count)) => told = count.parse().unwrap_or(0),
                    _ => {}
                }
            }
            continue;
        }
        if line.trim().is_empty() || line.starts_with("turn,") {
            continue;
        }
        let [turn, phase, step, layer, _, expert] =
            row(line).ok_or_else(err_row).within(|| format!("line {}", index + 1))?;
        let place = Some([turn, phase, if phase == 0 { 0 } else { step }]);
        if place != pass.0 {
            close(&mut trace, std::mem::take(&mut pass.1))?;
            pass.0 = place;
        }
        *pass.1.entry(layer).or_default().entry(expert).or_default() += 1;
    }
    close(&mut trace, pass.1)?;
    trace.level(if u64::from(told) <= MAX_EXPERTS { told } else { 0 });
    Ok(trace)
}

/// Layers, their experts, and how many tokens use each.
type Pass = BTreeMap<u64, BTreeMap<u64, u64>>;

fn close(trace: &mut Trace, pass: Pass) -> Result<()> {
    pass.into_iter().try_for_each(|(layer, experts)| trace.push(layer, experts.into_iter().collect()))
}

fn row(line: &str) -> Option<[u64; 6]> {
    let mut numbers = line.split(',').map(|field| field.trim().parse().ok());
    let mut row = [0; 6];
    for number in &mut row {
        *number = numbers.next()??;
    }
    Some(row)
}

fn object(line: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(line).map_err(|error| Error::corrupt(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(err_format()) }
}

fn numbers(value: &Value) -> Result<Vec<u64>> {
    let list = value.as_array().ok_or_else(err_numbers)?;
    list.iter().map(|number| number.as_u64().ok_or_else(err_numbers)).collect()
}

fn err_numbers() -> Error {
    Error::corrupt("a list of numbers is expected")
}

fn err_row() -> Error {
    Error::corrupt("a row of numbers is expected: turn, phase, step, layer, slot, expert")
}

fn err_format() -> Error {
    Error::input(
        "this is no trace; expected that of `tidemill trace`, lines of {\"tok\", \"layers\"}, or route_trace v1",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(trace: &Trace) -> Vec<(u32, Vec<(u32, u32)>)> {
        let of = |asked: &Asked| {
            (asked.layer.0, asked.experts.iter().map(|(expert, tokens)| (expert.0, *tokens)).collect())
        };
        trace.requests.iter().map(of).collect()
    }

    #[test]
    fn every_format_is_read() {
        let tokens =
            "{\"tok\": 0, \"layers\": [[1, 3], [0, 2]]}\n{\"tok\": 1, \"layers\": [[1, 2], [0, 3]]}\n";
        let trace = Trace::parse(tokens).unwrap();
        assert_eq!(layers(&trace)[3], (1, vec![(0, 1), (3, 1)]));
        assert_eq!((trace.experts.as_slice(), trace.scored_from), (&[4, 4][..], 2));
        assert_eq!(trace.decoded, [0, 2]);
        assert_eq!(trace.pass(2), &trace.requests[2..4]);

        let rows = "# route_trace v1\n# model=m.gguf n_layer=2 n_expert=8 n_expert_used=1\nturn,phase,step,layer,slot\n\
                    0,0,0,0,0,5,0.5,0,9\n0,0,1,0,0,5,0.5,0,9\n0,0,0,1,0,2,0.5\n0,1,2,0,0,1,1\n0,1,2,1,0,0,1\n0,1,3,0,0,1,1\n";
        let trace = Trace::parse(rows).unwrap();
        assert_eq!(
            layers(&trace),
            [(0, vec![(5, 2)]), (1, vec![(2, 1)]), (0, vec![(1, 1)]), (1, vec![(0, 1)]), (0, vec![(1, 1)])]
        );
        assert_eq!((trace.model.as_str(), trace.experts.as_slice()), ("m.gguf", &[8, 8][..]));
        assert_eq!((trace.scored_from, trace.decoded), (4, vec![2, 4]));

        let own = "{\"tidemill_trace\":1,\"model\":\"demo\",\"experts\":[0,9],\"policy\":\"lru\",\
                   \"shelves\":[{\"slots\":3,\"layers\":[1]}]}\n\
                   {\"layer\":1,\"experts\":[4,0],\"tokens\":[2,3]}\n{\"layer\":1,\"experts\":[7]}\n\
                   {\"hits\":0,\"late_hits\":0,\"misses\":3,\"evictions\":0}\n";
        let trace = Trace::parse(own).unwrap();
        assert_eq!(layers(&trace), [(1, vec![(4, 2), (0, 3)]), (1, vec![(7, 1)])]);
        assert_eq!(trace.experts, [0, 9]);
        let recorded = trace.recorded.unwrap();
        assert_eq!((recorded.policy.as_str(), recorded.shelves[0].slots), ("lru", 3));
        assert_eq!(recorded.counts.unwrap().misses, 3);
    }

    #[test]
    fn what_is_no_trace_is_refused_in_a_sentence() {
        let cases = [
            ("", "no trace"),
            ("hello", "no trace"),
            ("{\"tidemill_trace\":2}", "version 2"),
            ("{\"tidemill_trace\":1}", "no requests"),
            (
                "{\"tidemill_trace\":1}\n{\"layer\":1,\"experts\":[1,1]}",
                "line 2: layer 1 lists expert 1 twice",
            ),
            ("{\"tidemill_trace\":1}\n{\"layer\":99999,\"experts\":[1]}", "layer 99999"),
            ("{\"tidemill_trace\":1}\n{\"layer\":9,\"experts\":[4000000000]}", "expert 4000000000"),
            ("{\"tidemill_trace\":1}\n{\"layer\":9,\"experts\":[1],\"tokens\":[]}", "differ in length"),
            ("{\"tidemill_trace\":1}\n{\"layer\":9,\"experts\":[-1]}", "list of numbers"),
            ("{\"tidemill_trace\":1,\"policy\":\"lru\",\"shelves\":[{}]}", "list of numbers"),
            ("{\"layers\": 5}", "no trace"),
            ("{\"layers\": [[1, {}]]}", "line 1: a list of numbers"),
            ("# route_trace v1\n0,0,x", "line 2: a row of numbers"),
        ];
        for (text, expected) in cases {
            let error = Trace::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
