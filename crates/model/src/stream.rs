//! The residual stream: what layers add their answers to, and what of it they see.

use std::ops::Deref;

use backend::{Backend, Tensor, Weight};
use base::Result;

/// The residual stream of one pass.
pub(crate) struct Stream {
    /// What the present block of layers adds to, `[tokens, hidden]`.
    pub(crate) present: Tensor,
    /// What former blocks began with; none of most models, which have one block.
    former: Vec<Tensor>,
}

/// What a layer sees: the stream itself, or a mixture of its blocks.
pub(crate) enum Seen<'a> {
    Stream(&'a Tensor),
    Mixture(Tensor),
}

impl Stream {
    /// Begins with the embedding.
    pub(crate) fn new(embedding: Tensor) -> Self {
        Self { present: embedding, former: Vec::new() }
    }

    /// The stream, or where the model scores its blocks their mixture.
    pub(crate) fn seen(&self, score: Option<&Weight>, eps: f32, backend: &dyn Backend) -> Result<Seen<'_>> {
        match score.filter(|_| !self.former.is_empty()) {
            None => Ok(Seen::Stream(&self.present)),
            Some(score) => {
                let sources: Vec<&Tensor> = self.former.iter().chain([&self.present]).collect();
                backend.mix(&sources, score, eps).map(Seen::Mixture)
            }
        }
    }

    /// A new block, of which this is the first answer.
    pub(crate) fn begin_block(&mut self, answer: Tensor) {
        self.former.push(std::mem::replace(&mut self.present, answer));
    }
}

impl Deref for Seen<'_> {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        match self {
            Self::Stream(tensor) => tensor,
            Self::Mixture(tensor) => tensor,
        }
    }
}
