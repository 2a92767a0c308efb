//! What an answer must look like, as the engine sees it: an object that takes logits away.

use std::fmt;

use base::{Result, TokenId};

/// Holds an answer to a shape: a grammar, a schema, a list of choices. A sequence carries one.
///
/// The engine calls [`mask`](Self::mask) before it draws a token and [`advance`](Self::advance) with the token once the
/// pass has succeeded; a pass that fails is tried again, with another call of `mask` and no `advance` between.
/// Tokens that end an answer are the sequence's own business: they are allowed where the constraint
/// [may stop](Self::may_stop), and nowhere else.
pub trait Constraint: Send {
    /// Sets the logit of every token that may not come next to minus infinity. `logits` is `[vocab]` and may be wider
    /// than the tokenizer: what is past it may never come. An error ends the sequence.
    fn mask(&mut self, logits: &mut [f32]) -> Result<()>;

    /// Takes the token that was drawn, which `mask` left and which ends no answer. An error ends the sequence.
    fn advance(&mut self, token: TokenId) -> Result<()>;

    /// Whether the answer so far is a whole one.
    fn may_stop(&mut self) -> bool;

    /// The same constraint at the same place, for another sequence.
    fn fork(&self) -> Box<dyn Constraint>;
}

impl Clone for Box<dyn Constraint> {
    fn clone(&self) -> Self {
        self.fork()
    }
}

impl fmt::Debug for dyn Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Constraint")
    }
}
