//! Long passes in portions: what works on rows alone, or on a sequence from its front to its back, need not hold what
//! it works in for all rows at once.
//!
//! A prompt is computed in one pass where memory allows, so that each expert is read once for all of its tokens. What
//! that costs of memory is the residual stream and the experts' answers; everything else is bounded by a portion.

use std::ops::Range;

use backend::{Backend, Chosen, Rotation, Span, Tensor};
use base::Result;

/// Rows of a portion. Weights of the trunk are read from memory once for each.
pub(crate) const PORTION: usize = 512;

/// What the mixers of one portion work with.
pub(crate) struct Portion {
    /// Of the pass.
    pub(crate) rows: Range<usize>,
    /// Of every entry, counted from the first of `rows`.
    pub(crate) spans: Vec<Span>,
    /// As the step has them.
    pub(crate) rotations: Vec<Rotation>,
    /// As the step has it, of the tokens of this portion.
    pub(crate) chosen: Vec<Option<Chosen>>,
}

/// The portions of a pass, each with a span for every entry and the rotations that `rotate` makes of its positions. None
/// when the pass is no longer than one.
pub(crate) fn portions(spans: &[Span], rotate: &dyn Fn(&[Span]) -> Vec<Rotation>) -> Vec<Portion> {
    let count = spans.last().map_or(0, |span| span.rows.end);
    if count <= PORTION {
        return Vec::new();
    }
    let portion = |first: usize| {
        let rows = first..count.min(first + PORTION);
        let spans: Vec<Span> = spans.iter().map(|span| part(span, &rows)).collect();
        let rotations = rotate(&spans);
        Portion { rows, spans, rotations, chosen: Vec::new() }
    };
    (0..count).step_by(PORTION).map(portion).collect()
}

/// What of a span lies in `rows`, counted from their first.
fn part(span: &Span, rows: &Range<usize>) -> Span {
    let start = span.rows.start.clamp(rows.start, rows.end);
    let end = span.rows.end.clamp(start, rows.end);
    let before = start.saturating_sub(span.rows.start).min(span.rows.len());
    Span { rows: start - rows.start..end - rows.start, start: span.start + before }
}

/// `work` on `x`, portion by portion: `[tokens, x.cols]` to `[tokens, cols]`.
pub(crate) fn in_portions(
    x: &Tensor,
    cols: usize,
    backend: &dyn Backend,
    work: &mut dyn FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if x.rows <= PORTION {
        return work(x);
    }
    let mut out = backend.room(x.rows, cols)?;
    for first in (0..x.rows).step_by(PORTION) {
        let rows = first..x.rows.min(first + PORTION);
        let mut portion = backend.room(rows.len(), x.cols)?;
        backend.copy_rows(x, rows.clone(), &mut portion, 0)?;
        let answer = work(&portion)?;
        backend.copy_rows(&answer, 0..rows.len(), &mut out, first)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_in_its_portion_where_it_stood() {
        let whole = [(0..3, 7), (3..3, 0), (3..1100, 40), (1100..1101, 9)];
        let spans = whole.map(|(rows, start)| Span { rows, start });
        let rotation = |_: &[Span]| vec![Rotation::none()];
        let portions = portions(&spans, &rotation);
        assert_eq!(
            portions.iter().map(|portion| portion.rows.clone()).collect::<Vec<_>>(),
            [0..512, 512..1024, 1024..1101]
        );
        for portion in &portions {
            let rows: usize = portion.spans.iter().map(|span| span.rows.len()).sum();
            assert_eq!(rows, portion.rows.len());
            for (part, span) in portion.spans.iter().zip(&spans).filter(|(part, _)| !part.is_empty()) {
                let place = portion.rows.start + part.rows.start - span.rows.start;
                assert_eq!(part.start, span.start + place);
            }
        }
        assert!(self::portions(&spans[..1], &rotation).is_empty());
    }
}
