//! Several answers at once, made of the trace of one: its generated tokens in as many parts, which share their requests.

use std::collections::BTreeMap;

use base::{Error, LayerId, Result};
use experts::policy::Policy;
use experts::simulate::{Asked, Replay, ShelfSize};

use crate::traces::Trace;

/// Parts of a trace, equally long.
pub struct Streams {
    /// [answers, tokens], the requests of each token.
    answers: Vec<Vec<Vec<Asked>>>,
}

impl Streams {
    /// Cuts the generated tokens of `trace` into `count` parts.
    pub fn cut(trace: &Trace, count: usize) -> Result<Self> {
        let tokens = trace.decoded.len().checked_div(count).unwrap_or(0);
        if tokens < 2 {
            return Err(Error::input(format!(
                "{} generated tokens are too few for {count} answers of two tokens or more",
                trace.decoded.len()
            ))
            .hint("record a longer answer: tidemill trace MODEL PROMPT -n 512 --out FILE"));
        }
        let parts = trace.decoded.chunks_exact(tokens).take(count);
        let answers =
            parts.map(|starts| starts.iter().map(|start| trace.pass(*start).to_vec()).collect()).collect();
        Ok(Self { answers })
    }

    /// Tokens of each answer.
    pub fn tokens(&self) -> usize {
        self.answers[0].len()
    }

    /// Experts read for each token, one answer after the other, each with an empty pool at first.
    pub fn read_one_at_a_time(&self, shelves: &[ShelfSize], policy: Policy) -> f64 {
        let read: u64 = self.answers.iter().map(|answer| read(answer, shelves, policy)).sum();
        read as f64 / self.scored() as f64
    }

    /// Experts read for each token, all answers at once.
    pub fn read_at_once(&self, shelves: &[ShelfSize], policy: Policy) -> f64 {
        let steps: Vec<Vec<Asked>> = (0..self.tokens()).map(|token| self.step(token)).collect();
        read(&steps, shelves, policy) as f64 / self.scored() as f64
    }

    /// Tokens of the second halves.
    fn scored(&self) -> usize {
        self.answers.len() * self.tokens().div_ceil(2)
    }

    /// What all answers ask for in one step: of each layer every expert once.
    fn step(&self, token: usize) -> Vec<Asked> {
        let mut layers: BTreeMap<LayerId, Asked> = BTreeMap::new();
        for asked in self.answers.iter().flat_map(|answer| &answer[token]) {
            let layer = asked.layer;
            let all = layers.entry(layer).or_insert(Asked { layer, experts: Vec::new() });
            for (expert, tokens) in &asked.experts {
                match all.experts.iter_mut().find(|one| one.0 == *expert) {
                    Some(one) => one.1 += tokens,
                    None => all.experts.push((*expert, *tokens)),
                }
            }
        }
        layers.into_values().collect()
    }
}

/// Experts that the second half of these steps had to read; the first warms the pool.
fn read(steps: &[Vec<Asked>], shelves: &[ShelfSize], policy: Policy) -> u64 {
    let mut replay = Replay::new(shelves, policy);
    let (warming, scored) = steps.split_at(steps.len() / 2);
    warming.iter().flatten().for_each(|asked| replay.follow(asked));
    let before = replay.counts();
    scored.iter().flatten().for_each(|asked| replay.follow(asked));
    replay.counts().since(&before).misses
}
