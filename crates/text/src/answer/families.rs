//! The syntaxes there are, and which template uses which.

use super::syntax::{AnswerSyntax, Arguments, Around, Calls, Frame, Number, Parameters, Reasoning, Written};
use crate::chat::ChatTemplate;

const THINK: Option<Reasoning> = Some(Reasoning { open: "<think>", close: "</think>" });

/// Qwen3 and all who follow Hermes.
const HERMES: AnswerSyntax = AnswerSyntax {
    name: "hermes",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame { open: "<tool_call>", close: "</tool_call>", ..Frame::OBJECT }),
};

/// Qwen3-Coder, Qwen3-Next and Qwen3.5.
const QWEN3_CODER: AnswerSyntax = AnswerSyntax {
    name: "qwen3-coder",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: Some(("<tool_call>", "</tool_call>")),
        open: "<function=",
        close: "</function>",
        name_end: ">",
        arguments: Arguments::Parameters(&Parameters {
            open: "<parameter=",
            name_ends: &[(">", Written::BySchema)],
            close: "</parameter>",
            on_lines: true,
            ..Parameters::BARE
        }),
        ..Frame::OBJECT
    }),
};

const KIMI_K2: AnswerSyntax = AnswerSyntax {
    name: "kimi-k2",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: Some(("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")),
        open: "<|tool_call_begin|>",
        close: "<|tool_call_end|>",
        name_end: "<|tool_call_argument_begin|>",
        number: Some(Number { before: "functions.", between: ":", is_id: true }),
        arguments: Arguments::Json,
        ..Frame::OBJECT
    }),
};

/// Kimi K3: everything is an element, whose tags are control tokens around its name.
const KIMI_K3: AnswerSyntax = AnswerSyntax {
    name: "kimi-k3",
    reasoning: Some(Reasoning { open: "<|open|>think<|sep|>", close: "<|close|>think<|sep|>" }),
    around: Some(Around {
        open: "<|open|>response<|sep|>",
        close: "<|close|>response<|sep|>",
        end: "<|close|>message<|sep|>",
    }),
    calls: Calls::Framed(Frame {
        section: Some(("<|open|>tools<|sep|>", "<|close|>tools<|sep|>")),
        open: "<|open|>call tool=\"",
        close: "<|close|>call<|sep|>",
        name_end: "\"<|sep|>",
        number: Some(Number { before: "", between: "\" index=\"", is_id: false }),
        arguments: Arguments::Parameters(&Parameters {
            open: "<|open|>argument key=\"",
            name_ends: &[
                ("\" type=\"string\"<|sep|>", Written::Text),
                ("\" type=\"number\"<|sep|>", Written::Json),
                ("\" type=\"boolean\"<|sep|>", Written::Json),
                ("\" type=\"null\"<|sep|>", Written::Json),
                ("\" type=\"object\"<|sep|>", Written::Json),
                ("\" type=\"array\"<|sep|>", Written::Json),
            ],
            close: "<|close|>argument<|sep|>",
            entities: true,
            whole: Some(("<|open|>json type=\"object\"<|sep|>", "<|close|>json<|sep|>")),
            ..Parameters::BARE
        }),
        ..Frame::OBJECT
    }),
};

const DEEPSEEK_SECTION: Option<(&str, &str)> = Some(("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"));

/// DeepSeek-V3 and R1: the arguments lie in a fence of Markdown.
const DEEPSEEK_V3: AnswerSyntax = AnswerSyntax {
    name: "deepseek-v3",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: DEEPSEEK_SECTION,
        open: "<｜tool▁call▁begin｜>",
        close: "<｜tool▁call▁end｜>",
        kind: Some(("function", "<｜tool▁sep｜>")),
        name_end: "\n```json\n",
        arguments: Arguments::Json,
        arguments_end: "\n```",
        ..Frame::OBJECT
    }),
};

const DEEPSEEK_V31: AnswerSyntax = AnswerSyntax {
    name: "deepseek-v3.1",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: DEEPSEEK_SECTION,
        open: "<｜tool▁call▁begin｜>",
        close: "<｜tool▁call▁end｜>",
        name_end: "<｜tool▁sep｜>",
        arguments: Arguments::Json,
        ..Frame::OBJECT
    }),
};

const DSML_CALL: Frame = Frame {
    section: Some(("<｜DSML｜function_calls>", "</｜DSML｜function_calls>")),
    open: "<｜DSML｜invoke name=\"",
    close: "</｜DSML｜invoke>",
    name_end: "\">",
    arguments: Arguments::Parameters(&Parameters {
        open: "<｜DSML｜parameter name=\"",
        name_ends: &[("\" string=\"true\">", Written::Text), ("\" string=\"false\">", Written::Json)],
        close: "</｜DSML｜parameter>",
        ..Parameters::BARE
    }),
    ..Frame::OBJECT
};

const DEEPSEEK_V32: AnswerSyntax =
    AnswerSyntax { name: "deepseek-v3.2", reasoning: THINK, around: None, calls: Calls::Framed(DSML_CALL) };

