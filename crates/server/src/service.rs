//! What every interface does with a request once it is understood: check it, render it, hand it to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::TokenId;
use text::AnswerOptions;
use tidemill::{Constraint, Request, Sampling};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;

use crate::answers::{Answers, Reading};
use crate::ask::{Ask, Choosing, Prompt};
use crate::budget::Budget;
use crate::enforce;
use crate::engine::{Client, Desk, Enough, Heat, Work};
use crate::options::ServeOptions;
use crate::refusal::Refusal;
use crate::shapes::{Held, Shapes};
use crate::voice::{Prepared, Voice};

/// A model being served.
pub struct Service {
    /// As it was started.
    pub options: ServeOptions,
    /// The way to the engine.
    pub desk: Desk,
    /// Which experts are asked for.
    pub heat: Heat,
    /// How the model reads and writes.
    pub voice: Arc<Voice>,
    /// What the model can take.
    pub bounds: Bounds,
    /// Bytes of bodies that may still be read.
    pub bodies: Semaphore,
    /// Memory for what answers are held to.
    shapes: Shapes,
    /// Prompts that may still be rendered at this moment; rendering uses a thread and memory of its own.
    rendering: Semaphore,
    /// When it was started.
    pub started: SystemTime,
    numbers: AtomicU64,
}

/// What a model can take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Tokens of a prompt and its answer.
    pub sequence: usize,
    /// Tokens of all sequences together.
    pub context: usize,
    /// Different tokens.
    pub vocab: usize,
}

/// Prompts that are rendered at once.
const RENDERED_AT_ONCE: usize = 2;
/// Texts that may end an answer, and bytes of each.
const STOPS: usize = 16;
const STOP_BYTES: usize = 1024;

impl Service {
    /// Serves `voice`'s model through `desk`.
    pub fn new(options: ServeOptions, desk: Desk, heat: Heat, voice: Voice, bounds: Bounds) -> Self {
        let started = SystemTime::now();
        let seed = started.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        Self {
            bodies: Semaphore::new(options.limits.bodies_bytes),
            shapes: Shapes::default(),
            rendering: Semaphore::new(RENDERED_AT_ONCE),
            options,
            desk,
            heat,
            voice: Arc::new(voice),
            bounds,
            started,
            numbers: AtomicU64::new(seed),
        }
    }

    /// A number that was not given before.
    pub fn number(&self) -> u64 {
        // SplitMix64's step keeps numbers of nearby times apart.
        let state = self.numbers.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    /// A name that was not given before.
    pub fn name(&self, kind: &str) -> String {
        format!("{kind}{:016x}", self.number())
    }

    /// Seconds since 1970.
    pub fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }

    /// Refuses a model that is not the one served.
    pub fn check_model(&self, model: Option<&str>) -> Result<(), Refusal> {
        match model {
            Some(model) if model != self.options.model => {
                let message = format!(
                    "there is no model `{}`; this server has `{}`",
                    model.escape_debug().take(80).collect::<String>(),
                    self.options.model
                );
                let field = Some("model".to_owned());
                let refusal =
                    Refusal::new(axum::http::StatusCode::NOT_FOUND, message).code("model_not_found");
                Err(Refusal { field, ..refusal })
            }
            _ => Ok(()),
        }
    }

    /// The answers to `ask`, as they come.
    pub async fn answer(self: &Arc<Self>, client: Client, ask: Ask) -> Result<Answers, Refusal> {
        let arrived = Instant::now();
        let limits = &self.options.limits;
        check(&ask, limits.choices, &self.bounds)?;
        let sampling = self.sampling(&ask.choice)?;
        let Prepared { tokens, reading: mut options, constraint } = self.prompt(&ask).await?;
        options.stop = ask.stop;
        let max_tokens = self.max_tokens(tokens.len(), ask.max_tokens);
        let first = sampling.seed;
        let seeds = (0..ask.answers as u64).map(|answer| first.wrapping_add(answer)).collect();
        let (tell, told) = unbounded_channel();
        let enough = Enough::of(ask.answers);
        let reading = Reading {
            tokenizer: self.voice.tokenizer.clone(),
            options,
            parallel_calls: ask.tools.parallel,
            call_ids: self.name("call_"),
            count: ask.answers,
            prompt_tokens: tokens.len(),
            enough: enough.clone(),
        };
        let request = Request {
            tokens,
            max_tokens,
            sampling,
            stop: self.voice.tokenizer.stop_tokens().clone(),
            logprobs: ask.logprobs,
            constraint,
            ..Request::default()
        };
        let deadline = limits.deadline.map(|time| arrived + time);
        self.desk.submit(Work { client, request, seeds, deadline, tell, enough })?;
        Ok(Answers::new(reading, told, self.desk.clone()))
    }

