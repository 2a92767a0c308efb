//! The rows of layers whose tokens see a window: as many as it takes, in a ring, however long the sequence grows.
//!
//! A ring has room for a window and a stretch of tokens: a stretch is written, looks back, and the next one follows. A
//! pass of one stretch overwrites nothing that is kept. A longer one goes on in a second ring, and the two change places
//! when it succeeds, so a pass that fails leaves everything as it was. Like a state, a ring goes back to a mark only.

use std::ops::Range;

use backend::{Backend, KvRows, Precision, Tensor};
use base::Result;

/// Tokens that are written before they look back.
const STRETCH: usize = 128;

/// Rows of a ring.
pub(crate) fn room(window: usize) -> usize {
    window.saturating_sub(1).saturating_add(STRETCH)
}

/// The rings of one layer.
pub(crate) struct Windowed {
    window: usize,
    pub(crate) kept: KvRows,
    next: KvRows,
    pub(crate) marked: KvRows,
    /// The pass under way has gone on to `next`.
    moved: bool,
}

/// What stretches of tokens do with the rows they see, and with compressed ones.
pub(crate) type Look<'a> = &'a mut dyn FnMut(Range<usize>, &KvRows, Option<&KvRows>) -> Result<()>;

impl Windowed {
    pub(crate) fn new(
        window: usize,
        row: usize,
        precision: Precision,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let ring = || backend.kv_rows(room(window), row, precision);
        Ok(Self { window, kept: ring()?, next: ring()?, marked: ring()?, moved: false })
    }

    /// Positions that tokens from `end` on see before it.
    pub(crate) fn seen(&self, end: usize) -> Range<usize> {
        end.saturating_sub(self.window - 1)..end
    }

    /// Writes `rows` of `from` from position `at` on, where `len` tokens are kept, stretch by stretch. What is seen
    /// `until` so many of them have come is marked.
    pub(crate) fn slide(
        &mut self,
        backend: &dyn Backend,
        (len, at, until): (usize, usize, Option<usize>),
        (from, rows): (&Tensor, Range<usize>),
        look: &mut dyn FnMut(Range<usize>, &KvRows) -> Result<()>,
    ) -> Result<()> {
        self.moved &= at > len;
        if !self.moved && at + rows.len() > len + STRETCH {
            backend.copy_kv(&self.kept, self.seen(at), &mut self.next)?;
            self.moved = true;
        }
        for done in (0..rows.len()).step_by(STRETCH) {
            let end = rows.len().min(done + STRETCH);
            let stretch = rows.start + done..rows.start + end;
            let seen =
                until.filter(|until| (done + 1..=end).contains(until)).map(|until| self.seen(at + until));
            let Self { kept, next, marked, moved, .. } = self;
            let ring = if *moved { next } else { kept };
            backend.store_kv(from, stretch.clone(), ring, at + done)?;
            if let Some(seen) = seen {
                backend.copy_kv(ring, seen, marked)?;
            }
            look(stretch, ring)?;
        }
        Ok(())
    }

    /// The ring that is kept, or the one that was marked.
    pub(crate) fn at(&self, mark: bool) -> &KvRows {
        if mark { &self.marked } else { &self.kept }
    }

    /// What the pass wrote is what is kept.
    pub(crate) fn keep(&mut self) {
        if std::mem::take(&mut self.moved) {
            std::mem::swap(&mut self.kept, &mut self.next);
        }
    }

    /// What was marked is what is kept.
    pub(crate) fn back(&mut self) {
        std::mem::swap(&mut self.kept, &mut self.marked);
    }
}
