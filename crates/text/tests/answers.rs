//! Answers in every syntax, however they are cut.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use text::{AnswerEvent, AnswerParser, AnswerSyntax, Calls, StopStrings};

fn tools() -> Vec<Value> {
    vec![json!({"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "units": {"type": "array", "items": {"type": "string"}},
        },
    }}})]
}

fn parser(name: &str, within_reasoning: bool) -> AnswerParser {
    AnswerParser::new(AnswerSyntax::named(name).unwrap(), within_reasoning, tools())
}

/// Events in one line: `R(reasoning)`, `C(content)`, `name#id` and arguments, `!` after what is not whole.
fn line(events: &[AnswerEvent]) -> String {
    let mut line = String::new();
    let mut before = None;
    for event in events {
        let kind = std::mem::discriminant(event);
        let goes_on = before == Some(kind);
        before = Some(kind);
        let mut open = |letter: &str, text: &str| {
            if goes_on {
                line.pop();
                line.push_str(&format!("{text})"));
            } else {
                line.push_str(&format!("{letter}({text})"));
            }
        };
        match event {
            AnswerEvent::Reasoning(text) => open("R", text),
            AnswerEvent::Content(text) => open("C", text),
            AnswerEvent::CallBegun { index, name, id } => {
                line.push_str(&format!("[{index} {name}"));
                line.extend(id.iter().map(|id| format!("#{id}")));
                line.push(' ');
            }
            AnswerEvent::Arguments { piece, .. } => line.push_str(piece),
            AnswerEvent::CallEnded { whole, .. } => line.push_str(if *whole { "]" } else { "!]" }),
        }
    }
    line
}

fn read(mut parser: AnswerParser, pieces: &[&str]) -> String {
    let mut events: Vec<AnswerEvent> = pieces.iter().flat_map(|piece| parser.text(piece)).collect();
    events.extend(parser.finish());
    line(&events)
}

const THOUGHTFUL: bool = true;
const DIRECT: bool = false;

