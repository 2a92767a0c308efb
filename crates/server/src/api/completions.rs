//! OpenAI's `/v1/completions`: text goes on as it is, without a chat template.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as JsonBody};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::chat::bias;
use super::fields::{OneOrMany, refuse, seed, within};
use super::openai::{Completion, Kind, StreamOptions, usage};
use crate::ask::{Ask, Choosing, Prompt};
use crate::engine::Client;
use crate::json::Json;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::sse;

/// A text to be continued.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionRequest {
    /// The model, if any is named; this server has one.
    model: Option<String>,
    /// A text, or the numbers of its tokens.
    #[schema(value_type = String)]
    prompt: Text,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f32>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    /// Only so many of the likeliest tokens (beyond OpenAI).
    top_k: Option<u32>,
    /// Only tokens at least this fraction as likely as the likeliest (beyond OpenAI).
    #[schema(minimum = 0, maximum = 1)]
    min_p: Option<f32>,
    /// Lowers what was said lately (beyond OpenAI).
    #[schema(exclusive_minimum = 0, maximum = 10)]
    repetition_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f32>,
    /// Token ids and what is added to their logits, -100 to 100.
    logit_bias: Option<BTreeMap<String, f32>>,
    /// Tells how likely each token was, beside so many of the likeliest.
    #[schema(maximum = 20)]
    logprobs: Option<u32>,
    /// 16 unless told.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    #[schema(minimum = 1, maximum = 8)]
    n: Option<u32>,
    /// The same seed gives the same answer.
    seed: Option<i64>,
    #[schema(value_type = Option<Vec<String>>)]
    stop: Option<OneOrMany<String>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Begins the answer with the prompt.
    echo: Option<bool>,
    #[schema(value_type = Option<Object>)]
    suffix: Option<Value>,
    best_of: Option<u32>,
    /// Of no effect.
    user: Option<String>,
}

/// A text or its tokens, alone or as the only one of a list.
enum Text {
    Text(String),
    Tokens(Vec<u32>),
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = || serde::de::Error::custom("expected one text, or the numbers of its tokens");
        let mut value = Value::deserialize(from)?;
        if let Value::Array(items) = &mut value
            && items.len() == 1
            && matches!(items[0], Value::String(_) | Value::Array(_))
        {
            value = items.remove(0);
        }
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(items) => {
                let token = |item: &Value| u32::try_from(item.as_u64()?).ok();
                let tokens: Option<Vec<u32>> = items.iter().map(token).collect();
                tokens.map(Self::Tokens).ok_or_else(expected)
            }
            _ => Err(expected()),
        }
    }
}

/// Continues a text.
#[utoipa::path(
    post, path = "/v1/completions", tag = "OpenAI", request_body = CompletionRequest,
    responses(
        (status = 200, description = "The continuation, or with `stream` its pieces as server-sent events",
         content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", description = "What is wrong with the request", body = Object),
        (status = "5XX", description = "What went wrong here", body = Object),
    )
)]
pub async fn completions(
    State(service): State<Arc<Service>>,
    Extension(client): Extension<Client>,
    Json(request): Json<CompletionRequest>,
) -> Result<Response, Refusal> {
    service.check_model(request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let include_usage = StreamOptions::usage_wanted(request.stream_options.as_ref(), streams)?;
    let ask = request.ask()?;
    let answers = service.answer(client, ask).await?;
    let completion = Completion::new(&service, Kind::Text, answers.prompt_tokens, include_usage);
    if streams {
        return Ok(sse::stream(answers, completion, service.options.limits.keep_alive));
    }
    let prompt_tokens = answers.prompt_tokens;
    let whole = answers.whole().await?;
    let usage = usage(prompt_tokens, &whole);
    let choices: Vec<Value> =
        whole.iter().enumerate().map(|(index, one)| completion.choice(index, one)).collect();
    Ok(JsonBody(completion.whole(&choices, &usage)).into_response())
}

impl CompletionRequest {
    fn ask(self) -> Result<Ask, Refusal> {
        let _ = &self.user;
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("top_p", self.top_p, 0.0..=1.0)?;
        within("min_p", self.min_p, 0.0..=1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.01..=10.0)?;
        within("presence_penalty", self.presence_penalty, -2.0..=2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0..=2.0)?;
        within("logprobs", self.logprobs, 0..=20)?;
        within("n", self.n, 1..=128)?;
        if self.echo == Some(true) {
            return Err(Refusal::field("echo", "is not supported"));
        }
        refuse("suffix", &self.suffix, &[], "text can only be continued at its end")?;
        if self.best_of.is_some_and(|best| best != self.n.unwrap_or(1)) {
            return Err(Refusal::field("best_of", "is not supported; all `n` answers are returned"));
        }
        Ok(Ask {
            prompt: match self.prompt {
                Text::Text(text) => Prompt::Text(text),
                Text::Tokens(tokens) => Prompt::Tokens(tokens),
            },
            choice: Choosing {
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k.map(|k| k as usize),
                min_p: self.min_p,
                repeat_penalty: self.repetition_penalty,
                presence_penalty: self.presence_penalty,
                frequency_penalty: self.frequency_penalty,
                logit_bias: bias(self.logit_bias)?,
                seed: seed(self.seed),
            },
            answers: self.n.unwrap_or(1) as usize,
            max_tokens: Some(self.max_tokens.unwrap_or(16) as usize),
            stop: self.stop.map_or(Vec::new(), |stop| stop.0),
            logprobs: self.logprobs.map(|count| count as usize),
            ..Ask::default()
        })
    }
}
