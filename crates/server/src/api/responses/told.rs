//! OpenAI's `/v1/responses`: what is told of a response, whole or in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::api::openai::logprob;
use crate::refusal::{Dialect, Refusal};
use crate::said::{Call, Reason, Said, TokenLogprob, Whole};
use crate::service::Service;
use crate::sse::{Frames, Wire};

/// One response on its way.
pub struct Telling {
    id: String,
    created: u64,
    /// Names of its items, by their place.
    names: u64,
    /// What it repeats of its request.
    echo: Value,
    prompt_tokens: usize,
    events: u64,
    /// What was said so far.
    whole: Whole,
    /// Logarithms of the text that comes next.
    logprobs: Vec<TokenLogprob>,
    /// Items that are complete.
    done: Vec<Value>,
    open: Option<Open>,
}

/// The item that is being told, and where its text begins in what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Reasoning,
    Message,
    Call(usize),
}

impl Telling {
    /// A new response of `service`.
    pub fn new(service: &Service, echo: Value, prompt_tokens: usize) -> Self {
        Self {
            id: service.name("resp_"),
            created: service.now(),
            names: service.number(),
            echo,
            prompt_tokens,
            events: 0,
            whole: Whole::default(),
            logprobs: Vec::new(),
            done: Vec::new(),
            open: None,
        }
    }

    /// The response with all it says.
    pub fn whole(&self, whole: &Whole) -> Value {
        let mut output = Vec::new();
        if !whole.reasoning.is_empty() {
            output.push(self.reasoning(output.len(), &whole.reasoning, "completed"));
        }
        if !whole.content.is_empty() || whole.calls.is_empty() {
            output.push(self.message(output.len(), &whole.content, &whole.logprobs, "completed"));
        }
        for call in &whole.calls {
            output.push(self.call(output.len(), call, "completed"));
        }
        self.response(status(whole), &output, Some(whole))
    }

    fn name(&self, kind: &str, place: usize) -> String {
        format!("{kind}_{:016x}", self.names.wrapping_add(place as u64))
    }

    fn response(&self, status: &str, output: &[Value], whole: Option<&Whole>) -> Value {
        let mut response = json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "error": null,
            "incomplete_details": null, "output": output, "previous_response_id": null, "background": false,
            "service_tier": "default",
        });
        if status == "incomplete" {
            response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        if let (Value::Object(response), Value::Object(echo)) = (&mut response, &self.echo) {
            response.extend(echo.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        response["usage"] = whole.map_or(Value::Null, |whole| self.usage(whole));
        response
    }

    fn usage(&self, whole: &Whole) -> Value {
        let end = whole.end();
        json!({
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": { "cached_tokens": whole.cached },
            "output_tokens": end.tokens,
            "output_tokens_details": { "reasoning_tokens": end.reasoning_tokens },
            "total_tokens": self.prompt_tokens + end.tokens,
        })
    }

    fn reasoning(&self, place: usize, text: &str, status: &str) -> Value {
        json!({
            "id": self.name("rs", place), "type": "reasoning", "summary": [], "status": status,
            "content": [{ "type": "reasoning_text", "text": text }],
            "encrypted_content": STANDARD.encode(text),
        })
    }

    fn message(&self, place: usize, text: &str, logprobs: &[TokenLogprob], status: &str) -> Value {
        json!({ "id": self.name("msg", place), "type": "message", "role": "assistant", "status": status,
                "content": [text_part(text, logprobs)] })
    }

    fn call(&self, place: usize, call: &Call, status: &str) -> Value {
        json!({ "id": self.name("fc", place), "type": "function_call", "status": status, "call_id": call.id,
                "name": call.name, "arguments": call.arguments })
    }

    fn event(&mut self, kind: &str, mut data: Value, out: &mut Frames) {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.events);
        self.events += 1;
        out.event(kind, &data);
    }

    /// An event about the item that is being told.
    fn item_event(&mut self, kind: &str, item: &str, mut data: Value, out: &mut Frames) {
        data["item_id"] = json!(self.name(item, self.done.len()));
        data["output_index"] = json!(self.done.len());
        self.event(kind, data, out);
    }

    /// Begins an item of this kind, unless it is the one being told.
    fn open(&mut self, open: Open, out: &mut Frames) {
        if self.open == Some(open) {
            return;
        }
        self.close(out);
        self.open = Some(open);
        let place = self.done.len();
        let item = match open {
            Open::Reasoning => json!({ "id": self.name("rs", place), "type": "reasoning", "summary": [],
                                       "content": [], "status": "in_progress" }),
            Open::Message => json!({ "id": self.name("msg", place), "type": "message", "role": "assistant",
                                     "content": [], "status": "in_progress" }),
            Open::Call(at) => self.call(place, &self.whole.calls[at], "in_progress"),
        };
        self.event("response.output_item.added", json!({ "output_index": place, "item": item }), out);
        match open {
            Open::Reasoning => {
                let part = json!({ "content_index": 0, "part": { "type": "reasoning_text", "text": "" } });
                self.item_event("response.content_part.added", "rs", part, out);
            }
            Open::Message => {
                let part = json!({ "content_index": 0, "part": text_part("", &[]) });
                self.item_event("response.content_part.added", "msg", part, out);
            }
            Open::Call(_) => {}
        }
    }

    /// Ends the item that is being told.
    fn close(&mut self, out: &mut Frames) {
        let Some(open) = self.open.take() else { return };
        let place = self.done.len();
        let item = match open {
            Open::Reasoning => {
                let text = self.whole.reasoning.clone();
                let done = json!({ "content_index": 0, "text": text });
                self.item_event("response.reasoning_text.done", "rs", done, out);
                let part = json!({ "content_index": 0, "part": { "type": "reasoning_text", "text": text } });
                self.item_event("response.content_part.done", "rs", part, out);
                self.reasoning(place, &text, "completed")
            }
            Open::Message => {
                let (text, logprobs) = (self.whole.content.clone(), self.whole.logprobs.clone());
                let part = text_part(&text, &logprobs);
                let done = json!({ "content_index": 0, "text": text, "logprobs": part["logprobs"] });
                self.item_event("response.output_text.done", "msg", done, out);
                self.item_event(
                    "response.content_part.done",
                    "msg",
                    json!({ "content_index": 0, "part": part }),
                    out,
                );
                self.message(place, &text, &logprobs, "completed")
            }
            Open::Call(at) => {
                let call = self.whole.calls[at].clone();
                let done = json!({ "name": call.name, "arguments": call.arguments });
                self.item_event("response.function_call_arguments.done", "fc", done, out);
                self.call(place, &call, "completed")
            }
        };
        self.event("response.output_item.done", json!({ "output_index": place, "item": item }), out);
        self.done.push(item);
    }
}

