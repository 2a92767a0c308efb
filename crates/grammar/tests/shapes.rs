//! What a shape lets through, what it refuses, and what it costs to ask for a hostile one.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use grammar::{Grammars, ToolChoice};
use serde_json::{Value, json};
use text::{AnswerSyntax, Calls, Tokenizer};
use tidemill::{Constraint, Engine, Opened, Options, Request, Sampling, TokenId, demo};

fn demo_path() -> PathBuf {
    demo::unpack(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo-grammar")).unwrap()
}

fn grammars() -> Grammars {
    Grammars::new(Arc::new(Opened::read(&demo_path()).unwrap().tokenizer().unwrap())).unwrap()
}

/// A tokenizer that has Kimi's control tokens, and one token for each byte.
fn kimi() -> Arc<Tokenizer> {
    use std::fmt::Write;
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = String::new();
    for byte in 0..=255u8 {
        // Base64 of one byte.
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (high, low) = (letters[usize::from(byte >> 2)], letters[usize::from((byte & 3) << 4)]);
        writeln!(ranks, "{}{}== {byte}", char::from(high), char::from(low)).unwrap();
    }
    let marks = [
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<think>",
        "</think>",
        "<|im_end|>",
        "<|open|>",
        "<|close|>",
        "<|sep|>",
    ];
    let added =
        marks.iter().enumerate().map(|(at, mark)| (format!("{}", 256 + at), json!({"content": mark})));
    let settings = json!({"added_tokens_decoder": added.collect::<serde_json::Map<_, _>>()});
    std::fs::write(folder.path().join("tiktoken.model"), ranks).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let files = [("config.json", "{}")];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Arc::new(Tokenizer::from_folder(folder.path()).unwrap())
}

/// Follows `answer` token by token; where it was refused, if it was, and whether it may end there.
fn follow(constraint: &mut dyn Constraint, tokenizer: &Tokenizer, answer: &str) -> (Option<usize>, bool) {
    for (place, token) in tokenizer.encode_trusted(answer).unwrap().into_iter().enumerate() {
        let mut logits = vec![0.0f32; tokenizer.vocab_size() + 7];
        constraint.mask(&mut logits).unwrap();
        assert!(logits[tokenizer.vocab_size()..].iter().all(|logit| *logit == f32::NEG_INFINITY));
        if logits[token as usize] == f32::NEG_INFINITY {
            return (Some(place), constraint.may_stop());
        }
        constraint.advance(token).unwrap();
    }
    (None, constraint.may_stop())
}

fn accepts(constraint: &dyn Constraint, tokenizer: &Tokenizer, answer: &str) -> bool {
    let mut constraint = constraint.fork();
    follow(constraint.as_mut(), tokenizer, answer) == (None, true)
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "likes": {"type": "array", "items": {"enum": ["cats", "dogs"]}, "maxItems": 2},
        },
        "required": ["name", "age"],
        "additionalProperties": false,
    })
}

