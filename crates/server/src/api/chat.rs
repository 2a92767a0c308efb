//! OpenAI's `/v1/chat/completions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as JsonBody};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use text::{Message, ToolCall};
use utoipa::ToSchema;

use super::fields::{Content, OneOrMany, refuse, seed, within};
use super::openai::{Completion, Kind, StreamOptions, usage};
use super::tools;
use crate::ask::{Ask, Choosing, Prompt, Thinking, Tools};
use crate::engine::Client;
use crate::json::Json;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::sse;

/// A conversation to be continued.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatRequest {
    /// The model, if any is named; this server has one.
    model: Option<String>,
    messages: Vec<ChatMessage>,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f32>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    /// Only so many of the likeliest tokens (beyond OpenAI).
    #[schema(maximum = 1000000)]
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
    logprobs: Option<bool>,
    #[schema(maximum = 20)]
    top_logprobs: Option<u32>,
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u32>,
    #[schema(minimum = 1, maximum = 8)]
    n: Option<u32>,
    /// The same seed gives the same answer.
    seed: Option<i64>,
    #[schema(value_type = Option<Vec<String>>)]
    stop: Option<OneOrMany<String>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
    /// `none`, `minimal`, `low`, `medium`, `high`, or what else the model knows.
    reasoning_effort: Option<String>,
    /// Further variables of the model's chat template (beyond OpenAI).
    #[schema(value_type = Option<Object>)]
    chat_template_kwargs: Option<Map<String, Value>>,
    /// Of no effect: there is one tier, nothing is stored, and who asks changes nothing.
    user: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    store: Option<bool>,
    #[schema(value_type = Option<Object>)]
    service_tier: Option<Value>,
    safety_identifier: Option<String>,
    prompt_cache_key: Option<String>,
    #[schema(value_type = Option<Object>)]
    prompt_cache_retention: Option<Value>,
    #[schema(value_type = Option<Object>)]
    prediction: Option<Value>,
    #[schema(value_type = Option<Object>)]
    modalities: Option<Value>,
    #[schema(value_type = Option<Object>)]
    verbosity: Option<Value>,
    #[schema(value_type = Option<Object>)]
    audio: Option<Value>,
    #[schema(value_type = Option<Object>)]
    functions: Option<Value>,
    #[schema(value_type = Option<Object>)]
    function_call: Option<Value>,
    #[schema(value_type = Option<Object>)]
    web_search_options: Option<Value>,
}

