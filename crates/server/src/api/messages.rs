//! Anthropic's `/v1/messages` and `/v1/messages/count_tokens`: requests.

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
use super::fields::{Content, only, part_text, refuse, within};
use super::tools;
use crate::ask::{Ask, Choosing, Prompt, Shape, Thinking, Tool, ToolChoice, Tools};
use crate::engine::Client;
use crate::json::Json;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::sse;

/// A conversation to be continued, in Anthropic's words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesRequest {
    /// The model, if any is named; this server has one.
    model: Option<String>,
    messages: Vec<Turn>,
    #[schema(minimum = 1)]
    max_tokens: u32,
    /// A text, or a list of parts of type `text`.
    #[schema(value_type = Option<String>)]
    system: Option<Content>,
    stop_sequences: Option<Vec<String>>,
    stream: Option<bool>,
    #[schema(minimum = 0, maximum = 1)]
    temperature: Option<f32>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f32>,
    top_k: Option<u32>,
    #[schema(value_type = Option<Object>)]
    thinking: Option<Map<String, Value>>,
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Map<String, Value>>,
    #[schema(value_type = Option<Object>)]
    output_config: Option<Map<String, Value>>,
    #[schema(value_type = Option<Object>)]
    output_format: Option<Value>,
    /// Of no effect: who asks changes nothing, prompts are kept anyway, and there is one tier.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    #[schema(value_type = Option<Object>)]
    cache_control: Option<Value>,
    #[schema(value_type = Option<Object>)]
    service_tier: Option<Value>,
    #[schema(value_type = Option<Object>)]
    inference_geo: Option<Value>,
    #[schema(value_type = Option<Object>)]
    container: Option<Value>,
    #[schema(value_type = Option<Object>)]
    context_management: Option<Value>,
    #[schema(value_type = Option<Object>)]
    mcp_servers: Option<Value>,
}

/// What a prompt would cost.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountRequest {
    model: Option<String>,
    messages: Vec<Turn>,
    #[schema(value_type = Option<String>)]
    system: Option<Content>,
    #[schema(value_type = Option<Object>)]
    thinking: Option<Map<String, Value>>,
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Map<String, Value>>,
    #[schema(value_type = Option<Object>)]
    output_config: Option<Map<String, Value>>,
    #[schema(value_type = Option<Object>)]
    output_format: Option<Value>,
    #[schema(value_type = Option<Object>)]
    cache_control: Option<Value>,
    #[schema(value_type = Option<Object>)]
    context_management: Option<Value>,
    #[schema(value_type = Option<Object>)]
    mcp_servers: Option<Value>,
}

/// One turn of a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Turn {
    role: Role,
    #[schema(value_type = String)]
    content: Content,
}

#[derive(Clone, Copy, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
    System,
}

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/messages", tag = "Anthropic", request_body = MessagesRequest,
    responses(
        (status = 200, description = "An answer, or with `stream` its pieces as server-sent events",
         content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", description = "What is wrong with the request", body = Object),
        (status = "5XX", description = "What went wrong here", body = Object),
    )
)]
pub async fn messages(
    State(service): State<Arc<Service>>,
    Extension(client): Extension<Client>,
    Json(request): Json<MessagesRequest>,
) -> Result<Response, Refusal> {
    service.check_model(request.model.as_deref())?;
    let streams = request.stream == Some(true);
    let answers = service.answer(client, request.ask()?).await?;
    let telling = Telling::new(&service, answers.prompt_tokens);
    if streams {
        return Ok(sse::stream(answers, telling, service.options.limits.keep_alive));
    }
    let whole = answers.whole().await?;
    let whole = whole.into_iter().next().ok_or_else(Refusal::stopping)?;
    Ok(JsonBody(telling.whole(&whole)).into_response())
}

/// Counts the tokens of a prompt.
#[utoipa::path(
    post, path = "/v1/messages/count_tokens", tag = "Anthropic", request_body = CountRequest,
    responses((status = 200, description = "How many there are", body = Object),
              (status = "4XX", description = "What is wrong with the request", body = Object),
              (status = "5XX", description = "What went wrong here", body = Object))
)]
pub async fn count_tokens(
    State(service): State<Arc<Service>>,
    Json(request): Json<CountRequest>,
) -> Result<JsonBody<Value>, Refusal> {
    service.check_model(request.model.as_deref())?;
    let CountRequest {
        model,
        messages,
        system,
        thinking,
        tools,
        tool_choice,
        output_config,
        output_format,
        ..
    } = request;
    let _ = request.cache_control;
    let asked = MessagesRequest {
        model,
        messages,
        max_tokens: 1,
        system,
        stop_sequences: None,
        stream: None,
        temperature: None,
        top_p: None,
        top_k: None,
        thinking,
        tools,
        tool_choice,
        output_config,
        output_format,
        metadata: None,
        cache_control: None,
        service_tier: None,
        inference_geo: None,
        container: None,
        context_management: request.context_management,
        mcp_servers: request.mcp_servers,
    };
    let prepared = service.prompt(&asked.ask()?).await?;
    Ok(JsonBody(json!({ "input_tokens": prepared.tokens.len() })))
}

