//! What comes before the part of an answer that is held to a shape.

use text::{AnswerSyntax, Around, Calls, Tokenizer};

use crate::lark::{ANYTHING, SPACE, mark};

/// Rules that let a model reason first; what follows is `body`, for the caller to add.
pub(crate) fn after_reasoning(tokenizer: &Tokenizer, syntax: &AnswerSyntax, within: bool) -> String {
    if syntax.calls == Calls::Channels {
        let header = |channel: &str| {
            format!("{} \"{channel}\" {}", mark(tokenizer, "<|channel|>"), mark(tokenizer, "<|message|>"))
        };
        let (analysis, answer) = (header("analysis"), header("final"));
        let next = format!("{} {} \"assistant\"", mark(tokenizer, "<|end|>"), mark(tokenizer, "<|start|>"));
        return format!("start: ({analysis} thought {next})? {answer} body\nthought: {ANYTHING}\n");
    }
    match thought(tokenizer, syntax) {
        None => "start: body\n".to_owned(),
        Some((_, close, rule)) if within => format!("start: thought {close} {SPACE} body\n{rule}"),
        Some((open, close, rule)) => format!("start: ({open} thought {close} {SPACE})? body\n{rule}"),
    }
}

/// The marks around reasoning, and the rule `thought` for what lies between.
pub(crate) fn thought(tokenizer: &Tokenizer, syntax: &AnswerSyntax) -> Option<(String, String, String)> {
    let reasoning = syntax.reasoning?;
    let (rule, close) = up_to(tokenizer, "thought", reasoning.close);
    Some((mark(tokenizer, reasoning.open), close, rule))
}

/// A rule for any text before `end`, and what has to be written after it: nothing where `end` is text, which the rule
/// itself ends with.
pub(crate) fn up_to(tokenizer: &Tokenizer, name: &str, end: &str) -> (String, String) {
    let begins = tokenizer.encode_trusted(end).unwrap_or_default().first().copied();
    match begins.filter(|id| tokenizer.is_control(*id)) {
        Some(_) => (format!("{name}: {ANYTHING}\n"), mark(tokenizer, end)),
        None => {
            let end = serde_json::Value::from(end);
            (format!("{name}[suffix={end}]: {ANYTHING}\n"), String::new())
        }
    }
}

/// What may be written before content and after it, where a family has marks for that.
pub(crate) fn around(tokenizer: &Tokenizer, syntax: &AnswerSyntax) -> (String, String) {
    let Some(Around { open, close, end }) = syntax.around else { return Default::default() };
    let [open, close, end] = [open, close, end].map(|text| mark(tokenizer, text));
    (format!("({open})?"), format!("({close} ({end})?)?"))
}

/// Marks around no content, and what may be written after calls.
pub(crate) fn around_calls(tokenizer: &Tokenizer, syntax: &AnswerSyntax) -> (String, String) {
    let Some(Around { open, close, end }) = syntax.around else { return Default::default() };
    let [open, close, end] = [open, close, end].map(|text| mark(tokenizer, text));
    (format!("(({open})? {close})?"), format!("({end})?"))
}