    /// The tokens of a prompt, from a thread that may take its time.
    pub async fn prompt(self: &Arc<Self>, ask: &Ask) -> Result<Prepared, Refusal> {
        let part = self.shapes.part(ask)?;
        let _permit = self.rendering.acquire().await.map_err(|_| Refusal::stopping())?;
        let (service, ask) = (self.clone(), ask.clone());
        let rendered = tokio::task::spawn_blocking(move || service.render(&ask)).await;
        let mut prepared = rendered.map_err(|_| {
            Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "the prompt could not be rendered")
        })??;
        if prepared.tokens.len() > self.bounds.prompt.min(self.bounds.sequence - 1) {
            return Err(self.err_too_long(prepared.tokens.len()));
        }
        if let Some(part) = part {
            let held = |constraint| Box::new(Held { constraint, part }) as Box<dyn Constraint>;
            prepared.constraint = prepared.constraint.map(held);
        }
        Ok(prepared)
    }

    fn render(&self, ask: &Ask) -> Result<Prepared, Refusal> {
        let plain =
            |tokens: Vec<TokenId>| Prepared { tokens, reading: AnswerOptions::default(), constraint: None };
        match &ask.prompt {
            Prompt::Chat(messages) => {
                let mut prepared =
                    self.voice.conversation(messages, &ask.tools, &ask.thinking, &ask.variables)?;
                if enforce::is_needed(ask) {
                    prepared.constraint =
                        enforce::constraint(self.voice.grammars()?, ask, &prepared.reading)?;
                }
                if let (Some(tokens), Some(reasoning)) = (ask.thoughts, prepared.reading.syntax.reasoning) {
                    let (tokenizer, thinks) =
                        (self.voice.tokenizer.clone(), prepared.reading.within_reasoning);
                    let answer = prepared.constraint.take();
                    let budget = Budget::new(tokenizer, reasoning, thinks, tokens, answer);
                    prepared.constraint = Some(Box::new(budget.map_err(|error| Refusal::of(&error))?));
                }
                Ok(prepared)
            }
            Prompt::Text(text) => self.voice.text(text).map(plain),
            Prompt::Tokens(tokens) => match tokens.iter().find(|token| **token as usize >= self.bounds.vocab)
            {
                Some(token) => Err(Refusal::field("prompt", format!("the model has no token {token}"))),
                None => Ok(plain(tokens.clone())),
            },
        }
    }

    /// How tokens are chosen: as asked, or else as the server was told.
    fn sampling(&self, choice: &Choosing) -> Result<Sampling, Refusal> {
        let usual = &self.options.sampling;
        let sampling = Sampling {
            temperature: choice.temperature.unwrap_or(usual.temperature),
            top_p: choice.top_p.unwrap_or(usual.top_p),
            top_k: choice.top_k.unwrap_or(usual.top_k),
            min_p: choice.min_p.unwrap_or(usual.min_p),
            repeat_penalty: choice.repeat_penalty.unwrap_or(usual.repeat_penalty),
            presence_penalty: choice.presence_penalty.unwrap_or(usual.presence_penalty),
            frequency_penalty: choice.frequency_penalty.unwrap_or(usual.frequency_penalty),
            logit_bias: choice.logit_bias.iter().copied().collect(),
            seed: choice.seed.unwrap_or_else(|| self.number()),
        };
        sampling.check().map_err(|error| Refusal::of(&error))?;
        if let Some((token, _)) =
            sampling.logit_bias.iter().find(|(token, _)| **token as usize >= self.bounds.vocab)
        {
            return Err(Refusal::field("logit_bias", format!("the model has no token {token}")));
        }
        Ok(sampling)
    }

    /// Tokens that may be generated after a prompt: at most what the prompt leaves of the context. Who does not say gets
    /// an equal share of it.
    fn max_tokens(&self, prompt: usize, asked: Option<usize>) -> usize {
        let Bounds { sequence, context, .. } = self.bounds;
        let room = sequence.min(context) - prompt;
        let share = context / self.options.limits.parallel;
        let usual = share.saturating_sub(prompt).max(share / 4).max(1);
        asked.unwrap_or(usual).min(room)
    }

    fn err_too_long(&self, tokens: usize) -> Refusal {
        let most = self.bounds.prompt.min(self.bounds.sequence - 1);
        Refusal::invalid(format!("the prompt has {tokens} tokens, and may have {most}"))
            .code("context_length_exceeded")
    }
}

/// Refuses what no model could do.
fn check(ask: &Ask, choices: usize, bounds: &Bounds) -> Result<(), Refusal> {
    if ask.answers == 0 || ask.answers > choices {
        return Err(Refusal::field("n", format!("{} answers; expected 1 to {choices}", ask.answers)));
    }
    if ask.max_tokens == Some(0) {
        return Err(Refusal::field("max_tokens", "0 tokens to generate"));
    }
    if ask.stop.len() > STOPS {
        return Err(Refusal::field("stop", format!("{} texts; expected up to {STOPS}", ask.stop.len())));
    }
    if ask.stop.iter().any(|stop| stop.is_empty() || stop.len() > STOP_BYTES) {
        return Err(Refusal::field("stop", format!("a text is empty or longer than {STOP_BYTES} bytes")));
    }
    if ask.choice.logit_bias.len() > bounds.vocab {
        return Err(Refusal::field("logit_bias", "more entries than there are tokens"));
    }
    Ok(())
}