impl MessagesRequest {
    fn ask(self) -> Result<Ask, Refusal> {
        let _ = (&self.metadata, &self.cache_control, &self.inference_geo);
        within("temperature", self.temperature, 0.0..=2.0)?;
        within("top_p", self.top_p, 0.0..=1.0)?;
        let tiers = [json!("auto"), json!("standard_only")];
        refuse("service_tier", &self.service_tier, &tiers, "there is one tier; expected `auto`")?;
        refuse("container", &self.container, &[], "nothing is run here")?;
        refuse("mcp_servers", &self.mcp_servers, &[json!([])], "no other server is called from here")?;
        check_context_management(self.context_management.as_ref())?;
        let mut messages = Vec::new();
        if let Some(system) = &self.system {
            messages.push(Message::system(system.text("system", &["text"])?));
        }
        for (at, turn) in self.messages.iter().enumerate() {
            turn.read(&format!("messages[{at}]"), &mut messages)?;
        }
        if self.messages.is_empty() {
            return Err(Refusal::field("messages", "there are none"));
        }
        let list = self.tools.iter().flatten().enumerate();
        let list: Vec<Tool> = list.map(|(at, tool)| read_tool(tool, at)).collect::<Result<_, _>>()?;
        let (choice, parallel) = tool_choice(self.tool_choice.as_ref())?;
        tools::check(&list, &choice)?;
        let (effort, shape) = output(self.output_config.as_ref(), self.output_format.as_ref())?;
        Ok(Ask {
            prompt: Prompt::Chat(messages),
            tools: Tools { list, choice, parallel },
            shape,
            thinking: thinking(self.thinking.as_ref(), effort)?,
            thoughts: budget(self.thinking.as_ref())?,
            choice: Choosing {
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k.map(|k| k as usize),
                ..Choosing::default()
            },
            answers: 1,
            max_tokens: Some(self.max_tokens as usize),
            stop: self.stop_sequences.unwrap_or_default(),
            ..Ask::default()
        })
    }
}

/// Edits that clear nothing are what happens here anyway.
fn check_context_management(edits: Option<&Value>) -> Result<(), Refusal> {
    let harmless = |edit: &Value| edit["type"] == "clear_thinking_20251015" && edit["keep"] == "all";
    match edits {
        None | Some(Value::Null) => Ok(()),
        Some(value) => match value["edits"].as_array() {
            Some(edits) if edits.iter().all(harmless) => Ok(()),
            _ => Err(Refusal::field("context_management", "a conversation is taken as it is sent")),
        },
    }
}

fn output(
    config: Option<&Map<String, Value>>,
    format: Option<&Value>,
) -> Result<(Option<String>, Shape), Refusal> {
    let mut effort = None;
    let mut shape = tools::shape(format, "output_format")?;
    if let Some(config) = config {
        only(config, "output_config", &["effort", "format"])?;
        effort = match config.get("effort") {
            None | Some(Value::Null) => None,
            Some(Value::String(effort)) => Some(effort.clone()),
            Some(_) => return Err(Refusal::field("output_config.effort", "expected a word")),
        };
        if let Some(format) = config.get("format") {
            shape = tools::shape(Some(format), "output_config.format")?;
        }
    }
    Ok((effort, shape))
}

fn thinking(thinking: Option<&Map<String, Value>>, effort: Option<String>) -> Result<Thinking, Refusal> {
    let usual = effort.map_or(Thinking::Usual, Thinking::Effort);
    let Some(thinking) = thinking else { return Ok(usual) };
    only(thinking, "thinking", &["type", "budget_tokens", "display"])?;
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => Ok(Thinking::Off),
        Some("adaptive") => Ok(usual),
        Some("enabled") => match usual {
            Thinking::Usual => Ok(Thinking::On),
            effort => Ok(effort),
        },
        _ => Err(Refusal::field("thinking.type", "expected `enabled`, `adaptive` or `disabled`")),
    }
}

/// Tokens that thoughts may take.
fn budget(thinking: Option<&Map<String, Value>>) -> Result<Option<usize>, Refusal> {
    match thinking.and_then(|thinking| thinking.get("budget_tokens")) {
        None | Some(Value::Null) => Ok(None),
        Some(budget) => match budget.as_u64() {
            Some(tokens) if tokens > 0 => Ok(Some(usize::try_from(tokens).unwrap_or(usize::MAX))),
            _ => Err(Refusal::field("thinking.budget_tokens", "expected a number of tokens, 1 or more")),
        },
    }
}

