//! What each interface answers, over a socket: whole and streamed, and what it refuses.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use serde_json::{Value, json};
use support::{Served, Setup};

const STORY: &str = "Once upon a time, there was a little girl named Lily. One day,";

fn ask(more: &Value) -> Value {
    let mut ask = json!({ "model": "demo", "messages": [{ "role": "user", "content": "Tell me a story." }], "max_tokens": 12 });
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

#[test]
fn chat_completions_say_the_same_whole_and_streamed() {
    let served = Served::start(Setup::default());
    let whole =
        served.post("/v1/chat/completions", &ask(&json!({ "logprobs": true, "top_logprobs": 2 }))).json();
    let choice = &whole["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(!text.is_empty() && choice["finish_reason"] == "length", "{whole}");
    assert_eq!(whole["usage"]["completion_tokens"], 12);
    assert_eq!(choice["logprobs"]["content"].as_array().unwrap().len(), 12);
    assert_eq!(choice["logprobs"]["content"][0]["top_logprobs"].as_array().unwrap().len(), 2);

    let stream = ask(&json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let events = served.post("/v1/chat/completions", &stream).events();
    let said: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, text);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], 12);
    assert!(
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 8,
        "the prompt came a second time"
    );
}

#[test]
fn several_answers_and_stop_texts() {
    let served = Served::start(Setup::default());
    let warm = json!({ "prompt": STORY, "max_tokens": 20, "n": 3, "temperature": 1.0, "seed": 5 });
    let first = served.post("/v1/completions", &warm).json();
    let texts = |reply: &Value| -> Vec<String> {
        reply["choices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts(&first).len(), 3);
    assert_ne!(texts(&first)[0], texts(&first)[1]);
    assert_eq!(texts(&served.post("/v1/completions", &warm).json()), texts(&first), "the same seed");

    let plain = json!({ "prompt": STORY, "max_tokens": 40 });
    let text =
        served.post("/v1/completions", &plain).json()["choices"][0]["text"].as_str().unwrap().to_owned();
    let stop = text.split_whitespace().nth(6).unwrap();
    let stopped = json!({ "prompt": STORY, "max_tokens": 40, "stop": stop });
    let stopped = served.post("/v1/completions", &stopped).json();
    assert_eq!(stopped["choices"][0]["text"].as_str().unwrap(), &text[..text.find(stop).unwrap()]);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");

    let tokens = json!({ "prompt": [300, 301, 302], "max_tokens": 2, "logit_bias": { "400": 100 } });
    let biased = served.post("/v1/completions", &tokens).json();
    assert_eq!(biased["usage"]["prompt_tokens"], 3);
}

#[test]
fn messages_say_the_same_whole_and_streamed() {
    let served = Served::start(Setup::default());
    let whole = served
        .post("/v1/messages", &ask(&json!({ "system": [{ "type": "text", "text": "Be brief." }] })))
        .json();
    let text = whole["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        (whole["type"].as_str(), whole["stop_reason"].as_str()),
        (Some("message"), Some("max_tokens"))
    );
    let stream = ask(&json!({ "system": "Be brief.", "stream": true }));
    let events = served.post("/v1/messages", &stream).events();
    let said: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(said, text);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);

    let count = json!({ "model": "demo", "messages": [{ "role": "user", "content": "Tell me a story." }], "system": "Be brief." });
    let counted = served.post("/v1/messages/count_tokens", &count).json();
    let usage = &whole["usage"];
    let read = usage["input_tokens"].as_u64().unwrap() + usage["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!(counted["input_tokens"], read);
}

#[test]
fn responses_say_the_same_whole_and_streamed() {
    let served = Served::start(Setup::default());
    let ask = json!({ "model": "demo", "input": "Tell me a story.", "instructions": "Be brief.", "max_output_tokens": 12 });
    let whole = served.post("/v1/responses", &ask).json();
    let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!((whole["status"].as_str(), whole["store"].as_bool()), (Some("incomplete"), Some(false)));
    let mut stream = ask.clone();
    stream["stream"] = json!(true);
    let events = served.post("/v1/responses", &stream).events();
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..events.len() as u64));
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    assert_eq!(deltas.map(|event| event["delta"].as_str().unwrap()).collect::<String>(), text);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], text);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let served = Served::start(Setup::default());
    let cases = [
        ("/v1/chat/completions", json!({ "temprature": 1 }), 400, "temprature"),
        ("/v1/chat/completions", json!({ "temperature": 7 }), 400, "temperature"),
        ("/v1/chat/completions", json!({ "store": true }), 400, "store"),
        ("/v1/chat/completions", json!({ "n": 1000 }), 400, "n"),
        ("/v1/chat/completions", json!({ "model": "gpt-4o" }), 404, "model"),
        ("/v1/chat/completions", json!({ "top_logprobs": 3 }), 400, "top_logprobs"),
        ("/v1/chat/completions", json!({ "logit_bias": { "99999999": 1 } }), 400, "logit_bias"),
        ("/v1/chat/completions", json!({ "messages": [] }), 400, "messages"),
        (
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "judge", "content": "" }] }),
            400,
            "messages[0].role",
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }] }),
            400,
            "messages[0].content[0].type",
        ),
        ("/v1/messages", json!({ "container": "x" }), 400, "container"),
        (
            "/v1/messages",
            json!({ "tools": [{ "type": "web_search_20250305", "name": "w" }] }),
            400,
            "tools[0].type",
        ),
    ];
    for (path, more, status, field) in cases {
        let reply = served.post(path, &ask(&more));
        let error = &reply.json()["error"];
        assert_eq!(reply.status, status, "{more}: {}", reply.body);
        assert!(error["message"].as_str().unwrap().contains(field) || field == "model", "{more}: {error}");
        if path == "/v1/chat/completions" {
            assert_eq!(error["param"], field, "{more}: {error}");
        }
    }
    let embeddings = served.post("/v1/embeddings", &json!({ "input": "a" }));
    assert_eq!((embeddings.status, embeddings.json()["error"]["code"].as_str()), (501, Some("unsupported")));
    let long = json!({ "prompt": "word ".repeat(5000) });
    let long = served.post("/v1/completions", &long).json();
    assert_eq!(long["error"]["code"], "context_length_exceeded");
}

#[test]
fn the_document_lists_what_is_served() {
    let served = Served::start(Setup::default());
    let document = served.get("/openapi.json").json();
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/models",
        "/api/status",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let models = served.get("/v1/models").json();
    assert_eq!(models["data"][0]["id"], "demo");
    assert_eq!(served.get("/v1/models/demo").status, 200);
    assert_eq!(served.get("/v1/models/other").status, 404);
    assert!(served.get("/").body.contains("tidemill"));
    assert!(served.get("/metrics").body.contains("tidemill_generated_tokens_total"));
    assert!(served.get("/api/heat").json()["layers"].is_array());
}
