//! What OpenAI's two older interfaces, `chat/completions` and `completions`, say in the same way.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::refusal::{Dialect, Refusal};
use crate::said::{Reason, Said, TokenLogprob, Whole};
use crate::service::Service;
use crate::sse::{Frames, Wire};

/// How an answer is streamed.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// Ends the stream with a count of tokens.
    include_usage: Option<bool>,
    /// Of no effect: nothing is padded.
    include_obfuscation: Option<bool>,
}

impl StreamOptions {
    /// Whether a stream ends with a count of tokens.
    pub fn usage_wanted(options: Option<&Self>, streams: bool) -> Result<bool, Refusal> {
        match options {
            Some(_) if !streams => Err(Refusal::field("stream_options", "is nothing without `stream`: true")),
            Some(options) => {
                let _ = options.include_obfuscation;
                Ok(options.include_usage == Some(true))
            }
            None => Ok(false),
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `chat/completions`.
    Chat,
    /// `completions`.
    Text,
}

/// One response, whole or in pieces.
pub struct Completion {
    kind: Kind,
    id: String,
    created: u64,
    model: String,
    prompt_tokens: usize,
    include_usage: bool,
    /// What was heard of each answer, without its text.
    heard: Vec<Heard>,
}

#[derive(Clone, Default)]
struct Heard {
    cached: usize,
    tokens: usize,
    reasoning_tokens: usize,
    begun: bool,
    logprobs: Vec<TokenLogprob>,
    /// Bytes of text so far.
    offset: usize,
}

impl Completion {
    /// A new one of `service`.
    pub fn new(service: &Service, kind: Kind, prompt_tokens: usize, include_usage: bool) -> Self {
        let prefix = if kind == Kind::Chat { "chatcmpl-" } else { "cmpl-" };
        Self {
            kind,
            id: service.name(prefix),
            created: service.now(),
            model: service.options.model.clone(),
            prompt_tokens,
            include_usage,
            heard: Vec::new(),
        }
    }

    /// The response with all its answers.
    pub fn whole(&self, choices: &[Value], usage: &Value) -> Value {
        let object = if self.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
        let mut whole = self.envelope(object, choices);
        whole["usage"] = usage.clone();
        whole
    }

    /// One whole answer.
    pub fn choice(&self, index: usize, whole: &Whole) -> Value {
        let finish = finish(whole.end().reason);
        if self.kind == Kind::Text {
            let logprobs = text_logprobs(&whole.logprobs, &mut 0);
            return json!({ "index": index, "text": whole.content, "logprobs": logprobs, "finish_reason": finish });
        }
        let content = if whole.content.is_empty() && !whole.calls.is_empty() {
            Value::Null
        } else {
            json!(whole.content)
        };
        let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
        if !whole.reasoning.is_empty() {
            message["reasoning_content"] = json!(whole.reasoning);
        }
        if !whole.calls.is_empty() {
            let call = |call: &crate::said::Call| {
                json!({ "id": call.id, "type": "function",
                        "function": { "name": call.name, "arguments": call.arguments } })
            };
            message["tool_calls"] = whole.calls.iter().map(call).collect();
        }
        let logprobs = chat_logprobs(&whole.logprobs);
        json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": finish })
    }

    fn envelope(&self, object: &str, choices: &[Value]) -> Value {
        json!({ "id": self.id, "object": object, "created": self.created, "model": self.model,
                "system_fingerprint": FINGERPRINT, "choices": choices })
    }

    fn chunk(&self, choices: &[Value]) -> Value {
        let object = if self.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" };
        let mut chunk = self.envelope(object, choices);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// One more piece of an answer.
    fn piece(&mut self, choice: usize, delta: Value, finish: Value, out: &mut Frames) {
        let heard = &mut self.heard[choice];
        let logprobs = std::mem::take(&mut heard.logprobs);
        let piece = match self.kind {
            Kind::Text => {
                let text = delta.get("content").cloned().unwrap_or_else(|| json!(""));
                let logprobs = text_logprobs(&logprobs, &mut heard.offset);
                json!({ "index": choice, "text": text, "logprobs": logprobs, "finish_reason": finish })
            }
            Kind::Chat => {
                let mut delta = delta;
                if !std::mem::replace(&mut heard.begun, true) {
                    delta["role"] = json!("assistant");
                }
                json!({ "index": choice, "delta": delta, "logprobs": chat_logprobs(&logprobs), "finish_reason": finish })
            }
        };
        out.data(&self.chunk(&[piece]));
    }
}

/// The build, as far as it changes answers.
const FINGERPRINT: &str = concat!("tidemill-", env!("CARGO_PKG_VERSION"));

impl Wire for Completion {
    fn begin(&mut self, _out: &mut Frames) {}

    fn said(&mut self, choice: usize, said: Said, out: &mut Frames) {
        if self.heard.len() <= choice {
            self.heard.resize(choice + 1, Heard::default());
        }
        let delta = match said {
            Said::Begun { cached } => {
                self.heard[choice].cached = cached;
                if self.kind == Kind::Text {
                    return;
                }
                json!({ "content": "" })
            }
            Said::Logprobs(logprobs) => return self.heard[choice].logprobs.extend(logprobs),
            Said::Reasoning(text) => json!({ "reasoning_content": text }),
            Said::Content(text) => json!({ "content": text }),
            Said::Call { index, id, name } => json!({ "tool_calls": [{
                "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } }] }),
            Said::Arguments { index, text } => {
                json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] })
            }
            Said::Ended(ending) => {
                self.heard[choice].tokens = ending.tokens;
                self.heard[choice].reasoning_tokens = ending.reasoning_tokens;
                return self.piece(choice, json!({}), json!(finish(ending.reason)), out);
            }
        };
        self.piece(choice, delta, Value::Null, out);
    }

    fn end(&mut self, out: &mut Frames) {
        if self.include_usage {
            let sum = |number: fn(&Heard) -> usize| self.heard.iter().map(number).sum::<usize>();
            let cached = self.heard.first().map_or(0, |heard| heard.cached);
            let counts = (cached, sum(|heard| heard.tokens), sum(|heard| heard.reasoning_tokens));
            let mut chunk = self.chunk(&[]);
            chunk["usage"] = usage_of(self.prompt_tokens, counts);
            out.data(&chunk);
        }
        out.raw("data: [DONE]");
    }

    fn failed(&mut self, refusal: &Refusal, out: &mut Frames) {
        out.data(&refusal.json(Dialect::OpenAi));
        out.raw("data: [DONE]");
    }
}

/// Tokens that were counted.
pub fn usage(prompt_tokens: usize, answers: &[Whole]) -> Value {
    let sum = |number: fn(&Whole) -> usize| answers.iter().map(number).sum::<usize>();
    let cached = answers.first().map_or(0, |answer| answer.cached);
    let tokens = sum(|answer| answer.end().tokens);
    usage_of(prompt_tokens, (cached, tokens, sum(|answer| answer.end().reasoning_tokens)))
}

fn usage_of(prompt_tokens: usize, (cached, tokens, reasoning): (usize, usize, usize)) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": prompt_tokens + tokens,
        "prompt_tokens_details": { "cached_tokens": cached },
        "completion_tokens_details": { "reasoning_tokens": reasoning },
    })
}

/// Why an answer ended.
fn finish(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::Calls => "tool_calls",
    }
}

