//! A chat with a model that keeps a state: what goes on from a former sequence has the bits of the whole conversation.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use base::TokenId;
use tidemill::{Engine, Event, Logprobs, Opened, Options, Request, SequenceId, demo};

/// Turns of a conversation; what is asked is told as text, since the model only tells stories.
const TURNS: [&str; 3] =
    ["Once upon a time, there was a little girl named Lily.", " One day, a big dog came.", " The dog said,"];
const ANSWER: usize = 12;

fn path() -> PathBuf {
    let demo = demo::named("demo-qwen").unwrap();
    demo.unpack(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("recurrent")).unwrap()
}

fn engine() -> Engine {
    Engine::open(&path(), &Options { threads: Some(2), ..Options::default() }).unwrap()
}

/// What follows `tokens`, with how likely every token of the vocabulary was at each place.
fn answer(
    engine: &mut Engine,
    tokens: &[TokenId],
    resume: Option<SequenceId>,
) -> (SequenceId, Vec<(TokenId, Logprobs)>) {
    let logprobs = Some(engine.spec().vocab);
    let tokens = tokens.to_vec();
    let id = engine
        .submit(Request { tokens, max_tokens: ANSWER, logprobs, resume, ..Request::default() })
        .unwrap();
    let mut said = Vec::new();
    while !engine.is_idle() {
        for event in engine.step().unwrap().0 {
            if let Event::Token { token, logprobs, .. } = event {
                said.push((token, logprobs.unwrap()));
            }
        }
    }
    (id, said)
}

/// How many tokens of a prompt `engine` has computed.
fn computed(engine: &Engine) -> u64 {
    engine.totals().prefill_tokens
}

#[test]
fn a_chat_resumed_has_the_bits_of_the_whole_conversation() {
    let tokenizer = Opened::read(&path()).unwrap().tokenizer().unwrap();
    let mut chat = engine();
    let (mut said, mut last): (Vec<TokenId>, _) = (Vec::new(), None);
    for turn in TURNS {
        let new = tokenizer.encode(turn).unwrap();
        said.extend(&new);
        let before = computed(&chat);
        let (id, resumed) = answer(&mut chat, &said, last);
        // What the last answer ended with was said and not yet computed.
        let most = new.len() as u64 + u64::from(last.is_some());
        assert!(computed(&chat) - before <= most, "more than {most} tokens of a prompt were computed");
        let (_, whole) = answer(&mut engine(), &said, None);
        assert_eq!(resumed, whole, "after {turn:?}");
        said.extend(resumed.iter().map(|(token, _)| token));
        last = Some(id);
    }
}

#[test]
fn an_answer_that_a_template_spells_anew_goes_back_to_the_mark() {
    let tokenizer = Opened::read(&path()).unwrap().tokenizer().unwrap();
    let prompt = tokenizer.encode(&TURNS.concat()).unwrap();
    let mut chat = engine();
    let (id, _) = answer(&mut chat, &prompt, None);
    // Another answer than the one that was generated, from within the former prompt's last tokens on.
    let anew = [&prompt[..prompt.len() - 3], &tokenizer.encode(" She said no. Then").unwrap()].concat();
    let before = computed(&chat);
    let (_, resumed) = answer(&mut chat, &anew, Some(id));
    assert!(computed(&chat) - before < anew.len() as u64, "nothing was kept");
    assert_eq!(resumed, answer(&mut engine(), &anew, None).1);
}
