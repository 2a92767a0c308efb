//! Templates as models are published with them render what transformers renders.
//!
//! Made by `oracle/published_templates.py` from the templates that llama.cpp keeps beside its sources. They are under Apache-2.0
//! or MIT, as the models are; Llama's is not, and is not here.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use support::{fixture, message, read_json};
use text::{ChatOptions, ChatTemplate, Message, Part, Tokenizer};

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
        let source = std::fs::read_to_string(fixture(&format!("published/{}.jinja", template.name))).unwrap();
        let bound = ChatTemplate::new(&source, &steered_by(&template.controls)).unwrap();
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