const DEEPSEEK_V4: AnswerSyntax = AnswerSyntax {
    name: "deepseek-v4",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: Some(("<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>")),
        ..DSML_CALL
    }),
};

/// GLM-4.5 and later; white space between the marks differs among them and means nothing.
const GLM: AnswerSyntax = AnswerSyntax {
    name: "glm",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        open: "<tool_call>",
        close: "</tool_call>",
        arguments: Arguments::Parameters(&Parameters {
            open: "<arg_key>",
            name_ends: &[("</arg_key>", Written::BySchema)],
            value_open: "<arg_value>",
            close: "</arg_value>",
            ..Parameters::BARE
        }),
        ..Frame::OBJECT
    }),
};

const MINIMAX_M2: AnswerSyntax = AnswerSyntax {
    name: "minimax-m2",
    reasoning: THINK,
    around: None,
    calls: Calls::Framed(Frame {
        section: Some(("<minimax:tool_call>", "</minimax:tool_call>")),
        open: "<invoke name=\"",
        close: "</invoke>",
        name_end: "\">",
        arguments: Arguments::Parameters(&Parameters {
            open: "<parameter name=\"",
            name_ends: &[("\">", Written::BySchema)],
            close: "</parameter>",
            ..Parameters::BARE
        }),
        ..Frame::OBJECT
    }),
};

/// gpt-oss.
const HARMONY: AnswerSyntax =
    AnswerSyntax { name: "harmony", reasoning: None, around: None, calls: Calls::Channels };

const LLAMA3: AnswerSyntax = AnswerSyntax {
    name: "llama3",
    reasoning: None,
    around: None,
    calls: Calls::Objects { mark: "<|python_tag|>", bare: true },
};

const BRACKET_THINK: Option<Reasoning> = Some(Reasoning { open: "[THINK]", close: "[/THINK]" });

/// Mistral's first: a list of objects.
const MISTRAL: AnswerSyntax = AnswerSyntax {
    name: "mistral",
    reasoning: BRACKET_THINK,
    around: None,
    calls: Calls::Objects { mark: "[TOOL_CALLS]", bare: false },
};

/// Mistral's later one: name and arguments between marks.
const MISTRAL_ARGS: AnswerSyntax = AnswerSyntax {
    name: "mistral-args",
    reasoning: BRACKET_THINK,
    around: None,
    calls: Calls::Framed(Frame {
        open: "[TOOL_CALLS]",
        name_end: "[ARGS]",
        arguments: Arguments::Json,
        ..Frame::OBJECT
    }),
};

/// Reasoning between tags, and no tools.
const REASONING_ONLY: AnswerSyntax =
    AnswerSyntax { name: "reasoning", reasoning: THINK, around: None, calls: Calls::None };

/// All of them with what a template or a vocabulary must hold for each, the first that fits first.
const DETECTED: &[(&[&str], AnswerSyntax)] = &[
    (&["<|channel|>", "<|message|>"], HARMONY),
    (&["<|tool_calls_section_begin|>"], KIMI_K2),
    (&["<|open|>", "<|close|>", "<|sep|>"], KIMI_K3),
    (&["｜DSML｜", "tool_calls>"], DEEPSEEK_V4),
    (&["｜DSML｜"], DEEPSEEK_V32),
    (&["<｜tool▁calls▁begin｜>", "```json"], DEEPSEEK_V3),
    (&["<｜tool▁calls▁begin｜>"], DEEPSEEK_V31),
    (&["<minimax:tool_call>"], MINIMAX_M2),
    (&["<arg_key>"], GLM),
    (&["<function="], QWEN3_CODER),
    (&["<tool_call>"], HERMES),
    (&["[TOOL_CALLS]", "[ARGS]"], MISTRAL_ARGS),
    (&["[TOOL_CALLS]"], MISTRAL),
    (&["<|python_tag|>"], LLAMA3),
    (&["<|start_header_id|>", "\"parameters\""], LLAMA3),
    (&["<think>"], REASONING_ONLY),
    (&[], AnswerSyntax::PLAIN),
];

impl AnswerSyntax {
    /// All syntaxes there are.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let list = DETECTED.iter().map(|(_, syntax)| syntax).enumerate();
        list.filter(|(at, one)| DETECTED[..*at].iter().all(|(_, before)| before != *one)).map(|(_, one)| one)
    }

    /// The syntax called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|syntax| syntax.name == name).copied()
    }

    /// How the model that `template` is for writes, by the marks in the template's text. A model that has tokens for
    /// reasoning reasons, whether its template speaks of it or not.
    pub fn of(template: &ChatTemplate) -> Self {
        let fits = |marks: &[&str]| marks.iter().all(|mark| template.source.contains(mark));
        let found = DETECTED.iter().find(|(marks, _)| fits(marks));
        let found = found.map_or(Self::PLAIN, |(_, syntax)| *syntax);
        let reasons = ["<think>", "</think>"].iter().all(|mark| template.controls.get(mark).is_some());
        if found == Self::PLAIN && reasons { REASONING_ONLY } else { found }
    }
}
