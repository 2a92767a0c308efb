//! A model without experts whose weights exceed the budget.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use manifest::Manifest;
use tidemill::{Demand, MemoryPlan, Precision};

#[test]
fn what_does_not_fit_is_streamed_and_what_fits_is_not() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/qwen3/plain/model.gguf");
    let manifest = Arc::new(Manifest::open(path.as_ref()).unwrap().1);
    let demand = |budget| Demand {
        budget,
        context: 64,
        sequences: 1,
        prompt: 16,
        chunk_max: 16,
        chunk_beside: 16,
        threads: 1,
        precision: Precision::F16,
        lookahead: true,
        process: 0,
    };
    let roomy = MemoryPlan::new(&manifest, &demand(1 << 30)).unwrap();
    assert!(!roomy.streams_dense && roomy.pool == 0 && roomy.guesses == 0, "{roomy:?}");
    let tight = MemoryPlan::new(&manifest, &demand(roomy.minimum - 1)).unwrap();
    assert!(tight.streams_dense && tight.trunk < roomy.trunk && tight.pool > 0, "{tight:?}");
    assert!(tight.total() <= tight.budget && tight.minimum < roomy.minimum, "{tight:?}");
    let error = MemoryPlan::new(&manifest, &demand(tight.minimum - 1)).unwrap_err();
    assert!(error.to_string().contains("at least"), "{error}");
}

#[test]
fn an_answer_is_the_same_whether_networks_are_resident_or_streamed_from_the_drive() {
    use std::ops::ControlFlow;
    use tidemill::{Engine, Opened, Options, Request};

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/llama/plain/model.gguf");
    let options = Options { context: Some(64), threads: Some(1), ..Options::default() };
    let mut answers = Vec::new();
    for streams_dense in [false, true] {
        let opened = Opened::read(path.as_ref()).unwrap();
        let plan = MemoryPlan { streams_dense, ..opened.plan(&options).unwrap() };
        let network = opened.traffic(&plan).experts_per_token.div_ceil(2).next_multiple_of(4096) + 8192;
        let plan = MemoryPlan { pool: network, guesses: 2 * network, ..plan };
        let mut engine = Engine::load(opened, plan, &options, &mut |_, _| {}).unwrap();
        let mut said = Vec::new();
        let request = Request { tokens: vec![5, 9, 2], max_tokens: 12, ..Request::default() };
        engine
            .generate(request, &mut |token| {
                said.push(token);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(engine.pool_stats().bytes_read > 0, streams_dense);
        answers.push(said);
    }
    assert_eq!(answers[0], answers[1]);
}