impl Wire for Telling {
    fn begin(&mut self, out: &mut Frames) {
        let response = self.response("in_progress", &[], None);
        self.event("response.created", json!({ "response": response }), out);
        self.event("response.in_progress", json!({ "response": response }), out);
    }

    fn said(&mut self, _choice: usize, said: Said, out: &mut Frames) {
        self.whole.add(said.clone());
        match said {
            Said::Begun { .. } | Said::Ended(_) => {}
            Said::Logprobs(logprobs) => self.logprobs.extend(logprobs),
            Said::Reasoning(text) => {
                self.open(Open::Reasoning, out);
                let delta = json!({ "content_index": 0, "delta": text });
                self.item_event("response.reasoning_text.delta", "rs", delta, out);
            }
            Said::Content(text) => {
                self.open(Open::Message, out);
                let logprobs: Vec<Value> = self.logprobs.drain(..).map(|one| logprob(&one)).collect();
                let delta = json!({ "content_index": 0, "delta": text, "logprobs": logprobs });
                self.item_event("response.output_text.delta", "msg", delta, out);
            }
            Said::Call { index, .. } => self.open(Open::Call(index), out),
            Said::Arguments { text, .. } => {
                self.item_event(
                    "response.function_call_arguments.delta",
                    "fc",
                    json!({ "delta": text }),
                    out,
                );
            }
        }
    }

    fn end(&mut self, out: &mut Frames) {
        if self.whole.content.is_empty() && self.whole.calls.is_empty() {
            self.open(Open::Message, out);
        }
        self.close(out);
        let status = status(&self.whole);
        let response = self.response(status, &self.done, Some(&self.whole));
        self.event(&format!("response.{status}"), json!({ "response": response }), out);
    }

    fn failed(&mut self, refusal: &Refusal, out: &mut Frames) {
        let mut response = self.response("failed", &self.done, Some(&self.whole));
        let error = &refusal.json(Dialect::OpenAi)["error"];
        response["error"] = json!({ "code": error["type"], "message": error["message"] });
        self.event("response.failed", json!({ "response": response }), out);
    }
}

fn status(whole: &Whole) -> &'static str {
    if whole.end().reason == Reason::Length { "incomplete" } else { "completed" }
}

fn text_part(text: &str, logprobs: &[TokenLogprob]) -> Value {
    let logprobs: Vec<Value> = logprobs.iter().map(logprob).collect();
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
}

/// The thoughts that a client sends back: as they are, or as they were handed out to be sent back.
pub fn thoughts(item: &Map<String, Value>) -> Option<String> {
    let texts = item.get("content").and_then(Value::as_array).into_iter().flatten();
    let plain: String = texts.filter_map(|part| part["text"].as_str()).collect();
    if !plain.is_empty() {
        return Some(plain);
    }
    let sealed = item.get("encrypted_content")?.as_str()?;
    String::from_utf8(STANDARD.decode(sealed).ok()?).ok().filter(|text| !text.is_empty())
}
