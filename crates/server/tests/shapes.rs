//! Answers that are held to a shape: schemas and calls of tools, at any temperature.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use serde_json::{Value, json};
use support::{Served, Setup};

fn weather(strict: bool) -> Value {
    json!({ "type": "function", "function": { "name": "get_weather", "strict": strict, "parameters": {
        "type": "object", "properties": { "city": { "enum": ["Paris", "Rome"] } }, "required": ["city"],
        "additionalProperties": false } } })
}

fn ask(more: &Value) -> Value {
    let mut ask = json!({ "messages": [{ "role": "user", "content": "Hello." }], "max_tokens": 120, "temperature": 1.0 });
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

#[test]
fn answers_satisfy_their_schema_and_calls_theirs() {
    let served = Served::start(Setup::default());
    let schema = json!({ "type": "object", "properties": { "age": { "type": "integer", "minimum": 0, "maximum": 99 } },
        "required": ["age"], "additionalProperties": false });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": schema } });
    for seed in 0..4 {
        let reply = served
            .post("/v1/chat/completions", &ask(&json!({ "seed": seed, "response_format": format })))
            .json();
        let text = reply["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{reply}"));
        let age = serde_json::from_str::<Value>(text).unwrap()["age"].as_u64().unwrap();
        assert!(age <= 99, "{text}");

        let forced = json!({ "seed": seed, "tools": [weather(false)], "tool_choice": "required", "parallel_tool_calls": false });
        let reply = served.post("/v1/chat/completions", &ask(&forced)).json();
        let choice = &reply["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{reply}");
        let arguments = choice["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        assert!(
            ["Paris", "Rome"]
                .contains(&serde_json::from_str::<Value>(arguments).unwrap()["city"].as_str().unwrap())
        );
    }
}

#[test]
fn a_model_is_free_to_call_strict_tools_or_not() {
    let served = Served::start(Setup::default());
    let free =
        served.post("/v1/chat/completions", &ask(&json!({ "tools": [weather(true)], "max_tokens": 8 })));
    assert_eq!(free.status, 200, "{}", free.body);
    let both = json!({ "tools": [weather(true)], "response_format": { "type": "json_object" } });
    let both = served.post("/v1/chat/completions", &ask(&both));
    assert_eq!((both.status, both.json()["error"]["param"].as_str()), (400, Some("response_format")));
    let unknown = json!({ "tools": [weather(true)], "tool_choice": { "type": "function", "function": { "name": "g" } } });
    assert_eq!(served.post("/v1/chat/completions", &ask(&unknown)).status, 400);
    let broken = json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "a", "schema": { "type": 7 } } } });
    assert_eq!(served.post("/v1/chat/completions", &ask(&broken)).status, 400);
}