#[test]
fn only_what_the_schema_describes_is_let_through() {
    let grammars = grammars();
    let constraint = grammars.json_schema(&person()).unwrap();
    for (answer, fits) in [
        (r#"{"name": "Lily", "age": 7}"#, true),
        (r#"{"name": "Ünal", "age": 120, "likes": ["cats", "dogs"]}"#, true),
        (r#"{"name": "Lily"}"#, false),
        (r#"{"name": "Lily", "age": 121}"#, false),
        (r#"{"name": "Lily", "age": 7, "likes": ["birds"]}"#, false),
        (r#"{"name": "a name that is long", "age": 7}"#, false),
        (r#"{"name": "Lily", "age": 7} and more"#, false),
        ("Once upon a time", false),
    ] {
        assert_eq!(accepts(constraint.as_ref(), grammars.tokenizer(), answer), fits, "{answer}");
    }
    let regex = grammars.regex("(yes|no)[.!]?").unwrap();
    for (answer, fits) in [("yes", true), ("no!", true), ("maybe", false), ("yes!!", false)] {
        assert_eq!(accepts(regex.as_ref(), grammars.tokenizer(), answer), fits, "{answer}");
    }
    let object = grammars.json_object().unwrap();
    assert!(accepts(object.as_ref(), grammars.tokenizer(), r#"{"a": [1, {"b": null}]}"#));
    assert!(!accepts(object.as_ref(), grammars.tokenizer(), "[1]"));
}

fn tools() -> Vec<Value> {
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let weather = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    });
    vec![tool("weather", weather), tool("stop", json!({"type": "object", "properties": {}}))]
}

/// Calls of `weather` in every syntax that has calls, and then a call of another tool that there is not.
const CALLS: &[(&str, &str)] = &[
    (
        "hermes",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 2}}\n</tool_call>",
    ),
    (
        "qwen3-coder",
        "<tool_call>\n<function=weather>\n<parameter=city>\nRome <b>\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
    ),
    (
        "kimi-k2",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{\"city\": \"Rome\"}<|tool_call_end|><|tool_calls_section_end|>",
    ),
    (
        "kimi-k3",
        "<|open|>tools<|sep|><|open|>call tool=\"weather\" index=\"1\"<|sep|><|open|>argument key=\"city\" type=\"string\"<|sep|>Rome<|close|>argument<|sep|><|open|>argument key=\"days\" type=\"number\"<|sep|>2<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
    ),
    (
        "deepseek-v3",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Rome\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "deepseek-v3.1",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Rome\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "deepseek-v3.2",
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Rome</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    ),
    (
        "deepseek-v4",
        "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Rome</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
    ),
    (
        "glm",
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
    ),
    (
        "minimax-m2",
        "<minimax:tool_call>\n<invoke name=\"weather\">\n<parameter name=\"city\">Rome</parameter>\n<parameter name=\"days\">2</parameter>\n</invoke>\n</minimax:tool_call>",
    ),
    (
        "harmony",
        "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Rome\"}",
    ),
    ("llama3", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}"),
    ("mistral", "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}]"),
    ("mistral-args", "[TOOL_CALLS]weather[ARGS]{\"city\": \"Rome\"}"),
];

#[test]
fn a_required_tool_is_called_in_the_models_own_syntax() {
    let grammars = grammars();
    let tokenizer = grammars.tokenizer();
    for syntax in AnswerSyntax::all().filter(|syntax| syntax.calls != Calls::None) {
        let name = syntax.name;
        let call = CALLS.iter().find(|(name, _)| *name == syntax.name).unwrap().1;
        let make = |choice| grammars.tools(syntax, &tools(), choice, true, false).unwrap();
        let any = make(ToolChoice::Required);
        let mut followed = any.fork();
        let (refused, _) = follow(followed.as_mut(), tokenizer, call);
        let refused = refused.map(|at| tokenizer.decode(&tokenizer.encode_trusted(call).unwrap()[at..]));
        assert_eq!(refused, None, "{name}");
        assert!(followed.may_stop(), "{name}");
        assert!(!accepts(any.as_ref(), tokenizer, &call.replace("weather", "wetter")), "{name}");
        assert!(!accepts(any.as_ref(), tokenizer, &format!("I look. {call}")), "{name}");
        assert!(accepts(make(ToolChoice::Named("weather")).as_ref(), tokenizer, call), "{name}");
        assert!(!accepts(make(ToolChoice::Named("stop")).as_ref(), tokenizer, call), "{name}");
    }
    let error = grammars.tools(
        &AnswerSyntax::named("hermes").unwrap(),
        &tools(),
        ToolChoice::Named("sing"),
        true,
        false,
    );
    assert!(error.err().unwrap().to_string().contains("`sing`"));
}

#[test]
fn control_tokens_are_written_as_such_and_never_spelled_out() {
    let tokenizer = kimi();
    let grammars = Grammars::new(tokenizer.clone()).unwrap();
    let syntax = AnswerSyntax::named("kimi-k2").unwrap();
    let call = CALLS.iter().find(|(name, _)| *name == "kimi-k2").unwrap().1;
    let thought = format!("so < it >\n is </think>{call}");
    let make = |within| grammars.tools(&syntax, &tools(), ToolChoice::Required, false, within).unwrap();
    assert!(accepts(make(true).as_ref(), &tokenizer, &thought));
    assert!(accepts(make(false).as_ref(), &tokenizer, &format!("<think>{thought}")));
    assert!(accepts(make(false).as_ref(), &tokenizer, call));
    assert!(!accepts(make(true).as_ref(), &tokenizer, call), "the reasoning has to end first");
    assert!(!accepts(make(false).as_ref(), &tokenizer, &format!("{call}{call}")), "one call only");

    let mut spelled = make(false);
    let mut logits = vec![0.0; tokenizer.vocab_size()];
    spelled.mask(&mut logits).unwrap();
    assert_eq!(logits[usize::from(b'<')], f32::NEG_INFINITY);

    let answer = grammars.json_answer(&syntax, &person(), true).unwrap();
    assert!(accepts(answer.as_ref(), &tokenizer, "hm</think>\n\n{\"name\": \"Lily\", \"age\": 7}"));
}

#[test]
fn marks_of_several_control_tokens_end_what_they_end() {
    let tokenizer = kimi();
    let grammars = Grammars::new(tokenizer.clone()).unwrap();
    let syntax = AnswerSyntax::named("kimi-k3").unwrap();
    let call = CALLS.iter().find(|(name, _)| *name == "kimi-k3").unwrap().1;
    let make = |within| grammars.tools(&syntax, &tools(), ToolChoice::Required, false, within).unwrap();
    let (response, end) = ("<|open|>response<|sep|><|close|>response<|sep|>", "<|close|>message<|sep|>");
    for between in ["", response] {
        let thought = format!("so <|\n<|close|>think<|sep|>{between}{call}{end}");
        assert!(accepts(make(true).as_ref(), &tokenizer, &thought), "{between}");
        assert!(accepts(make(false).as_ref(), &tokenizer, &format!("<|open|>think<|sep|>{thought}")));
    }
    assert!(accepts(make(false).as_ref(), &tokenizer, &format!("<|close|>response<|sep|>{call}")));
    assert!(!accepts(make(true).as_ref(), &tokenizer, call), "the reasoning has to end first");
    let said = "<|open|>response<|sep|>I look.<|close|>response<|sep|>";
    assert!(!accepts(make(false).as_ref(), &tokenizer, &format!("{said}{call}")), "a call and nothing else");

    let answer = grammars.json_answer(&syntax, &person(), true).unwrap();
    let person = "{\"name\": \"Lily\", \"age\": 7}";
    let spoken =
        format!("hm<|close|>think<|sep|><|open|>response<|sep|>{person}<|close|>response<|sep|>{end}");
    assert!(accepts(answer.as_ref(), &tokenizer, &spoken));
    assert!(accepts(answer.as_ref(), &tokenizer, &format!("<|close|>think<|sep|>{person}")));
}

#[test]
fn hostile_shapes_end_with_an_error_or_within_their_limits() {
    let grammars = grammars();
    let nested =
        |depth: usize| (0..depth).fold(json!({"type": "string"}), |inner, _| json!({"items": inner}));
    let wide: Vec<String> = (0..60_000).map(|at| at.to_string()).collect();
    let dividing: serde_json::Map<String, Value> = (0..200)
        .map(|at| (format!("p{at}"), json!({"type": "number", "multipleOf": 99.7 + f64::from(at)})))
        .collect();
    let dividing = json!({"type": "object", "properties": dividing, "additionalProperties": false});
    let refused = [
        grammars.json_schema(&nested(100)),
        grammars.json_schema(&json!({"enum": wide})),
        grammars.json_schema(&json!({"type": "string", "pattern": "(".repeat(300)})),
        grammars.json_schema(&json!({"type": "string", "pattern": "("})),
        grammars.json_schema(&json!({"$ref": "http://example.com/schema.json"})),
        grammars.json_schema(&json!({"type": "nonsense"})),
        grammars.json_schema(&json!({"type": "string", "format": "unheard-of"})),
        grammars.json_schema(&json!(false)),
        grammars.json_schema(&json!({"type": "array", "items": dividing})),
        grammars.regex(&"a".repeat(200 << 10)),
        grammars.regex("[a"),
        grammars.lark("start: nothing"),
        grammars.lark(&format!("start: {}", "(".repeat(5000))),
        grammars.lark(""),
    ];
    for (case, refused) in refused.into_iter().enumerate() {
        let error = refused.err().unwrap_or_else(|| panic!("case {case} was accepted"));
        assert_eq!(error.kind(), base::Kind::Input, "case {case}");
        assert!(!error.to_string().contains('\n') && error.to_string().len() < 600, "case {case}: {error}");
    }

    // What refers to itself, or allows a great deal, is answered for step by step.
    let endless = [
        json!({"$defs": {"tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}}}, "$ref": "#/$defs/tree"}),
        json!({"type": "array", "items": {}, "maxItems": 100_000}),
        json!({"type": "string", "minLength": 3, "maxLength": 100_000}),
        json!(true),
    ];
    for schema in endless {
        endless_steps(&grammars, grammars.json_schema(&schema));
    }
    for expression in ["(((a{1,900}){1,900}){1,900}){1,900}", "(a|aa)*(b|bb)*(a|b|ab)*{0,500}", "(.*a){60}b"]
    {
        endless_steps(&grammars, grammars.regex(expression));
    }
}

/// Follows whatever is allowed first for a while, unless the limits end it.
fn endless_steps(grammars: &Grammars, constraint: base::Result<Box<dyn Constraint>>) {
    let Ok(mut constraint) = constraint else { return };
    let mut logits = vec![0.0; grammars.tokenizer().vocab_size()];
    for _ in 0..20 {
        logits.fill(0.0);
        if constraint.mask(&mut logits).is_err() {
            return;
        }
        let Some(token) = logits.iter().position(|logit| *logit == 0.0) else { return };
        if constraint.advance(token as TokenId).is_err() {
            return;
        }
    }
}

#[test]
fn the_demo_model_writes_json_when_it_has_to() {
    let grammars = grammars();
    let mut engine =
        Engine::open(&demo_path(), &Options { threads: Some(2), context: Some(1024), ..Options::default() })
            .unwrap();
    let prompt = grammars.tokenizer().encode_prompt("Once upon a time, there was").unwrap();
    let mut finished = 0;
    for seed in 0..6 {
        let sampling = Sampling { temperature: 1.0, seed, ..Sampling::default() };
        let constraint = Some(grammars.json_schema(&person()).unwrap());
        let stop = grammars.tokenizer().stop_tokens().clone();
        let request = Request {
            tokens: prompt.clone(),
            max_tokens: 80,
            sampling,
            stop,
            constraint,
            ..Request::default()
        };
        let mut said = Vec::new();
        let (_, finish) = engine
            .generate(request, &mut |token| {
                said.push(token);
                ControlFlow::Continue(())
            })
            .unwrap();
        if finish == tidemill::Finish::Stop {
            let text = grammars.tokenizer().decode(&said);
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(value["name"].is_string() && value["age"].as_u64().unwrap() <= 120, "{text}");
            finished += 1;
        }
    }
    assert!(finished >= 3, "{finished} of 6 answers were finished");
}
