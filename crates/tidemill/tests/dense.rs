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