/// One message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChatMessage {
    role: Role,
    #[schema(value_type = Option<String>)]
    content: Option<Content>,
    name: Option<String>,
    tool_call_id: Option<String>,
    tool_calls: Option<Vec<SaidCall>>,
    /// What an assistant thought before.
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
    #[schema(value_type = Option<Object>)]
    refusal: Option<Value>,
    #[schema(value_type = Option<Object>)]
    annotations: Option<Value>,
    #[schema(value_type = Option<Object>)]
    audio: Option<Value>,
    #[schema(value_type = Option<Object>)]
    function_call: Option<Value>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// A call that an assistant made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SaidCall {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<CallKind>,
    function: SaidFunction,
    index: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CallKind {
    Function,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SaidFunction {
    name: String,
    /// JSON.
    arguments: String,
}

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatRequest,
    responses(
        (status = 200, description = "An answer, or with `stream` its pieces as server-sent events",
         content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", description = "What is wrong with the request", body = Object),
        (status = "5XX", description = "What went wrong here", body = Object),
    )
)]
pub async fn chat(
    State(service): State<Arc<Service>>,
    Extension(client): Extension<Client>,
    Json(request): Json<ChatRequest>,
) -> Result<Response, Refusal> {
    service.check_model(request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let include_usage = StreamOptions::usage_wanted(request.stream_options.as_ref(), streams)?;
    let ask = request.ask()?;
    let answers = service.answer(client, ask).await?;
    let completion = Completion::new(&service, Kind::Chat, answers.prompt_tokens, include_usage);
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

impl ChatRequest {
    fn ask(self) -> Result<Ask, Refusal> {
        self.refuse_the_impossible()?;
        self.check_numbers()?;
        let choice = tools::choice(self.tool_choice.as_ref())?;
        let list = self.tools.unwrap_or_default();
        let list: Vec<_> =
            list.iter().enumerate().map(|(at, tool)| read_tool(tool, at)).collect::<Result<_, _>>()?;
        tools::check(&list, &choice)?;
        let messages = self.messages.iter().enumerate().map(|(at, message)| message.read(at));
        let messages: Vec<Message> = messages.collect::<Result<_, _>>()?;
        if messages.is_empty() {
            return Err(Refusal::field("messages", "there are none"));
        }
        let logprobs = match (self.logprobs, self.top_logprobs) {
            (Some(true), top) => Some(top.unwrap_or(0) as usize),
            (_, Some(1..)) => {
                return Err(Refusal::field("top_logprobs", "is nothing without `logprobs`: true"));
            }
            _ => None,
        };
        Ok(Ask {
            prompt: Prompt::Chat(messages),
            tools: Tools { list, choice, parallel: self.parallel_tool_calls.unwrap_or(true) },
            shape: tools::shape(self.response_format.as_ref(), "response_format")?,
            thinking: thinking(self.reasoning_effort.as_deref()),
            thoughts: None,
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
            max_tokens: self.max_completion_tokens.or(self.max_tokens).map(|most| most as usize),
            stop: self.stop.map_or(Vec::new(), |stop| stop.0),
            logprobs,
            variables: self.chat_template_kwargs.unwrap_or_default(),
        })
    }

    fn refuse_the_impossible(&self) -> Result<(), Refusal> {
        let _ = (&self.user, &self.metadata, &self.safety_identifier, &self.prompt_cache_key);
        let _ = (&self.prompt_cache_retention, &self.prediction);
        if self.store == Some(true) {
            return Err(Refusal::field("store", "nothing is stored here"));
        }
        let tier = [json!("auto"), json!("default")];
        refuse("service_tier", &self.service_tier, &tier, "there is one tier; expected `auto` or `default`")?;
        refuse("modalities", &self.modalities, &[json!(["text"])], "this server writes text only")?;
        refuse(
            "verbosity",
            &self.verbosity,
            &[json!("medium")],
            "is not supported; ask for it in the prompt",
        )?;
        refuse("audio", &self.audio, &[], "this server writes text only")?;
        refuse("functions", &self.functions, &[json!([])], "has become `tools`")?;
        refuse("function_call", &self.function_call, &[], "has become `tool_choice`")?;
        refuse("web_search_options", &self.web_search_options, &[], "nothing is searched here")
    }

    fn check_numbers(&self) -> Result<(), Refusal> {
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("top_p", self.top_p, 0.0..=1.0)?;
        within("min_p", self.min_p, 0.0..=1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.01..=10.0)?;
        within("presence_penalty", self.presence_penalty, -2.0..=2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0..=2.0)?;
        within("top_logprobs", self.top_logprobs, 0..=20)?;
        within("n", self.n, 1..=128)
    }
}

/// What is added to the logits of which tokens.
pub fn bias(bias: Option<BTreeMap<String, f32>>) -> Result<Vec<(u32, f32)>, Refusal> {
    let entry = |(token, value): (String, f32)| {
        let token: u32 =
            token.parse().map_err(|_| Refusal::field("logit_bias", "expected numbers of tokens"))?;
        within("logit_bias", Some(value), -100.0..=100.0)?;
        Ok((token, value))
    };
    bias.unwrap_or_default().into_iter().map(entry).collect()
}

/// What an effort asks for.
pub fn thinking(effort: Option<&str>) -> Thinking {
    match effort {
        None => Thinking::Usual,
        Some("none") => Thinking::Off,
        Some(effort) => Thinking::Effort(effort.to_owned()),
    }
}

fn read_tool(tool: &Map<String, Value>, at: usize) -> Result<crate::ask::Tool, Refusal> {
    let field = format!("tools[{at}]");
    if tool.get("type") != Some(&json!("function")) {
        return Err(Refusal::field(
            format!("{field}.type"),
            "only functions can be called: expected `function`",
        ));
    }
    super::fields::only(tool, &field, &["type", "function"])?;
    match tool.get("function") {
        Some(Value::Object(function)) => tools::function(function, &format!("{field}.function")),
        _ => Err(Refusal::field(format!("{field}.function"), "expected an object")),
    }
}

impl ChatMessage {
    fn read(&self, at: usize) -> Result<Message, Refusal> {
        let field = format!("messages[{at}]");
        let _ = (&self.refusal, &self.annotations);
        refuse(&format!("{field}.audio"), &self.audio, &[], "this server reads text only")?;
        refuse(&format!("{field}.function_call"), &self.function_call, &[], "has become `tool_calls`")?;
        let role = match self.role {
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let calls = self.tool_calls.iter().flatten().enumerate();
        let calls: Vec<ToolCall> = calls
            .map(|(call_at, call)| call.read(&format!("{field}.tool_calls[{call_at}]")))
            .collect::<Result<_, _>>()?;
        let is_assistant = matches!(self.role, Role::Assistant);
        if !calls.is_empty() && !is_assistant {
            return Err(Refusal::field(format!("{field}.tool_calls"), "only an assistant calls tools"));
        }
        let content = match &self.content {
            Some(content) => content.text(&format!("{field}.content"), &["text", "refusal"])?,
            None if is_assistant => String::new(),
            None => {
                return Err(Refusal::field(format!("{field}.content"), "expected a text or a list of parts"));
            }
        };
        Ok(Message {
            role: role.to_owned(),
            content,
            reasoning: self.reasoning_content.clone(),
            tool_calls: calls,
            tool_call_id: self.tool_call_id.clone(),
            name: self.name.clone(),
        })
    }
}

impl SaidCall {
    fn read(&self, field: &str) -> Result<ToolCall, Refusal> {
        let _ = (self.kind, self.index);
        let arguments = arguments(&self.function.arguments, &format!("{field}.function.arguments"))?;
        Ok(ToolCall { id: self.id.clone(), name: self.function.name.clone(), arguments })
    }
}

/// Arguments as templates take them: an object. What a model wrote may be no JSON at all, and is then left as it is.
pub fn arguments(text: &str, field: &str) -> Result<Value, Refusal> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Refusal::field(field, "expected a JSON object in a text")),
        Err(_) => Ok(text.into()),
    }
}