fn tool_choice(choice: Option<&Map<String, Value>>) -> Result<(ToolChoice, bool), Refusal> {
    let Some(choice) = choice else { return Ok((ToolChoice::Auto, true)) };
    only(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"])?;
    let parallel = choice.get("disable_parallel_tool_use") != Some(&json!(true));
    let which = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => match choice.get("name").and_then(Value::as_str) {
            Some(name) => ToolChoice::Named(name.to_owned()),
            None => return Err(Refusal::field("tool_choice.name", "expected the name of a tool")),
        },
        _ => return Err(Refusal::field("tool_choice.type", "expected `auto`, `any`, `tool` or `none`")),
    };
    Ok((which, parallel))
}

fn read_tool(tool: &Map<String, Value>, at: usize) -> Result<Tool, Refusal> {
    let field = format!("tools[{at}]");
    match tool.get("type") {
        None | Some(Value::Null) => {}
        Some(kind) if kind == "custom" => {}
        Some(_) => {
            let problem = "only tools of the client can be called: expected `custom` or nothing";
            return Err(Refusal::field(format!("{field}.type"), problem));
        }
    }
    let known =
        ["type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming"];
    only(tool, &field, &known)?;
    let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
    let description = tool.get("description").and_then(Value::as_str).map(str::to_owned);
    let Some(schema @ Value::Object(_)) = tool.get("input_schema") else {
        return Err(Refusal::field(format!("{field}.input_schema"), "expected a JSON schema"));
    };
    tools::tool(name, description, Some(schema), tool.get("strict"), &field, "input_schema")
}

impl Turn {
    /// The messages that a turn is for a template: results of tools are messages of their own.
    fn read(&self, field: &str, messages: &mut Vec<Message>) -> Result<(), Refusal> {
        let parts = match &self.content {
            Content::Text(text) => {
                let role = ["user", "assistant", "system"][self.role as usize];
                messages.push(Message::new(role, text.clone()));
                return Ok(());
            }
            Content::Parts(parts) => parts,
        };
        let mut texts = Vec::new();
        let mut message = Message::new(["user", "assistant", "system"][self.role as usize], "");
        for (at, part) in parts.iter().enumerate() {
            let field = format!("{field}.content[{at}]");
            match (part.get("type").and_then(Value::as_str), self.role) {
                (Some("tool_result"), Role::User) => messages.push(read_result(part, &field)?),
                (Some("tool_use"), Role::Assistant) => message.tool_calls.push(read_call(part, &field)?),
                (Some("thinking"), Role::Assistant) => {
                    only(part, &field, &["type", "thinking", "signature", "cache_control"])?;
                    let thought = part.get("thinking").and_then(Value::as_str).unwrap_or_default();
                    *message.reasoning.get_or_insert_default() += thought;
                }
                _ => texts.push(part_text(part, &field, &["text"])?),
            }
        }
        message.content = texts.join("\n");
        if !message.content.is_empty() || !message.tool_calls.is_empty() || message.reasoning.is_some() {
            messages.push(message);
        }
        Ok(())
    }
}

fn read_call(part: &Map<String, Value>, field: &str) -> Result<ToolCall, Refusal> {
    only(part, field, &["type", "id", "name", "input", "cache_control", "caller"])?;
    let text = |key: &str| part.get(key).and_then(Value::as_str).map(str::to_owned);
    let name =
        text("name").ok_or_else(|| Refusal::field(format!("{field}.name"), "expected the name of a tool"))?;
    let Some(arguments @ Value::Object(_)) = part.get("input") else {
        return Err(Refusal::field(format!("{field}.input"), "expected an object"));
    };
    Ok(ToolCall { id: text("id"), name, arguments: arguments.clone() })
}

fn read_result(part: &Map<String, Value>, field: &str) -> Result<Message, Refusal> {
    only(part, field, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
    let id = part.get("tool_use_id").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::field(format!("{field}.tool_use_id"), "expected the id of a call"))?;
    let content = match part.get("content") {
        None | Some(Value::Null) => String::new(),
        Some(content) => {
            let content: Content = serde_json::from_value(content.clone())
                .map_err(|error| Refusal::field(format!("{field}.content"), error.to_string()))?;
            content.text(&format!("{field}.content"), &["text"])?
        }
    };
    let failed = part.get("is_error") == Some(&json!(true));
    let content = if failed { format!("Error: {content}") } else { content };
    Ok(Message { tool_call_id: Some(id.to_owned()), ..Message::new("tool", content) })
}
