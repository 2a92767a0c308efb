//! Templates render what jinja2 renders when transformers sets it up.
#![allow(clippy::unwrap_used)]

mod support;

use serde::Deserialize;
use serde_json::{Map, Value};
use support::{fixture, message, read_json, tokenizer};
use text::{ChatOptions, ChatTemplate, Message, Part};

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    add_generation_prompt: bool,
    variables: Map<String, Value>,
    expected: String,
}

#[test]
fn conversations_look_as_jinja2_renders_them() {
    let tokenizer = tokenizer("qwen2");
    for (number, case) in read_json::<Vec<Case>>("templates/cases.json").into_iter().enumerate() {
        let source = std::fs::read_to_string(fixture(&format!("templates/{}.jinja", case.template))).unwrap();
        let template = ChatTemplate::new(&source, &tokenizer).unwrap();
        let mut variables = case.variables;
        // The fixture's tokenizer has no roles of its own.
        variables.insert("bos_token".into(), "[BOS]".into());
        variables.insert("eos_token".into(), "<|im_end|>".into());
        let options = ChatOptions {
            add_generation_prompt: case.add_generation_prompt,
            tools: case.tools.unwrap_or_default(),
            variables,
            ..ChatOptions::default()
        };
        let messages: Vec<Message> = case.messages.iter().map(message).collect();
        let rendered = template.render(&messages, &options).unwrap();
        assert_eq!(rendered.text(), case.expected, "{} {number}", case.template);
        let controls = rendered.parts.iter().filter(|part| matches!(part, Part::Control { .. })).count();
        assert!(controls >= messages.len());
    }
}

#[test]
fn no_tools_are_no_list() {
    let source = "<|im_start|>{% if tools is iterable and tools | length > 0 %}tools{% endif %}{{ messages is iterable }}";
    let template = ChatTemplate::new(source, &tokenizer("qwen2")).unwrap();
    let rendered = template.render(&[Message::user("a")], &ChatOptions::default()).unwrap();
    assert_eq!(rendered.text().to_lowercase(), "<|im_start|>true");
}
