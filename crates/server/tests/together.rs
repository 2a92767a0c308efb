//! Many clients at once: answers are those each would get alone; too many are told to come again; who goes away makes
//! room; and the server ends well.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use serde_json::{Value, json};
use server::Limits;
use support::{Served, Setup};

const PROMPTS: [&str; 4] = [
    "Once upon a time, there was a little girl named Lily. One day,",
    "Tom and his dog went to the park.",
    "The king looked at the old woman and said,",
    "There was a small boat on the big sea.",
];

fn ask(prompt: &str, max_tokens: usize) -> Value {
    json!({ "prompt": prompt, "max_tokens": max_tokens })
}

fn text(reply: &Value) -> String {
    reply["choices"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn answers_given_together_are_those_given_alone() {
    let alone: Vec<String> = {
        let served = Served::start(Setup::default());
        PROMPTS.iter().map(|prompt| text(&served.post("/v1/completions", &ask(prompt, 24)).json())).collect()
    };
    let served = Served::start(Setup::default());
    let together: Vec<String> = std::thread::scope(|scope| {
        let ask = |prompt| text(&served.post("/v1/completions", &ask(prompt, 24)).json());
        let threads: Vec<_> = PROMPTS.iter().map(|prompt| scope.spawn(move || ask(prompt))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
}

fn one_at_a_time(queue: usize) -> Setup {
    Setup { limits: Limits { parallel: 1, queue, ..Limits::default() }, context: 1024, ..Setup::default() }
}

fn endless() -> Value {
    json!({ "prompt": PROMPTS[0], "max_tokens": 900, "stream": true, "logit_bias": { "0": -100, "2": -100 } })
}

#[test]
fn too_many_are_told_to_come_again_and_who_goes_away_makes_room() {
    let served = Served::start(one_at_a_time(0));
    let mut first = served.open("/v1/completions", &endless());
    while !first.line().starts_with("data: ") {}
    let refused = served.post("/v1/completions", &ask(PROMPTS[1], 2));
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    drop(first);
    while !served.status()["answers"].as_array().unwrap().is_empty() {}
    let totals = &served.status()["totals"];
    assert_eq!(totals["cancelled"], 1, "{totals}");
    assert_eq!(served.post("/v1/completions", &ask(PROMPTS[1], 2)).status, 200);
}

#[test]
fn the_server_ends_when_what_it_said_is_complete() {
    let mut served = Served::start(one_at_a_time(4));
    let mut first =
        served.open("/v1/completions", &json!({ "prompt": PROMPTS[0], "max_tokens": 60, "stream": true }));
    while !first.line().starts_with("data: ") {}
    served.tell_to_end();
    let rest = first.rest();
    assert!(rest.body.contains("[DONE]") && rest.body.contains("finish_reason\":\"length"), "{}", rest.body);
    served.join();
}

#[test]
fn a_deadline_ends_an_answer() {
    let limits = Limits { deadline: Some(std::time::Duration::from_millis(1)), ..Limits::default() };
    let served = Served::start(Setup { limits, ..Setup::default() });
    let late = served.post("/v1/completions", &ask(PROMPTS[0], 600));
    assert_eq!(late.status, 504, "{}", late.body);
}
