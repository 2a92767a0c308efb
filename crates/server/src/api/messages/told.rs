//! Anthropic's `/v1/messages`: what is told of an answer, whole or in pieces.

use serde_json::{Value, json};

use crate::refusal::{Dialect, Refusal};
use crate::said::{Ending, Reason, Said, Whole};
use crate::service::Service;
use crate::sse::{Frames, Wire};

/// One message on its way.
pub struct Telling {
    id: String,
    model: String,
    prompt_tokens: usize,
    cached: usize,
    /// The block of content that is open, and its type.
    open: Option<Block>,
    /// Blocks so far.
    blocks: usize,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Call,
}

impl Telling {
    /// A new message of `service`.
    pub fn new(service: &Service, prompt_tokens: usize) -> Self {
        Self {
            id: service.name("msg_"),
            model: service.options.model.clone(),
            prompt_tokens,
            cached: 0,
            open: None,
            blocks: 0,
            ending: Ending::default(),
        }
    }

    /// The message with all it says.
    pub fn whole(&self, whole: &Whole) -> Value {
        let mut content = Vec::new();
        if !whole.reasoning.is_empty() {
            content.push(json!({ "type": "thinking", "thinking": whole.reasoning, "signature": "" }));
        }
        if !whole.content.is_empty() {
            content.push(json!({ "type": "text", "text": whole.content }));
        }
        for call in &whole.calls {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            content.push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }));
        }
        let ending = whole.end();
        let mut message = self.message(&content, whole.cached, ending.tokens);
        message["stop_reason"] = json!(stop_reason(&ending));
        message["stop_sequence"] = json!(ending.stop);
        message
    }

    fn message(&self, content: &[Value], cached: usize, tokens: usize) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": null, "stop_sequence": null, "usage": self.usage(cached, tokens),
        })
    }

    fn usage(&self, cached: usize, tokens: usize) -> Value {
        json!({
            "input_tokens": self.prompt_tokens - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": tokens,
        })
    }

    fn start(&mut self, out: &mut Frames) {
        let message = self.message(&[], self.cached, 0);
        out.event("message_start", &json!({ "type": "message_start", "message": message }));
        out.event("ping", &json!({ "type": "ping" }));
    }

    /// Opens a block of this kind, unless one is open.
    fn open(&mut self, kind: Block, start: Value, out: &mut Frames) {
        if self.open == Some(kind) && kind != Block::Call {
            return;
        }
        self.close(out);
        self.open = Some(kind);
        out.event(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": self.blocks, "content_block": start }),
        );
    }

    fn close(&mut self, out: &mut Frames) {
        if let Some(kind) = self.open.take() {
            if kind == Block::Thinking {
                self.delta(json!({ "type": "signature_delta", "signature": "" }), out);
            }
            out.event("content_block_stop", &json!({ "type": "content_block_stop", "index": self.blocks }));
            self.blocks += 1;
        }
    }

    fn delta(&self, delta: Value, out: &mut Frames) {
        let event = json!({ "type": "content_block_delta", "index": self.blocks, "delta": delta });
        out.event("content_block_delta", &event);
    }
}

impl Wire for Telling {
    fn begin(&mut self, _out: &mut Frames) {}

    fn said(&mut self, _choice: usize, said: Said, out: &mut Frames) {
        match said {
            Said::Begun { cached } => {
                self.cached = cached;
                self.start(out);
            }
            Said::Reasoning(text) => {
                self.open(
                    Block::Thinking,
                    json!({ "type": "thinking", "thinking": "", "signature": "" }),
                    out,
                );
                self.delta(json!({ "type": "thinking_delta", "thinking": text }), out);
            }
            Said::Content(text) => {
                self.open(Block::Text, json!({ "type": "text", "text": "" }), out);
                self.delta(json!({ "type": "text_delta", "text": text }), out);
            }
            Said::Call { id, name, .. } => {
                let start = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                self.open(Block::Call, start, out);
            }
            Said::Arguments { text, .. } => {
                self.delta(json!({ "type": "input_json_delta", "partial_json": text }), out);
            }
            Said::Logprobs(_) => {}
            Said::Ended(ending) => self.ending = ending,
        }
    }

    fn end(&mut self, out: &mut Frames) {
        self.close(out);
        let delta = json!({ "stop_reason": stop_reason(&self.ending), "stop_sequence": self.ending.stop });
        let usage = self.usage(self.cached, self.ending.tokens);
        out.event("message_delta", &json!({ "type": "message_delta", "delta": delta, "usage": usage }));
        out.event("message_stop", &json!({ "type": "message_stop" }));
    }

    fn failed(&mut self, refusal: &Refusal, out: &mut Frames) {
        out.event("error", &refusal.json(Dialect::Anthropic));
    }

    fn alive(&mut self, out: &mut Frames) {
        out.event("ping", &json!({ "type": "ping" }));
    }
}

fn stop_reason(ending: &Ending) -> &'static str {
    match ending.reason {
        Reason::Length => "max_tokens",
        Reason::Calls => "tool_use",
        Reason::Stop if ending.stop.is_some() => "stop_sequence",
        Reason::Stop => "end_turn",
    }
}
