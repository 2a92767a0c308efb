//! OpenAI's `/v1/responses`: requests. Nothing is stored, so a conversation is sent whole each time.

mod told;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as JsonBody};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use text::{Message, ToolCall};
use utoipa::ToSchema;

use self::told::Telling;
use super::chat::{arguments, thinking};
use super::fields::{Content, only, refuse, within};
use super::tools;
use crate::ask::{Ask, Choosing, Prompt, Shape, Thinking, Tool, Tools};
use crate::engine::Client;
use crate::json::Json;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::sse;

/// What to respond to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponsesRequest {
    /// The model, if any is named; this server has one.
    model: Option<String>,
    /// A text, or a list of items: messages, calls, results of calls, thoughts.
    #[schema(value_type = String)]
    input: Content,
    instructions: Option<String>,
    #[schema(minimum = 1)]
    max_output_tokens: Option<u32>,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f32>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    #[schema(maximum = 20)]
    top_logprobs: Option<u32>,
    stream: Option<bool>,
    #[schema(value_type = Option<Object>)]
    stream_options: Option<Map<String, Value>>,
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[schema(value_type = Option<Object>)]
    text: Option<Map<String, Value>>,
    #[schema(value_type = Option<Object>)]
    reasoning: Option<Map<String, Value>>,
    include: Option<Vec<String>>,
    /// Of no effect: nothing is stored, there is one tier, and who asks changes nothing.
    store: Option<bool>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    user: Option<String>,
    safety_identifier: Option<String>,
    prompt_cache_key: Option<String>,
    #[schema(value_type = Option<Object>)]
    prompt_cache_retention: Option<Value>,
    #[schema(value_type = Option<Object>)]
    client_metadata: Option<Value>,
    #[schema(value_type = Option<Object>)]
    service_tier: Option<Value>,
    background: Option<bool>,
    #[schema(value_type = Option<Object>)]
    conversation: Option<Value>,
    #[schema(value_type = Option<Object>)]
    context_management: Option<Value>,
    #[schema(value_type = Option<Object>)]
    previous_response_id: Option<Value>,
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
    #[schema(value_type = Option<Object>)]
    max_tool_calls: Option<Value>,
    #[schema(value_type = Option<Object>)]
    truncation: Option<Value>,
}

