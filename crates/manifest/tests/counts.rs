//! What a model takes, counted from its shapes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use manifest::{Manifest, MultiplyAdds};

#[test]
fn a_token_meets_the_trunk_its_experts_and_at_the_end_the_head() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mixtral/plain");
    // 2 layers, hidden 64; 4 heads of 16 and 2 for keys; 2 of 5 experts of 40; 120 tokens. Norms count as well.
    let layer = 64 * (64 + 32 + 32 + 64) + 5 * 64 + 2 * 64;
    let expected = MultiplyAdds { trunk: 2 * layer + 64, experts: 2 * 2 * 3 * 64 * 40, head: 120 * 64 };
    for file in ["model.gguf", "hf"] {
        let (_, manifest) = Manifest::open(&folder.join(file)).unwrap();
        assert_eq!(manifest.multiply_adds(), expected, "{file}");
        let embedding_and_other_experts = 120 * 64 + 2 * 3 * 3 * 64 * 40;
        let MultiplyAdds { trunk, experts, head } = expected;
        assert_eq!(manifest.parameters(), trunk + experts + head + embedding_and_other_experts, "{file}");
    }
}