/// A logarithm as JSON can hold it: what is impossible is very unlikely.
pub fn number(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

fn chat_logprobs(logprobs: &[TokenLogprob]) -> Value {
    if logprobs.is_empty() {
        return Value::Null;
    }
    json!({ "content": logprobs.iter().map(logprob).collect::<Vec<_>>(), "refusal": null })
}

/// One token of an answer.
pub fn logprob(one: &TokenLogprob) -> Value {
    let spelled = |token: &crate::said::Spelled, logprob: f32| json!({ "token": token.text(), "logprob": number(logprob), "bytes": token.bytes });
    let mut entry = spelled(&one.token, one.logprob);
    entry["top_logprobs"] = one.top.iter().map(|(token, logprob)| spelled(token, *logprob)).collect();
    entry
}

/// As the older interface has them, with places in the text counted from `offset`.
fn text_logprobs(logprobs: &[TokenLogprob], offset: &mut usize) -> Value {
    if logprobs.is_empty() {
        return Value::Null;
    }
    let mut offsets = Vec::new();
    for one in logprobs {
        offsets.push(*offset);
        *offset += one.token.text().chars().count();
    }
    let top = |one: &TokenLogprob| -> Value {
        one.top.iter().map(|(token, logprob)| (token.text(), json!(number(*logprob)))).collect()
    };
    json!({
        "tokens": logprobs.iter().map(|one| one.token.text()).collect::<Vec<_>>(),
        "token_logprobs": logprobs.iter().map(|one| number(one.logprob)).collect::<Vec<_>>(),
        "top_logprobs": logprobs.iter().map(top).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}
