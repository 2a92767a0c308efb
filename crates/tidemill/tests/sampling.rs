//! What a request asks of its tokens, through the engine: constraints, probabilities, penalties.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use base::{Error, Result, TokenId};
use tidemill::{
    Constraint, Engine, Event, Finish, Logprobs, Opened, Options, Request, Sampling, SequenceId, demo,
    likeliest,
};

const PROMPT: &str = "Once upon a time, there was a little girl named Lily. One day,";

fn demo_path() -> PathBuf {
    demo::unpack(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo-sampling")).unwrap()
}

fn engine() -> Engine {
    Engine::open(&demo_path(), &Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn request(max_tokens: usize) -> Request {
    let tokens = Opened::read(&demo_path()).unwrap().tokenizer().unwrap().encode(PROMPT).unwrap();
    Request { tokens, max_tokens, ..Request::default() }
}

/// Steps until all is said, trying again whatever was cancelled.
fn finish(engine: &mut Engine, id: SequenceId) -> (Vec<(TokenId, Option<Logprobs>)>, Finish) {
    let mut said = Vec::new();
    loop {
        let Ok((events, _)) = engine.step() else {
            engine.clear_cancel();
            continue;
        };
        for event in events {
            match event {
                Event::Token { sequence, token, logprobs } if sequence == id => said.push((token, logprobs)),
                Event::Finished { sequence, finish } if sequence == id => return (said, finish),
                _ => {}
            }
        }
    }
}

fn tokens(said: &[(TokenId, Option<Logprobs>)]) -> Vec<TokenId> {
    said.iter().map(|(token, _)| *token).collect()
}

/// Only these tokens, one after the other; it may stop after the last, and breaks at `breaks`.
#[derive(Clone)]
struct Exactly {
    tokens: Vec<TokenId>,
    at: usize,
    breaks: Option<usize>,
}

impl Exactly {
    fn boxed(tokens: &[TokenId], breaks: Option<usize>) -> Option<Box<dyn Constraint>> {
        Some(Box::new(Self { tokens: tokens.to_vec(), at: 0, breaks }))
    }
}

impl Constraint for Exactly {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        if self.breaks == Some(self.at) {
            return Err(Error::input("the shape is too hard"));
        }
        let allowed = self.tokens.get(self.at).map(|token| (*token as usize, logits[*token as usize]));
        logits.fill(f32::NEG_INFINITY);
        if let Some((token, logit)) = allowed {
            logits[token] = logit;
        }
        Ok(())
    }

    fn advance(&mut self, token: TokenId) -> Result<()> {
        assert_eq!(self.tokens.get(self.at), Some(&token));
        self.at += 1;
        Ok(())
    }

    fn may_stop(&mut self) -> bool {
        self.at == self.tokens.len()
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}

#[test]
fn a_constraint_decides_what_is_said_and_when_it_may_end() {
    let asked = [17, 99, 99, 3];
    let stops = [
        (vec![], "nothing may follow"),
        (vec![5], "5 ends it"),
        (vec![99, 5], "99 is no end before the end"),
    ];
    for (stop, case) in stops {
        let mut engine = engine();
        let constraint = Exactly::boxed(&asked, None);
        let stop = stop.into_iter().collect();
        let id = engine.submit(Request { constraint, stop, ..request(20) }).unwrap();
        let (said, end) = finish(&mut engine, id);
        let expected: &[TokenId] = if case.starts_with("99") { &asked[..1] } else { &asked };
        let ended = if case.starts_with("99") { Finish::Failed } else { Finish::Stop };
        assert_eq!((tokens(&said).as_slice(), end), (expected, ended), "{case}");
    }
}

#[test]
fn a_step_that_is_tried_again_asks_the_constraint_again_and_advances_it_once() {
    let mut engine = engine();
    let constraint = Exactly::boxed(&[8, 9, 10], None);
    let id = engine.submit(Request { constraint, ..request(20) }).unwrap();
    engine.cancel_flag().store(true, Ordering::Relaxed);
    let (said, end) = finish(&mut engine, id);
    assert_eq!((tokens(&said), end), (vec![8, 9, 10], Finish::Stop));
}

#[test]
fn a_constraint_that_breaks_ends_its_sequence_and_no_other() {
    let mut engine = engine();
    let broken =
        engine.submit(Request { constraint: Exactly::boxed(&[8, 9], Some(1)), ..request(9) }).unwrap();
    let other = engine.submit(request(6)).unwrap();
    let (said, end) = finish(&mut engine, broken);
    assert_eq!((tokens(&said), end), (vec![8], Finish::Failed));
    assert!(engine.failure(broken).unwrap().to_string().contains("too hard"));
    assert_eq!(finish(&mut engine, other).1, Finish::Length);
    let request = Request { constraint: Exactly::boxed(&[8], Some(0)), ..request(9) };
    let error = engine.generate(request, &mut |_| std::ops::ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("too hard"));
}

#[test]
fn probabilities_are_the_models_own_whatever_was_asked_of_the_sampler() {
    let mut engine = engine();
    let plain = engine.submit(Request { logprobs: Some(4), ..request(5) }).unwrap();
    let (plain, _) = finish(&mut engine, plain);
    let sampling =
        Sampling { temperature: 2.0, seed: 5, logit_bias: [(7, 100.0)].into(), ..Sampling::default() };
    let biased = engine.submit(Request { logprobs: Some(4), sampling, ..request(5) }).unwrap();
    let (biased, _) = finish(&mut engine, biased);

    let mut logits = Vec::new();
    engine
        .score(&request(1).tokens, &mut |_, row| {
            logits = row.to_vec();
            Ok(())
        })
        .unwrap();
    let first = Logprobs::new(&logits, likeliest(&logits), 4);
    let found = plain[0].1.as_ref().unwrap();
    assert_eq!(found, &first);
    assert_eq!((found.top.len(), found.top[0]), (4, (plain[0].0, found.chosen)));
    assert!(found.top.iter().map(|(_, p)| p.exp()).sum::<f32>() <= 1.0 + 1e-5);

    assert_eq!(tokens(&biased), [7; 5]);
    let odd = biased[0].1.as_ref().unwrap();
    assert_eq!(odd.top, found.top);
    assert!(odd.chosen < odd.top[3].1, "token 7 is as unlikely as it was");
    let silent = engine.submit(request(2)).unwrap();
    assert!(finish(&mut engine, silent).0.iter().all(|(_, logprobs)| logprobs.is_none()));
}

#[test]
fn penalties_look_at_the_answer_and_not_at_the_prompt() {
    let repeats = |sampling: Sampling| {
        let mut engine = engine();
        let id = engine.submit(Request { sampling, ..request(40) }).unwrap();
        let mut said = tokens(&finish(&mut engine, id).0);
        let count = said.len();
        said.sort_unstable();
        said.dedup();
        count - said.len()
    };
    assert!(repeats(Sampling::default()) > 5);
    assert_eq!(repeats(Sampling { presence_penalty: 1000.0, ..Sampling::default() }), 0);
    assert_eq!(repeats(Sampling { frequency_penalty: 1000.0, ..Sampling::default() }), 0);
}
