//! What one pass through the layers carries.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use backend::{Backend, Chosen, Form, Rotation, Span, Tensor};
use base::{Error, ExpertId, LayerId, Result, Timeline, TokenId};
use experts::ExpertPool;
use kv::KvCache;

use crate::portion::Portion;

/// One sequence's share of a batch: its next tokens, and what it wants to know.
pub struct Entry<'a> {
    /// What was said so far; the new tokens are kept when the pass succeeds.
    pub kv: &'a mut KvCache,
    /// A chunk of a prompt, or one generated token.
    pub tokens: &'a [TokenId],
    /// Where the prompt that these belong to stands in the sequence, without what was kept of an earlier one; a
    /// generated token is a prompt of its own. The form of attention goes by this and not by the chunk, so that
    /// cutting a prompt differently changes no bit.
    pub prompt: Range<usize>,
    /// Which of them to predict from.
    pub logits: Logits,
}

/// Which tokens of an entry to compute logits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: more of the prompt is to come.
    None,
    /// The last one: the next token is to be sampled.
    Last,
    /// Every one: the text is scored.
    All,
}

/// Says, in a test, what to guess instead: of so many experts, given those that the router would choose.
pub type Guesser = fn(usize, &[ExpertId]) -> Vec<ExpertId>;

/// What every block of one pass works with.
pub(crate) struct Step<'a, 'b> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) experts: &'a mut ExpertPool,
    pub(crate) entries: &'a mut [Entry<'b>],
    /// Rows of the batch, and places in their sequences, of each entry.
    pub(crate) spans: Vec<Span>,
    /// Of the model's rotations each, for the positions of these rows.
    pub(crate) rotations: Vec<Rotation>,
    /// Which of them the present layer has.
    pub(crate) rope: usize,
    /// What the tokens of each entry chose to attend to in the last layer that chose; `None`: all up to their own.
    pub(crate) chosen: Vec<Option<Chosen>>,
    /// The tokens of the whole pass, whatever rows of it are worked on.
    pub(crate) tokens: &'a [TokenId],
    /// The pass cut in portions; none when it is short.
    pub(crate) portions: Vec<Portion>,
    pub(crate) timeline: &'a Timeline,
    /// Layers that stream the one network they have, in the order of a pass.
    pub(crate) streamed: &'a [LayerId],
    /// Hears how many layers are done.
    pub(crate) progress: &'a mut dyn FnMut(f64),
    /// Forces one form of latent attention; `None` takes the cheaper one.
    pub(crate) form: Option<Form>,
    /// Says what to guess instead of the routers.
    pub(crate) guesser: Option<Guesser>,
    /// Set when the caller wants no answer any more.
    pub(crate) cancel: &'a AtomicBool,
}

impl Step<'_, '_> {
    /// That of the present layer; of no dimensions where the model does not rotate.
    pub(crate) fn rotation(&self) -> &Rotation {
        &self.rotations[self.rope]
    }

    /// Lets `mix` work on `x`, `[tokens, hidden]`, portion by portion.
    pub(crate) fn in_portions(
        &mut self,
        x: &Tensor,
        mix: &mut dyn FnMut(&Tensor, &mut Self) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if self.portions.is_empty() {
            return mix(x, self);
        }
        let backend = self.backend;
        let mut out = backend.tensor(x.rows, x.cols)?;
        for index in 0..self.portions.len() {
            go_on(self.cancel)?;
            let rows = self.portions[index].rows.clone();
            let mut portion = backend.room(rows.len(), x.cols)?;
            backend.copy_rows(x, rows.clone(), &mut portion, 0)?;
            self.exchange(index);
            let answer = mix(&portion, self);
            self.exchange(index);
            backend.copy_rows(&answer?, 0..rows.len(), &mut out, rows.start)?;
        }
        Ok(out)
    }

    /// Lets blocks see one portion instead of the whole pass; once more, and they see the whole again.
    fn exchange(&mut self, index: usize) {
        let portion = &mut self.portions[index];
        std::mem::swap(&mut self.spans, &mut portion.spans);
        std::mem::swap(&mut self.rotations, &mut portion.rotations);
        std::mem::swap(&mut self.chosen, &mut portion.chosen);
    }
}

/// Ends a pass that nobody waits for. Asked before every layer, and before every expert, of which a long prompt has
/// hundreds in one layer.
pub(crate) fn go_on(cancel: &AtomicBool) -> Result<()> {
    if cancel.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
}

/// Rows of the batch that each entry's tokens take.
pub(crate) fn spans(entries: &[Entry<'_>]) -> Vec<Span> {
    let mut rows = 0;
    let span = |entry: &Entry<'_>| {
        let start = rows;
        rows += entry.tokens.len();
        Span { rows: start..rows, start: entry.kv.len() }
    };
    entries.iter().map(span).collect()
}

/// Position of each row of the batch in its sequence.
pub(crate) fn positions(spans: &[Span]) -> Vec<usize> {
    spans.iter().flat_map(|span| span.start..span.len()).collect()
}
