//! What one pass through the layers carries.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use backend::{Backend, Form, Rotation, Span};
use base::{Error, ExpertId, Result, TokenId};
use experts::ExpertPool;
use kv::KvCache;

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
    pub(crate) rotation: Rotation,
    /// Forces one form of latent attention; `None` takes the cheaper one.
    pub(crate) form: Option<Form>,
    /// Says what to guess instead of the routers.
    pub(crate) guesser: Option<Guesser>,
    /// Set when the caller wants no answer any more.
    pub(crate) cancel: &'a AtomicBool,
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
