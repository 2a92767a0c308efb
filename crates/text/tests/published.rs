//! Templates as models are published with them render what transformers renders.
//!
//! Made by `oracle/published_templates.py` from the templates that llama.cpp keeps beside its sources. They are under Apache-2.0
//! or MIT, as the models are; Llama's is not, and is not here.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime};

use formats::gguf::Metadata;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use support::{fixture, gguf, message, read_json};
use text::{
    AnswerEvent, AnswerParser, AnswerSyntax, ChatOptions, ChatTemplate, Message, Part, Tokenizer, ToolCall,
};

/// The time the reference was told: 2026-03-14, 15:09:26.
const NOW: Duration = Duration::from_secs(1_773_500_966);

#[derive(Deserialize)]
struct Published {
    conversations: Vec<Conversation>,
    settings: Vec<Setting>,
    templates: Vec<Template>,
    lines: Vec<String>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Value>,
    tools: Vec<Value>,
}

#[derive(Deserialize)]
struct Setting {
    variables: Map<String, Value>,
    begins: bool,
}

#[derive(Deserialize)]
struct Template {
    name: String,
    controls: Vec<String>,
    /// For each conversation and setting the lines of the prompt; none where the template refuses.
    prompts: Vec<Option<Vec<usize>>>,
}

#[test]
fn published_templates_render_what_transformers_renders() {
    let Published { conversations, settings, templates, lines } = read_json("published/prompts.json");
    let mut wrong = Vec::new();
    for template in &templates {
        let bound = ChatTemplate::new(&source_of(&template.name), &steered_by(&template.controls)).unwrap();
        assert_eq!(template.prompts.len(), conversations.len() * settings.len());
        for (number, prompt) in template.prompts.iter().enumerate() {
            let conversation = &conversations[number / settings.len()];
            let setting = &settings[number % settings.len()];
            let expected: Option<String> =
                prompt.as_ref().map(|prompt| prompt.iter().map(|line| lines[*line].as_str()).collect());
            let found = render(&bound, conversation, setting);
            if found.as_ref().ok() != expected.as_ref() {
                let found = found.unwrap_or_else(|error| error);
                wrong.push(difference(&template.name, number, &expected.unwrap_or_default(), &found));
            }
        }
    }
    assert!(wrong.is_empty(), "{} prompts differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where an answer ends, by the control tokens of each template. That of Mistral is no control token of its template.
const ENDS: &[(&str, &[&str])] = &[
    ("GLM-4", &["<|observation|>", "<|user|>"]),
    ("Kimi-K2", &["<|im_end|>"]),
    ("Kimi-K3", &["<|end_of_msg|>"]),
    ("MiniMax-M2", &["[e~["]),
    ("Qwen", &["<|im_end|>"]),
    ("deepseek-ai", &["<｜end▁of▁sentence｜>"]),
    ("mistralai", &[]),
    ("moonshotai-Kimi-K2", &["<|im_end|>"]),
    ("openai-gpt-oss", &["<|call|>", "<|return|>"]),
];

/// Templates that write a call's answer just as it goes on from the prompt, and whether they write its reasoning. The
/// others begin it in another way than the prompt ends, or write no content beside calls.
const READ_BACK: &[(&str, bool)] = &[
    ("GLM-4.6", true),
    ("GLM-4.7-Flash", true),
    ("Kimi-K3", true),
    ("MiniMax-M2", true),
    ("Qwen-Qwen3-0.6B", true),
    ("Qwen3-Coder", false),
    ("Qwen3.5-4B", true),
    ("deepseek-ai-DeepSeek-V3.1", false),
    ("deepseek-ai-DeepSeek-V4", false),
    ("moonshotai-Kimi-K2", false),
];

#[test]
fn an_answer_ends_where_a_published_template_ends_it() {
    let Published { templates, .. } = read_json("published/prompts.json");
    for Template { name, controls, .. } in &templates {
        let tokens = ["a"].into_iter().chain(controls.iter().map(String::as_str));
        let kinds: Vec<i32> = [1].into_iter().chain(controls.iter().map(|_| 3)).collect();
        let mut metadata = Metadata::default();
        metadata.set("tokenizer.ggml.model", "gpt2");
        metadata.set("tokenizer.ggml.pre", "gpt-2");
        metadata.set("tokenizer.ggml.tokens", tokens.collect::<formats::gguf::Strings>());
        metadata.set("tokenizer.ggml.token_type", formats::gguf::Array::I32(kinds));
        metadata.set("tokenizer.chat_template", source_of(name));
        let tokenizer = Tokenizer::from_checkpoint(&gguf(metadata)).unwrap();
        let (_, expected) = ENDS.iter().find(|(begins, _)| name.starts_with(begins)).unwrap();
        let piece = |id: &u32| String::from_utf8(tokenizer.piece(*id).unwrap().to_vec()).unwrap();
        let mut found: Vec<String> = tokenizer.stop_tokens().iter().map(piece).collect();
        found.sort();
        assert_eq!(&found, expected, "{name}");
    }
}

/// What an answer says: reasoning, content, and calls by name and arguments.
#[derive(Debug, Default, PartialEq)]
struct Said {
    reasoning: String,
    content: String,
    calls: Vec<(String, Value)>,
}

#[test]
fn what_a_template_writes_for_an_answer_is_read_back() {
    let Published { templates, .. } = read_json("published/prompts.json");
    let mut read = Vec::new();
    for Template { name, controls, .. } in &templates {
        let tokenizer = steered_by(controls);
        let template = ChatTemplate::new(&source_of(name), &tokenizer).unwrap();
        let Some(found) = read_back(&template, &tokenizer) else { continue };
        let reasons = !found.reasoning.is_empty();
        let expected = if reasons { said() } else { Said { reasoning: String::new(), ..said() } };
        assert_eq!(found, expected, "{name}");
        read.push((name.as_str(), reasons));
    }
    assert_eq!(read, READ_BACK);
}

fn said() -> Said {
    let arguments =
        json!({"city": "New \"York\" & <b>", "days": 3, "at": [1.5, null], "so \"&amp;": {"a": true}});
    Said {
        reasoning: "Hm, <so>.".into(),
        content: "I look\n\n \"there\".".into(),
        calls: vec![("weather".into(), arguments), ("stop".into(), json!({}))],
    }
}

/// An answer as `template` writes it after the prompt, read by the syntax of the template; `None` where it writes the
/// answer's beginning in another way than the prompt's end.
fn read_back(template: &ChatTemplate, tokenizer: &Tokenizer) -> Option<Said> {
    let Said { reasoning, content, calls } = said();
    let call = |(index, (name, arguments)): (usize, (String, Value))| ToolCall {
        id: Some(format!("functions.{name}:{index}")),
        name,
        arguments,
    };
    let tools = calls
        .iter()
        .map(|(name, _)| json!({"type": "function", "function": {"name": name, "parameters": {}}}));
    let options = ChatOptions { tools: tools.collect(), ..ChatOptions::default() };
    let answer = Message {
        reasoning: Some(reasoning),
        tool_calls: calls.into_iter().enumerate().map(call).collect(),
        ..Message::assistant(content)
    };
    let render = |messages: &[Message], add_generation_prompt| {
        template.render(messages, &ChatOptions { add_generation_prompt, ..options.clone() }).ok()
    };
    let (prompt, whole) =
        (render(&[Message::user("?")], true)?, render(&[Message::user("?"), answer], false)?);

    let syntax = AnswerSyntax::of(template);
    let within = syntax.opens_reasoning(&prompt);
    let mut parser = AnswerParser::new(syntax, within, options.tools.clone()).with_controls_of(tokenizer);
    let (prompt, mut events) = (prompt.text(), Vec::new());
    let mut known = prompt.as_str();
    for part in &whole.parts {
        let text = part.text();
        let (before, after) = text.split_at_checked(known.len().min(text.len()))?;
        known = known.strip_prefix(before)?;
        match part {
            _ if after.is_empty() => {}
            Part::Control { .. } => events.extend(parser.control(text)),
            Part::Text(_) => events.extend(parser.text(after)),
        }
    }
    events.extend(parser.finish());
    Some(gathered(events))
}

fn gathered(events: Vec<AnswerEvent>) -> Said {
    let (mut said, mut arguments) = (Said::default(), String::new());
    for event in events {
        match event {
            AnswerEvent::Reasoning(text) => said.reasoning += &text,
            AnswerEvent::Content(text) => said.content += &text,
            AnswerEvent::CallBegun { name, .. } => said.calls.push((name, Value::Null)),
            AnswerEvent::Arguments { piece, .. } => arguments += &piece,
            AnswerEvent::CallEnded { .. } => {
                said.calls.last_mut().unwrap().1 =
                    serde_json::from_str(&std::mem::take(&mut arguments)).unwrap();
            }
        }
    }
    said
}

fn source_of(name: &str) -> String {
    std::fs::read_to_string(fixture(&format!("published/{name}.jinja"))).unwrap()
}

fn render(template: &ChatTemplate, conversation: &Conversation, setting: &Setting) -> Result<String, String> {
    let mut variables = setting.variables.clone();
    variables.extend([("bos_token".into(), "<BOS>".into()), ("eos_token".into(), "<EOS>".into())]);
    let options = ChatOptions {
        add_generation_prompt: setting.begins,
        tools: conversation.tools.clone(),
        variables,
        now: SystemTime::UNIX_EPOCH + NOW,
    };
    let messages: Vec<Message> = conversation.messages.iter().map(message).collect();
    let rendered = template.render(&messages, &options).map_err(|error| error.to_string())?;
    let told_apart = rendered.parts.iter().all(|part| match part {
        Part::Control { .. } => true,
        Part::Text(text) => !text.is_empty(),
    });
    assert!(told_apart, "{:?}", rendered.parts);
    Ok(rendered.text())
}

/// Where two prompts part.
fn difference(name: &str, number: usize, expected: &str, found: &str) -> String {
    let alike = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.chars().skip(alike.saturating_sub(20)).take(80).collect::<String>();
    format!("{name} {number}: expected {:?}, found {:?}", rest(expected), rest(found))
}

/// A tokenizer that knows bytes and these control tokens.
fn steered_by(controls: &[String]) -> Tokenizer {
    let added = (1..).zip(controls).map(|(id, text)| json!({"id": id, "content": text, "special": true}));
    let file = json!({
        "added_tokens": added.collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
    });
    Tokenizer::from_json(&serde_json::to_vec(&file).unwrap()).unwrap()
}