/// Syntax, whether the prompt opened the reasoning, what the model says, and what it means.
const ANSWERS: &[(&str, bool, &str, &str)] = &[
    ("plain", DIRECT, "Hello <think> {} \n", "C(Hello <think> {} \n)"),
    ("reasoning", DIRECT, "<think>\nHm.\n</think>\n\nYes.\n", "R(Hm.)C(Yes.\n)"),
    ("reasoning", THOUGHTFUL, "Hm.\nSo\n</think>\n\nYes.", "R(Hm.\nSo)C(Yes.)"),
    ("reasoning", DIRECT, "Tags are like <think> this.", "C(Tags are like <think> this.)"),
    ("reasoning", THOUGHTFUL, "never done", "R(never done)"),
    ("reasoning", DIRECT, "<think>\n\n</think>\n\nYes", "C(Yes)"),
    (
        "hermes",
        THOUGHTFUL,
        "Look.</think>\n\nI look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"</tool_call> é\"}}\n</tool_call>\n\
         <tool_call>\n{\"arguments\": {\"days\": [1, {}]}, \"name\": \"weather\"}\n</tool_call>",
        "R(Look.)C(I look.)[0 weather {\"city\": \"</tool_call> é\"}][1 weather {\"days\": [1, {}]}]",
    ),
    ("hermes", DIRECT, "<tool_call>{\"name\": \"weather\"}</tool_call> Done", "[0 weather {}]C(Done)"),
    (
        "hermes",
        DIRECT,
        "<tool_call>{\"name\": \"weather\", \"arguments\": \"{\\\"days\\\": 2}\"}</tool_call>",
        "[0 weather {\"days\": 2}]",
    ),
    ("hermes", DIRECT, "a<tool_call>not JSON</tool_call>b", "C(a<tool_call>not JSON</tool_call>b)"),
    ("hermes", DIRECT, "<tool_call>{\"nam\": \"x\"} b", "C(<tool_call>{\"nam\": \"x\"} b)"),
    (
        "hermes",
        DIRECT,
        "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Ro",
        "[0 weather {\"city\": \"Ro!]",
    ),
    ("hermes", DIRECT, "<tool_call>{\"name\": \"weather\", \"arguments\": {]} b", "[0 weather {!]C(]} b)"),
    ("hermes", DIRECT, "<tool_call>{\"name\": \"weath", "C(<tool_call>{\"name\": \"weath)"),
    ("hermes", DIRECT, "x <tool_cal", "C(x <tool_cal)"),
    (
        "qwen3-coder",
        DIRECT,
        "I look.\n\n<tool_call>\n<function=weather>\n<parameter=city>\nNew \"York\"\nUSA\n</parameter>\n<parameter=days>\n3\n</parameter>\n\
         <parameter=units>\n[\"C\"]\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=weather>\n</function>\n</tool_call>",
        "C(I look.)[0 weather {\"city\": \"New \\\"York\\\"\\nUSA\", \"days\": 3, \"units\": [\"C\"]}][1 weather {}]",
    ),
    (
        "qwen3-coder",
        THOUGHTFUL,
        "a</think><tool_call>\n<function=other>\n<parameter=k>\ntrue\n</parameter>\n<parameter=m>\nsome <b> text\n</parameter>\n</function>\n</tool_call>",
        "R(a)[0 other {\"k\": true, \"m\": \"some <b> text\"}]",
    ),
    (
        "qwen3-coder",
        DIRECT,
        "<tool_call>\nno function</tool_call>",
        "C(<tool_call>\nno function</tool_call>)",
    ),
    (
        "kimi-k2",
        DIRECT,
        "Wait.<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{\"city\": \"Rome\"}<|tool_call_end|>\
         <|tool_call_begin|>functions.weather:1<|tool_call_argument_begin|> {} <|tool_call_end|><|tool_calls_section_end|>",
        "C(Wait.)[0 weather#functions.weather:0 {\"city\": \"Rome\"}][1 weather#functions.weather:1 {}]",
    ),
    (
        "kimi-k2",
        DIRECT,
        "<|tool_calls_section_begin|><|tool_call_begin|>a b<|tool_call_end|>x",
        "C(<|tool_calls_section_begin|><|tool_call_begin|>a b<|tool_call_end|>x)",
    ),
    (
        "kimi-k3",
        THOUGHTFUL,
        "Hm.<|close|>think<|sep|><|open|>response<|sep|>I <|look.<|close|>response<|sep|><|open|>tools<|sep|>\
         <|open|>call tool=\"weather\" index=\"1\"<|sep|><|open|>argument key=\"city\" type=\"string\"<|sep|>New \"York\"<|close|>argument<|sep|>\
         <|open|>argument key=\"days\" type=\"number\"<|sep|>3<|close|>argument<|sep|><|close|>call<|sep|>\
         <|open|>call tool=\"weather\" index=\"2\"<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>",
        "R(Hm.)C(I <|look.)[0 weather {\"city\": \"New \\\"York\\\"\", \"days\": 3}][1 weather {}]",
    ),
    ("kimi-k3", DIRECT, "<|open|>response<|sep|>Yes.<|close|>response<|sep|>", "C(Yes.)"),
    (
        "kimi-k3",
        DIRECT,
        "<|open|>tools<|sep|><|open|>call tool=\"weather\" index=\"1\"<|sep|><|open|>json type=\"object\"<|sep|>{\"days\": [2]} \
         <|close|>json<|sep|><|close|>call<|sep|><|open|>call tool=\"weather\" index=\"2\"<|sep|>\
         <|open|>argument key=\"a &amp;quot; &quot;b\" type=\"null\"<|sep|>null<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
        "[0 weather {\"days\": [2]}][1 weather {\"a &quot; \\\"b\": null}]",
    ),
    (
        "deepseek-v3",
        DIRECT,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"days\": 1}\n```<｜tool▁call▁end｜>\n\
         <｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "[0 weather {\"days\": 1}][1 weather {}]",
    ),
    (
        "deepseek-v3.1",
        THOUGHTFUL,
        "Hm</think>Sure.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"days\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "R(Hm)C(Sure.)[0 weather {\"days\": 1}]",
    ),
    (
        "deepseek-v3.2",
        DIRECT,
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">5\n</｜DSML｜parameter>\n\
         <｜DSML｜parameter name=\"days\" string=\"false\">5</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "[0 weather {\"city\": \"5\\n\", \"days\": 5}]",
    ),
    (
        "deepseek-v4",
        DIRECT,
        "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"weather\">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        "[0 weather {}]",
    ),
    (
        "glm",
        DIRECT,
        "<think>Hm</think>\nI look.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n\
         <tool_call>weather<arg_key>city</arg_key><arg_value>7</arg_value></tool_call><tool_call>weather</tool_call>",
        "R(Hm)C(I look.)[0 weather {\"city\": \"Rome\", \"days\": 2}][1 weather {\"city\": \"7\"}][2 weather {}]",
    ),
    (
        "minimax-m2",
        THOUGHTFUL,
        "Hm\n</think>\n\n<minimax:tool_call>\n<invoke name=\"weather\">\n<parameter name=\"city\">a > b</parameter>\n<parameter name=\"days\">3</parameter>\n</invoke>\n\
         <invoke name=\"weather\">\n</invoke>\n</minimax:tool_call>",
        "R(Hm)[0 weather {\"city\": \"a > b\", \"days\": 3}][1 weather {}]",
    ),
    (
        "harmony",
        DIRECT,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"days\": 1}<|call|>",
        "R(Hm.)C(I look.)[0 weather {\"days\": 1}]",
    ),
    (
        "harmony",
        DIRECT,
        " to=functions.weather<|channel|>commentary json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>Yes <b>",
        "[0 weather {}]C(Yes <b>)",
    ),
    ("harmony", DIRECT, "<|channel|>final<|message|>{\"a\": 1}<|return|>", "C({\"a\": 1})"),
    (
        "llama3",
        DIRECT,
        "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}; {\"name\": \"weather\", \"parameters\": {}}",
        "[0 weather {\"city\": \"Rome\"}][1 weather {}]",
    ),
    ("llama3", DIRECT, "<|python_tag|>{\"name\": \"weather\", \"parameters\": {}}", "[0 weather {}]"),
    ("llama3", DIRECT, "{\"answer\": 42} is it", "C({\"answer\": 42} is it)"),
    ("llama3", DIRECT, " \n{\"answer\": 42} is it", "C( \n{\"answer\": 42} is it)"),
    ("llama3", DIRECT, "So: {\"name\": \"weather\"}", "C(So: {\"name\": \"weather\"})"),
    (
        "mistral",
        DIRECT,
        "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"days\": 1}, \"id\": \"abc\"}, {\"id\": \"d\", \"name\": \"weather\", \"arguments\": {}}]",
        "[0 weather {\"days\": 1}][1 weather#d {}]",
    ),
    (
        "mistral-args",
        DIRECT,
        "[THINK]Hm[/THINK]Ok.[TOOL_CALLS]weather[ARGS]{\"days\": 1}[TOOL_CALLS]weather[ARGS]{}",
        "R(Hm)C(Ok.)[0 weather {\"days\": 1}][1 weather {}]",
    ),
];

#[test]
fn every_syntax_is_read_the_same_wherever_it_is_cut() {
    for (syntax, thoughtful, answer, expected) in ANSWERS {
        assert_eq!(read(parser(syntax, *thoughtful), &[answer]), *expected, "{syntax}: {answer}");
        let letters: Vec<&str> = answer.split_inclusive(|_| true).collect();
        assert_eq!(read(parser(syntax, *thoughtful), &letters), *expected, "{syntax}, by letters: {answer}");
        for (cut, _) in answer.char_indices() {
            let pieces = [&answer[..cut], &answer[cut..]];
            assert_eq!(read(parser(syntax, *thoughtful), &pieces), *expected, "{syntax}, cut at {cut}");
        }
    }
    let tested = |syntax: &AnswerSyntax| ANSWERS.iter().any(|(name, ..)| *name == syntax.name);
    assert_eq!(AnswerSyntax::all().find(|syntax| !tested(syntax)), None, "every syntax has an answer here");
}

#[test]
fn without_tools_nothing_is_a_call() {
    let said = "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>";
    let hermes = AnswerSyntax::named("hermes").unwrap();
    assert_eq!(read(AnswerParser::new(hermes, false, Vec::new()), &[said]), format!("C({said})"));
}

#[test]
fn arguments_come_while_they_are_written() {
    let mut parser = parser("qwen3-coder", false);
    parser.text("<tool_call>\n<function=weather>\n<parameter=city>\nNew Yo");
    let events = parser.text("rk, the city");
    assert_eq!(events, [AnswerEvent::Arguments { index: 0, piece: "rk, the city".into() }]);
    let mut parser = self::parser("hermes", false);
    let events = parser.text("<tool_call>{\"name\": \"weather\", \"arguments\": {\"ci");
    assert_eq!(line(&events), "[0 weather {\"ci");
}

/// Texts made of marks, pieces of marks, JSON and words of one syntax.
fn scraps(syntax: &'static AnswerSyntax) -> impl Strategy<Value = Vec<String>> {
    let mut words: Vec<String> = ANSWERS
        .iter()
        .filter(|(name, ..)| *name == syntax.name)
        .flat_map(|(_, _, answer, _)| answer.split_inclusive(['>', '<', '}', '{', ' ', '\n', '|', ']', '"']))
        .map(str::to_owned)
        .collect();
    words.extend(["<think>", "</think>", " ", "\n", "é", "{}", "word"].map(str::to_owned));
    proptest::collection::vec(proptest::sample::select(words), 0..24)
}

fn letters(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a model says: the same events however it is cut, whole arguments are JSON, and where no call was found
    /// and no mark understood nothing is missing.
    #[test]
    fn any_text_is_read_the_same_however_it_is_cut(
        (syntax, pieces, thoughtful) in proptest::sample::select(AnswerSyntax::all().collect::<Vec<_>>())
            .prop_flat_map(|syntax| (Just(syntax), scraps(syntax), any::<bool>()))
    ) {
        let all = pieces.concat();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let whole = read(parser(syntax.name, thoughtful), &[&all]);
        prop_assert_eq!(&read(parser(syntax.name, thoughtful), &pieces), &whole);

        let mut parser = parser(syntax.name, thoughtful);
        let mut events = parser.text(&all);
        events.extend(parser.finish());
        let (mut arguments, mut said, mut calls) = (String::new(), String::new(), 0);
        for event in events {
            match event {
                AnswerEvent::CallBegun { index, .. } => {
                    prop_assert_eq!(index, calls);
                    calls += 1;
                    arguments.clear();
                }
                AnswerEvent::Arguments { piece, .. } => arguments += &piece,
                AnswerEvent::CallEnded { whole, .. } => {
                    let json = serde_json::from_str::<Value>(&arguments);
                    prop_assert_eq!(whole, json.is_ok_and(|json| json.is_object()), "{}", arguments);
                }
                AnswerEvent::Content(text) | AnswerEvent::Reasoning(text) => said += &text,
            }
        }
        if calls == 0 && syntax.calls != Calls::Channels {
            let (said, all) = (letters(&said), letters(&all));
            let mut rest = all.chars();
            prop_assert!(said.chars().all(|letter| rest.any(|other| other == letter)), "{} of {}", said, all);
            let marks = syntax.reasoning.map_or([0, 0], |marks| [marks.open.len(), marks.close.len()]);
            let lost = all.len() - said.len();
            prop_assert!([0, marks[0], marks[1], marks[0] + marks[1]].contains(&lost), "{} of {}", said, all);
        }
    }

    #[test]
    fn stop_strings_cut_text_where_the_first_of_them_begins(text in "[ab]{0,12}", cut in 0usize..12, stop in "[ab]{1,4}") {
        let cut = cut.min(text.len());
        let mut filter = StopStrings::new(vec![stop.clone()]);
        let mut shown = filter.push(&text[..cut]) + &filter.push(&text[cut..]);
        shown += &filter.finish();
        let expected = text.split_once(&stop).map_or(text.as_str(), |(before, _)| before);
        prop_assert_eq!(shown, expected);
        prop_assert_eq!(filter.found().is_some(), text.contains(&stop));
    }
}