/// Responds.
#[utoipa::path(
    post, path = "/v1/responses", tag = "OpenAI", request_body = ResponsesRequest,
    responses(
        (status = 200, description = "A response, or with `stream` its pieces as server-sent events",
         content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", description = "What is wrong with the request", body = Object),
        (status = "5XX", description = "What went wrong here", body = Object),
    )
)]
pub async fn responses(
    State(service): State<Arc<Service>>,
    Extension(client): Extension<Client>,
    Json(request): Json<ResponsesRequest>,
) -> Result<Response, Refusal> {
    service.check_model(request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let echo = request.echo(&service);
    let ask = request.ask()?;
    let answers = service.answer(client, ask).await?;
    let telling = Telling::new(&service, echo, answers.prompt_tokens);
    if streams {
        return Ok(sse::stream(answers, telling, service.options.limits.keep_alive));
    }
    let whole = answers.whole().await?;
    let whole = whole.into_iter().next().ok_or_else(Refusal::stopping)?;
    Ok(JsonBody(telling.whole(&whole)).into_response())
}

/// What may be asked to be included.
const INCLUDES: [&str; 2] = ["reasoning.encrypted_content", "message.output_text.logprobs"];

impl ResponsesRequest {
    /// What a response repeats of its request.
    fn echo(&self, service: &Service) -> Value {
        json!({
            "model": service.options.model,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "tools": self.tools.clone().unwrap_or_default(),
            "tool_choice": self.tool_choice.clone().unwrap_or_else(|| json!("auto")),
            "parallel_tool_calls": self.parallel_tool_calls.unwrap_or(true),
            "text": self.text.clone().unwrap_or_else(|| Map::from_iter([("format".into(), json!({ "type": "text" }))])),
            "reasoning": self.reasoning.clone().unwrap_or_default(),
            "metadata": self.metadata.clone().unwrap_or_else(|| json!({})),
            "truncation": "disabled",
            "store": false,
        })
    }

    fn ask(self) -> Result<Ask, Refusal> {
        self.refuse_the_impossible()?;
        let choice = tools::choice(self.tool_choice.as_ref())?;
        let list = self.tools.iter().flatten().enumerate();
        let list: Vec<Tool> = list.map(|(at, tool)| read_tool(tool, at)).collect::<Result<_, _>>()?;
        tools::check(&list, &choice)?;
        let includes = |what: &str| self.include.iter().flatten().any(|one| one == what);
        let logprobs = includes(INCLUDES[1]).then(|| self.top_logprobs.unwrap_or(0) as usize);
        if logprobs.is_none() && self.top_logprobs.is_some_and(|top| top > 0) {
            let problem = format!("is nothing without `{}` in `include`", INCLUDES[1]);
            return Err(Refusal::field("top_logprobs", problem));
        }
        Ok(Ask {
            prompt: Prompt::Chat(self.conversation()?),
            tools: Tools { list, choice, parallel: self.parallel_tool_calls.unwrap_or(true) },
            shape: shape(self.text.as_ref())?,
            thinking: effort(self.reasoning.as_ref())?,
            choice: Choosing { temperature: self.temperature, top_p: self.top_p, ..Choosing::default() },
            answers: 1,
            max_tokens: self.max_output_tokens.map(|most| most as usize),
            logprobs,
            ..Ask::default()
        })
    }

    fn refuse_the_impossible(&self) -> Result<(), Refusal> {
        let _ = (&self.store, &self.metadata, &self.user, &self.safety_identifier, &self.prompt_cache_key);
        let _ = (&self.prompt_cache_retention, &self.client_metadata);
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("top_p", self.top_p, 0.0..=1.0)?;
        within("top_logprobs", self.top_logprobs, 0..=20)?;
        if self.background == Some(true) {
            return Err(Refusal::field(
                "background",
                "nothing is stored here, so nobody could fetch the response",
            ));
        }
        if let Some(options) = &self.stream_options {
            only(options, "stream_options", &["include_obfuscation"])?;
        }
        let known = |include: &&String| !INCLUDES.contains(&include.as_str());
        if let Some(unknown) = self.include.iter().flatten().find(known) {
            let unknown: String = unknown.escape_debug().take(60).collect();
            let problem = format!("`{unknown}`; expected one of {}", INCLUDES.join(", "));
            return Err(Refusal::field("include", problem));
        }
        let tier = [json!("auto"), json!("default")];
        refuse("service_tier", &self.service_tier, &tier, "there is one tier; expected `auto` or `default`")?;
        refuse(
            "conversation",
            &self.conversation,
            &[],
            "nothing is stored here; send the conversation as `input`",
        )?;
        let send = "nothing is stored here; send the whole conversation as `input`";
        refuse("previous_response_id", &self.previous_response_id, &[], send)?;
        refuse("prompt", &self.prompt, &[], "nothing is stored here; send the prompt as `input`")?;
        refuse(
            "context_management",
            &self.context_management,
            &[json!([])],
            "a conversation is taken as it is sent",
        )?;
        refuse("max_tool_calls", &self.max_tool_calls, &[], "there are no tools of this server to call")?;
        refuse("truncation", &self.truncation, &[json!("disabled")], "a conversation is taken as it is sent")
    }

    fn conversation(&self) -> Result<Vec<Message>, Refusal> {
        let mut messages: Vec<Message> = self.instructions.iter().map(Message::system).collect();
        match &self.input {
            Content::Text(text) => messages.push(Message::user(text)),
            Content::Parts(items) => {
                for (at, item) in items.iter().enumerate() {
                    read_item(item, &format!("input[{at}]"), &mut messages)?;
                }
            }
        }
        match messages.len() > self.instructions.iter().len() {
            true => Ok(messages),
            false => Err(Refusal::field("input", "there is nothing to respond to")),
        }
    }
}

fn shape(text: Option<&Map<String, Value>>) -> Result<Shape, Refusal> {
    let Some(text) = text else { return Ok(Shape::Free) };
    only(text, "text", &["format", "verbosity"])?;
    let verbosity = text.get("verbosity").cloned();
    refuse("text.verbosity", &verbosity, &[json!("medium")], "is not supported; ask for it in the prompt")?;
    tools::shape(text.get("format"), "text.format")
}

fn effort(reasoning: Option<&Map<String, Value>>) -> Result<Thinking, Refusal> {
    let Some(reasoning) = reasoning else { return Ok(Thinking::Usual) };
    only(reasoning, "reasoning", &["effort", "summary", "generate_summary"])?;
    match reasoning.get("effort") {
        None | Some(Value::Null) => Ok(Thinking::Usual),
        Some(Value::String(effort)) => Ok(thinking(Some(effort))),
        Some(_) => Err(Refusal::field("reasoning.effort", "expected a word")),
    }
}

fn read_tool(tool: &Map<String, Value>, at: usize) -> Result<Tool, Refusal> {
    let field = format!("tools[{at}]");
    if tool.get("type") != Some(&json!("function")) {
        let problem = "only functions of the client can be called: expected `function`";
        return Err(Refusal::field(format!("{field}.type"), problem));
    }
    tools::function(tool, &field)
}

/// Adds what an item of the input says. Calls that follow each other belong to one message.
fn read_item(item: &Map<String, Value>, field: &str, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let needed =
        |key: &str| text(key).ok_or_else(|| Refusal::field(format!("{field}.{key}"), "expected a text"));
    let content = |key: &str| {
        let value = item.get(key).cloned().unwrap_or(Value::Null);
        serde_json::from_value::<Content>(value)
            .map_err(|error| Refusal::field(format!("{field}.{key}"), error.to_string()))?
            .text(&format!("{field}.{key}"), &["input_text", "output_text", "text", "refusal"])
    };
    match item.get("type").and_then(Value::as_str).unwrap_or("message") {
        "message" => {
            only(item, field, &["type", "role", "content", "id", "status", "phase"])?;
            let role = match needed("role")?.as_str() {
                "system" | "developer" => "system",
                "user" => "user",
                "assistant" => "assistant",
                _ => {
                    return Err(Refusal::field(
                        format!("{field}.role"),
                        "expected `user`, `assistant`, `system` or `developer`",
                    ));
                }
            };
            said_by(role, messages).content += &content("content")?;
        }
        "function_call" => {
            let known =
                ["type", "id", "call_id", "name", "arguments", "status", "namespace", "async", "caller"];
            only(item, field, &known)?;
            let waits = "this server waits for the results of calls";
            refuse(&format!("{field}.async"), &item.get("async").cloned(), &[json!(false)], waits)?;
            let caller = item.get("caller").cloned();
            refuse(&format!("{field}.caller"), &caller, &[json!({ "type": "direct" })], "only models call")?;
            let arguments = arguments(&needed("arguments")?, &format!("{field}.arguments"))?;
            let call = ToolCall { id: text("call_id"), name: needed("name")?, arguments };
            said_by("assistant", messages).tool_calls.push(call);
        }
        "function_call_output" => {
            only(item, field, &["type", "id", "call_id", "output", "status"])?;
            let result = Message::new("tool", content("output")?);
            messages.push(Message { tool_call_id: Some(needed("call_id")?), ..result });
        }
        "reasoning" => {
            only(item, field, &["type", "id", "summary", "content", "encrypted_content", "status"])?;
            if let Some(thoughts) = told::thoughts(item) {
                messages.push(Message { reasoning: Some(thoughts), ..Message::assistant("") });
            }
        }
        kind => {
            let kind: String = kind.escape_debug().take(40).collect();
            return Err(Refusal::field(
                format!("{field}.type"),
                format!("items of type `{kind}` are not supported"),
            ));
        }
    }
    Ok(())
}

/// The message that an item of `role` adds to: an assistant's thoughts, text and calls in a row are one.
fn said_by<'m>(role: &str, messages: &'m mut Vec<Message>) -> &'m mut Message {
    let goes_on = role == "assistant" && messages.last().is_some_and(|last| last.role == "assistant");
    if !goes_on {
        messages.push(Message::new(role, ""));
    }
    let last = messages.len() - 1;
    &mut messages[last]
}
