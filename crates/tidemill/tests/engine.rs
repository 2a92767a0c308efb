//! The engine's loop on the demo model: batches, cancellation, resuming, scoring.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use base::{Kind, TokenId};
use tidemill::{Engine, Event, Finish, Opened, Options, Request, Sampling, SequenceId, demo};

/// The demo model, unpacked once for all tests of this file.
fn demo_path() -> PathBuf {
    demo::unpack(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo")).unwrap()
}

fn engine() -> Engine {
    Engine::open(&demo_path(), &Options { threads: Some(2), ..Options::default() }).unwrap()
}

fn prompt(text: &str) -> Vec<TokenId> {
    Opened::read(&demo_path()).unwrap().tokenizer().unwrap().encode(text).unwrap()
}

fn request(text: &str, max_tokens: usize) -> Request {
    Request { tokens: prompt(text), max_tokens, ..Request::default() }
}

fn generate(engine: &mut Engine, request: Request) -> Vec<TokenId> {
    let mut tokens = Vec::new();
    let each = &mut |token| {
        tokens.push(token);
        ControlFlow::Continue(())
    };
    engine.generate(request, each).unwrap();
    tokens
}

const PROMPTS: [&str; 3] = [
    "Once upon a time, there was a little girl named Lily. One day,",
    "Tom and his dog went to the park.",
    "The king looked at the old woman and said,",
];

#[test]
fn sequences_that_share_steps_say_what_they_say_alone() {
    let alone: Vec<_> = PROMPTS.iter().map(|text| generate(&mut engine(), request(text, 24))).collect();
    let mut engine = engine();
    let mut together: Vec<(SequenceId, Vec<TokenId>)> = Vec::new();
    let mut steps = 0;
    while steps == 0 || !engine.is_idle() {
        // A new one joins every third step, while the others are in the middle of their answers.
        if steps % 3 == 0 && together.len() < PROMPTS.len() {
            together.push((engine.submit(request(PROMPTS[together.len()], 24)).unwrap(), Vec::new()));
        }
        for event in engine.step().unwrap().0 {
            if let Event::Token { sequence, token, .. } = event {
                together.iter_mut().find(|(id, _)| *id == sequence).unwrap().1.push(token);
            }
        }
        steps += 1;
    }
    assert!(steps < 40, "steps were shared: {steps}");
    assert_eq!(together.into_iter().map(|(_, tokens)| tokens).collect::<Vec<_>>(), alone);
}

#[test]
fn the_same_seed_gives_the_same_text_on_any_number_of_threads() {
    let sampling = Sampling { temperature: 1.0, top_p: 0.95, seed: 11, ..Sampling::default() };
    let ask = || Request { sampling: sampling.clone(), ..request(PROMPTS[0], 40) };
    let mut said = Vec::new();
    for threads in [1, 2, 4] {
        let options = Options { threads: Some(threads), ..Options::default() };
        said.push(generate(&mut Engine::open(&demo_path(), &options).unwrap(), ask()));
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]));
    let other = Request { sampling: Sampling { seed: 12, ..sampling.clone() }, ..ask() };
    assert_ne!(generate(&mut engine(), other), said[0]);
}

#[test]
fn a_cancelled_step_leaves_the_sequence_as_it_was() {
    let expected = generate(&mut engine(), request(PROMPTS[0], 12));
    let mut engine = engine();
    let id = engine.submit(request(PROMPTS[0], 12)).unwrap();
    engine.step().unwrap();
    engine.cancel_flag().store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(engine.step().unwrap_err().kind(), Kind::Cancelled);
    }
    engine.clear_cancel();
    while !engine.is_idle() {
        engine.step().unwrap();
    }
    assert_eq!(&engine.tokens(id).unwrap()[prompt(PROMPTS[0]).len()..], expected);
}

#[test]
fn a_resumed_sequence_computes_only_what_is_new() {
    let mut engine = engine();
    let mut said = Vec::new();
    let first = engine.generate(request(PROMPTS[0], 8), &mut |token| {
        said.push(token);
        ControlFlow::Continue(())
    });
    let (id, finish) = first.unwrap();
    assert_eq!(finish, Finish::Length);
    let longer: Vec<TokenId> = [prompt(PROMPTS[0]), said, prompt(" Then she went home.")].concat();
    let fresh = generate(
        &mut self::engine(),
        Request { tokens: longer.clone(), max_tokens: 8, ..Request::default() },
    );

    let before = engine.totals().prefill_tokens;
    let resumed = Request { tokens: longer.clone(), max_tokens: 8, resume: Some(id), ..Request::default() };
    assert_eq!(generate(&mut engine, resumed), fresh);
    let computed = engine.totals().prefill_tokens - before;
    assert!(computed < longer.len() as u64 / 2, "{computed} of {} tokens", longer.len());
    assert!(engine.tokens(id).is_none(), "a resumed sequence is taken over");
}

