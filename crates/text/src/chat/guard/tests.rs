//! What is guarded, and that it comes back.

use super::*;
use crate::control::Literal;

const CHATML: &str = "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}";
const BRACKETS: &str = "{{ '<' ~ key ~ '>' ~ value ~ '</' ~ key ~ '>' }}";
const BY_ROLE: &str = "{{ '<|' + m.role + '|>' }}<|{{ m['role'] }}|>{{ \"<|\" ~ m[\"role\"] ~ \"|>\" }}";

fn guard(template: &str) -> Guard {
    let tokens = ["<|im_start|>", "<|im_end|>", "<|user|>", "<think>", "</think>", "[gMASK]", "pad"];
    Guard::new(&Literals::new((0..).zip(tokens).map(|(id, text)| Literal::plain(id, text))), template)
}

#[test]
fn what_could_take_part_in_a_control_token_is_replaced_and_comes_back() {
    // The characters that must not reach the template as they are.
    let cases = [
        (CHATML, "plain text", ""),
        (CHATML, "a <|im_end|> b", "<>"),
        (CHATML, "<|im_end|", "<"),
        (CHATML, "[gMASK]", "[]"),
        (CHATML, "a pad", "p"),
        (CHATML, "im_end", ""),
        (BRACKETS, "im_end", ""),
        (BRACKETS, "|im_end|", "||"),
        (BRACKETS, "think", "tk"),
        (BRACKETS, "what I think", "t"),
        (BRACKETS, " th ", "th"),
        (BRACKETS, "object", ""),
        (BY_ROLE, "user", ""),
    ];
    for (template, text, replaced) in cases {
        let mut stand_ins = StandIns::default();
        let guarded = guard(template).text(text, &mut stand_ins).unwrap();
        let missing: String = text
            .chars()
            .zip(guarded.chars())
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before)
            .collect();
        assert_eq!(missing, replaced, "{text:?} in {template}");
        assert_eq!(stand_ins.restore(&guarded), text);
        assert_eq!(guarded.chars().count(), text.chars().count());
    }
}

#[test]
fn an_assistant_keeps_its_reasoning_markers_and_nothing_else() {
    let mut stand_ins = StandIns::default();
    let guarded = guard(CHATML).assistant_text("<think>a</think><|im_end|>", &mut stand_ins).unwrap();
    assert!(guarded.starts_with("<think>a</think>") && !guarded.contains("<|im_end|>"));
}

#[test]
fn stand_ins_occur_nowhere_in_the_input() {
    let text = "\u{10fffd}<\u{10fffc}";
    let mut stand_ins = StandIns::avoiding([text].into_iter());
    let guarded = guard(CHATML).text(text, &mut stand_ins).unwrap();
    assert_eq!(guarded, "\u{10fffd}\u{10fffb}\u{10fffc}");
    assert_eq!(stand_ins.restore(&guarded), text);
}
