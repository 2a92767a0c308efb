//! What a reference implementation answered.

use std::path::Path;

use base::TokenId;
use safetensors::SafeTensors;

/// Tokens, and what the published implementation makes of them in f32.
pub struct Oracle {
    /// The tokens asked.
    pub tokens: Vec<TokenId>,
    /// `[tokens, vocab]`
    pub logits: Vec<f32>,
    /// Tokens it goes on with, greedily; empty when none were recorded.
    pub greedy: Vec<TokenId>,
}

impl Oracle {
    /// Reads an `oracle.safetensors`.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let ids = |name: &str| match file.tensor(name) {
            Ok(tensor) => {
                let width = tensor.data().len() / tensor.shape().iter().product::<usize>();
                tensor
                    .data()
                    .chunks_exact(width)
                    .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        let logits = file.tensor("logits").unwrap();
        let logits = logits.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Self { tokens: ids("input_ids"), logits: logits.collect(), greedy: ids("gen_ids") }
    }

    /// Logits a token.
    pub fn vocab(&self) -> usize {
        self.logits.len() / self.tokens.len()
    }
}
