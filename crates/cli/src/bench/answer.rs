//! One answer, measured in its two phases.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Result, TokenId};
use tidemill::{Engine, Request, Sampling, StepReport};

/// Where prompts come from; each is used for one arm, or for two when it is repeated on purpose.
pub enum Prompts {
    /// Tokens at random: every expert is as likely as another, which is the worst case.
    Random { vocab: usize, seed: u64 },
    /// Pieces of a text, one after the other.
    Text(VecDeque<Vec<TokenId>>),
}

impl Prompts {
    /// One that was not used before.
    pub fn next(&mut self, tokens: usize) -> Vec<TokenId> {
        match self {
            Self::Text(pieces) => pieces.pop_front().unwrap_or_default(),
            Self::Random { vocab, seed } => {
                let mut token = || {
                    *seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    ((u128::from(*seed) * *vocab as u128) >> 64) as TokenId
                };
                (0..tokens).map(|_| token()).collect()
            }
        }
    }
}

/// What an answer cost.
pub struct Answer {
    pub prefill: Phase,
    pub decode: Phase,
}

/// What one phase of an answer cost.
#[derive(Clone, Copy, Default)]
pub struct Phase {
    pub tokens: u64,
    pub passes: u64,
    pub elapsed: Duration,
    /// Experts asked for.
    pub accesses: u64,
    /// Those found resident.
    pub hits: u64,
    /// Bytes of experts read.
    pub expert_bytes: u64,
    /// Bytes read from drives, by the kernel's count; `None` where the system does not tell.
    pub device_bytes: Option<u64>,
    /// Time with nothing to compute, waiting for experts.
    pub wait: Duration,
    /// Time from naming a layer's experts until the last was computed.
    pub serving: Duration,
    /// Time from the last expert of a pass to the first that the next names.
    pub exposed: Duration,
}

impl Phase {
    fn add(&mut self, tokens: usize, step: &StepReport) {
        self.tokens += tokens as u64;
        self.passes += 1;
        self.elapsed += step.elapsed;
        self.accesses += step.hits + step.misses;
        self.hits += step.hits;
        self.expert_bytes += step.bytes_read;
        self.wait += step.wait;
        self.serving += step.serving;
        self.exposed += step.exposed;
        if let Some(bytes) = step.drive_bytes {
            *self.device_bytes.get_or_insert(0) += bytes;
        }
    }
}

/// Answers `prompt` with `tokens` tokens after the first. They are sampled, so that weights that know nothing do not
/// fall into a loop, and none ends the answer.
pub fn answer(engine: &mut Engine, prompt: &[TokenId], tokens: usize) -> Result<Answer> {
    // Of random weights all tokens are about as likely: drawn from all, sorting them would be a tenth of small models' time.
    let sampling = Sampling { temperature: 1.0, top_k: 64, seed: 1, ..Sampling::default() };
    let sequence = engine.submit(Request {
        tokens: prompt.to_vec(),
        max_tokens: tokens + 1,
        sampling,
        ..Request::default()
    })?;
    let mut answer = Answer { prefill: Phase::default(), decode: Phase::default() };
    while !engine.is_idle() {
        let stepped = engine.step();
        if stepped.is_err() {
            engine.forget(sequence);
        }
        let (_, step) = stepped?;
        match step.prefill_tokens {
            0 => answer.decode.add(step.decode_tokens, &step),
            tokens => answer.prefill.add(tokens, &step),
        }
    }
    engine.forget(sequence);
    Ok(answer)
}