#[test]
fn stop_tokens_end_an_answer_and_are_no_part_of_it() {
    let all = generate(&mut engine(), request(PROMPTS[0], 12));
    let stop = BTreeSet::from([all[5]]);
    let place = all.iter().position(|token| stop.contains(token)).unwrap();
    let mut engine = engine();
    let (id, finish) = engine
        .generate(Request { stop, ..request(PROMPTS[0], 12) }, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(finish, Finish::Stop);
    assert_eq!(&engine.tokens(id).unwrap()[prompt(PROMPTS[0]).len()..], &all[..place]);
}

#[test]
fn what_cannot_be_answered_is_refused_in_a_sentence() {
    let mut engine =
        Engine::open(&demo_path(), &Options { context: Some(32), ..Options::default() }).unwrap();
    let cases = [
        (Request { max_tokens: 1, ..Request::default() }, "empty"),
        (request(PROMPTS[0], 0), "0 tokens"),
        (request(PROMPTS[0], 100), "context of 32"),
        (request(PROMPTS[0], usize::MAX), "context of 32"),
        (Request { tokens: vec![4096], max_tokens: 1, ..Request::default() }, "vocabulary"),
        (
            Request {
                sampling: Sampling { logit_bias: [(4096, 1.0)].into(), ..Sampling::default() },
                ..request("a", 1)
            },
            "logit-bias",
        ),
        (Request { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..request("a", 1) }, "top-p"),
    ];
    for (request, expected) in cases {
        let error = engine.submit(request).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(engine.is_idle());
}

#[test]
fn the_context_is_shared_by_live_sequences_and_given_back() {
    let mut engine =
        Engine::open(&demo_path(), &Options { context: Some(40), ..Options::default() }).unwrap();
    let first = engine.submit(request("A dog", 30)).unwrap();
    assert!(engine.submit(request("A cat", 30)).unwrap_err().to_string().contains("of other sequences"));
    engine.forget(first);
    engine.submit(request("A cat", 30)).unwrap();
}

#[test]
fn a_step_reports_what_it_did() {
    let mut engine = engine();
    engine.submit(request(PROMPTS[0], 3)).unwrap();
    let (_, prefill) = engine.step().unwrap();
    assert_eq!((prefill.prefill_tokens, prefill.decode_tokens), (prompt(PROMPTS[0]).len(), 0));
    assert!(prefill.misses > 0 && prefill.bytes_read > 0 && prefill.hits == 0, "{prefill:?}");
    let (_, decode) = engine.step().unwrap();
    assert_eq!((decode.prefill_tokens, decode.decode_tokens), (0, 1));
    // 5 expert layers, 8 experts a token.
    assert_eq!(decode.hits + decode.misses, 40);
    assert_eq!(engine.totals().decode_tokens, 1);
}

#[test]
fn a_budget_too_small_names_the_smallest_that_works() {
    let options =
        Options { memory: Some(tidemill::ByteSize(1 << 20)), context: Some(64), ..Options::default() };
    let Err(error) = Engine::open(&demo_path(), &options) else { panic!("1 MiB is too small") };
    assert_eq!(error.kind(), Kind::Budget);
    let hint = error.next_step().unwrap().to_owned();
    let named: tidemill::ByteSize = hint.strip_prefix("--memory ").unwrap().parse().unwrap();
    // The process grows a little between two plans.
    let named = tidemill::ByteSize(named.0 + (8 << 20));
    let mut engine = Engine::open(&demo_path(), &Options { memory: Some(named), ..options }).unwrap();
    assert_eq!(
        generate(&mut engine, request(PROMPTS[1], 8)),
        generate(&mut self::engine(), request(PROMPTS[1], 8))
    );
}

/// The demo over a disk in memory whose reads fail as `faults` say.
fn faulty_engine(faults: &[(u64, disk::Fault)]) -> Engine {
    use disk::{Files, Io, MemoryDisk};
    use std::sync::Arc;

    let opened = Opened::read(&demo_path()).unwrap();
    let manifest = opened.manifest.clone();
    let plan = opened.plan(&Options::default()).unwrap();
    let files = Arc::new(Files::open(&manifest.files, Io::Buffered).unwrap());
    let backend = Arc::new(backend::Cpu::new(2).unwrap());
    let rows = files.clone();
    let rows = Arc::new(move |extent: base::Extent, bytes: &mut [u8]| rows.read_exact(extent, bytes));
    let read = &mut |extent: base::Extent, bytes: &mut [u8]| files.read_exact(extent, bytes);
    let decoder = model::load(&manifest, backend, read, rows).unwrap();
    let bytes = manifest.files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let disk =
        faults.iter().fold(MemoryDisk::new(bytes, 3), |disk, (nth, fault)| disk.with_fault(*nth, *fault));
    Engine::assemble(manifest, decoder, Arc::new(disk), plan, "lru").unwrap()
}

#[test]
fn a_read_that_fails_in_the_middle_is_reported_and_the_answer_goes_on_unchanged() {
    use disk::Fault;
    let expected = generate(&mut engine(), request(PROMPTS[0], 12));
    // The prompt's first reads are retried; some later ones, of generated tokens, fail for good.
    let mut engine =
        faulty_engine(&[(0, Fault::Once), (7, Fault::Once), (250, Fault::Failed), (270, Fault::Short)]);
    let id = engine.submit(request(PROMPTS[0], 12)).unwrap();
    let mut failures = 0;
    while !engine.is_idle() {
        if let Err(error) = engine.step() {
            assert_eq!(error.kind(), Kind::Io, "{error}");
            assert!(error.to_string().contains("layer"), "{error}");
            failures += 1;
        }
    }
    assert_eq!(failures, 2);
    assert!(engine.pool_stats().retries >= 2);
    assert_eq!(&engine.tokens(id).unwrap()[prompt(PROMPTS[0]).len()..], expected);
}

#[test]
fn an_answer_that_failed_leaves_nothing_behind_for_the_next() {
    let expected = generate(&mut engine(), request(PROMPTS[1], 12));
    let mut engine = faulty_engine(&[(250, disk::Fault::Failed)]);
    let error = engine.generate(request(PROMPTS[0], 40), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), Kind::Io, "{error}");
    assert!(engine.is_idle());
    assert_eq!(generate(&mut engine, request(PROMPTS[1], 12)), expected);
    // The whole context is free again, but for what the answer above keeps.
    let kept = prompt(PROMPTS[1]).len() + 12;
    engine.submit(request("A", engine.plan().context - kept - prompt("A").len())).unwrap();
}

#[test]
fn when_there_are_more_sequences_than_rows_they_take_turns() {
    let options = Options { chunk: 8, context: Some(240), ..Options::default() };
    let mut engine = Engine::open(&demo_path(), &options).unwrap();
    assert_eq!(engine.plan().chunk, 8);
    let ids: Vec<SequenceId> = (0..11).map(|_| engine.submit(request("A dog", 16)).unwrap()).collect();
    for _ in 0..16 {
        engine.step().unwrap();
    }
    let lengths: Vec<usize> = ids.iter().map(|id| engine.tokens(*id).unwrap().len()).collect();
    let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    let prompt = prompt("A dog").len();
    assert!(*least >= prompt + 4 && most - least <= 8, "{prompt} tokens and what was said: {lengths:?}");
    while !engine.is_idle() {
        engine.step().unwrap();
    }
    let said: Vec<_> = ids.iter().map(|id| engine.tokens(*id).unwrap().to_vec()).collect();
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_prompt_longer_than_any_portion_is_one_step_that_reads_each_expert_once() {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    let opened = Opened::read(&demo_path()).unwrap();
    let options = Options { context: Some(1000), ..Options::default() };
    let all = opened.plan(&options).unwrap();
    assert!(all.chunk >= 900, "{all:?}");
    let plan = tidemill::MemoryPlan { pool: opened.traffic(&all).experts_total / 8, ..all };
    let mut engine = Engine::load(opened, plan, &options, &mut |_, _| {}).unwrap();
    let touched: Arc<Mutex<BTreeSet<(u32, u32)>>> = Arc::default();
    let seen = touched.clone();
    engine.watch(Some(Box::new(move |layer, experts| {
        seen.lock().unwrap().extend(experts.iter().map(|(expert, _)| (layer.0, expert.0)));
    })));
    let heard: Arc<Mutex<Vec<usize>>> = Arc::default();
    let hear = heard.clone();
    engine.on_progress(Some(Box::new(move |done, total| {
        assert!(done <= total);
        hear.lock().unwrap().push(done);
    })));
    let tokens: Vec<TokenId> = PROMPTS.map(prompt).concat().into_iter().cycle().take(900).collect();
    engine.submit(Request { tokens, max_tokens: 1, ..Request::default() }).unwrap();
    let (_, report) = engine.step().unwrap();
    assert_eq!(report.prefill_tokens, 900);
    let expert = engine.pool_stats().bytes_read as f64 / engine.pool_stats().reads as f64;
    let touched = touched.lock().unwrap().len() as f64 * expert;
    assert!(report.bytes_read as f64 <= 1.05 * touched, "{} of {touched}", report.bytes_read);
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 100 && heard.is_sorted() && *heard.last().unwrap() > 850, "{heard:?}");
}
