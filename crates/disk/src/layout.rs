//! Where the extents of one record land in its buffer.
//!
//! Weight files align tensors to 8 or 32 bytes, drives read pages. So each extent keeps its offset within the page:
//! the read is widened to whole pages, the bytes stay where they fall, and nothing is copied.

use std::sync::Arc;

use base::{ALIGNMENT, Error, Extent, FileId, Result};

/// One extent and its place in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes to read.
    pub extent: Extent,
    /// Where the first of them lands. `at % ALIGNMENT == extent.offset % ALIGNMENT`, and the buffer has room for
    /// the whole pages around the extent; an empty extent lands anywhere.
    pub at: usize,
}

impl Piece {
    /// The piece's bytes within the filled `buffer`.
    ///
    /// # Panics
    /// When `buffer` is shorter than the layout the piece came from.
    pub fn of<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.at..][..self.extent.len as usize]
    }
}

/// The pieces of one record and the buffer they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Piece i is the i-th extent.
    pub pieces: Arc<[Piece]>,
    /// Bytes of buffer: a multiple of [`ALIGNMENT`].
    pub buffer_bytes: usize,
    /// Bytes of the extents themselves.
    pub bytes: u64,
}

/// Places `extents` in one buffer, in file order. Extents whose pages touch share them and are read as one.
///
/// [`Kind::Corrupt`](base::Kind::Corrupt) when an extent, or the buffer, does not fit the address space.
pub fn lay_out(extents: &[Extent]) -> Result<Layout> {
    let mut order: Vec<usize> = (0..extents.len()).filter(|i| extents[*i].len > 0).collect();
    order.sort_by_key(|i| extents[*i]);

    let mut pieces: Vec<Piece> = extents.iter().map(|extent| Piece { extent: *extent, at: 0 }).collect();
    let mut group: Option<Group> = None;
    let mut buffer_bytes = 0;
    for i in order {
        let extent = extents[i];
        let (start, end) = pages(&extent).ok_or_else(|| err_extent(&extent))?;
        let mut open = group.take().filter(|g| g.file == extent.file && start <= g.end).unwrap_or(Group {
            file: extent.file,
            start,
            end: start,
            at: buffer_bytes,
        });
        open.end = open.end.max(end);
        pieces[i].at = offset_in(open.at, extent.offset - open.start).ok_or_else(|| err_extent(&extent))?;
        buffer_bytes = offset_in(open.at, open.end - open.start).ok_or_else(|| err_extent(&extent))?;
        group = Some(open);
    }
    let bytes = extents.iter().try_fold(0u64, |sum, extent| sum.checked_add(extent.len));
    let bytes = bytes.ok_or_else(|| Error::corrupt("the extents' lengths together exceed 64 bits"))?;
    Ok(Layout { pieces: pieces.into(), buffer_bytes, bytes })
}

/// Pages of one file that are read together; `at` is where the first lands.
struct Group {
    file: FileId,
    start: u64,
    end: u64,
    at: usize,
}

/// One read: the bytes `offset..end` of `file`, the first of which lands at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub file: FileId,
    pub offset: u64,
    pub end: u64,
    pub at: usize,
}

impl Run {
    /// The same read widened to whole pages. `None` when that does not fit.
    pub fn widened(&self) -> Option<Run> {
        let lead = self.offset % ALIGNMENT as u64;
        let at = self.at.checked_sub(lead as usize)?;
        let end = self.end.checked_next_multiple_of(ALIGNMENT as u64)?;
        Some(Run { offset: self.offset - lead, end, at, ..*self })
    }

    /// The same read in runs of about equal length, of about `chunk_bytes` each, that begin and end between pages of
    /// the file.
    pub fn chunks(&self, chunk_bytes: usize) -> impl Iterator<Item = Run> {
        const PAGE: u64 = ALIGNMENT as u64;
        let first = self.offset - self.offset % PAGE;
        let chunk = (chunk_bytes as u64).max(PAGE);
        let count = ((self.end - first + chunk / 2) / chunk).max(1);
        let step = (self.end - first).div_ceil(count).next_multiple_of(PAGE);
        let whole = *self;
        (0..count).filter_map(move |i| {
            let offset = whole.offset.max(first + i * step);
            let end = whole.end.min(first + (i + 1) * step);
            // Rounding up to pages may leave nothing for the last.
            (offset < end).then(|| Run {
                offset,
                end,
                at: whole.at + (offset - whole.offset) as usize,
                ..whole
            })
        })
    }

    /// Bytes from `offset` to `end`, when memory can hold them.
    pub fn len(&self) -> Option<usize> {
        usize::try_from(self.end.checked_sub(self.offset)?).ok()
    }
}

/// One read as the system is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub file: FileId,
    /// First byte in the file.
    pub offset: u64,
    /// Where it lands in the buffer.
    pub at: usize,
    /// Bytes asked for.
    pub len: usize,
    /// Bytes that must come: fewer than `len` where whole pages reach past the end of the record.
    pub needed: usize,
}

/// The reads that fill `pieces` in a buffer of `buffer_bytes`. Pieces that [`lay_out`] could not have made are
/// refused, since widened reads of them would run over each other.
pub(crate) fn runs(pieces: &[Piece], buffer_bytes: usize) -> Result<Vec<Run>> {
    let mut order: Vec<&Piece> = pieces.iter().filter(|piece| piece.extent.len > 0).collect();
    order.sort_by_key(|piece| (piece.at, piece.extent));

    let mut runs: Vec<Run> = Vec::new();
    let mut free_from = 0; // first byte of the buffer behind the pages of the last run
    for piece in order {
        let Extent { file, offset, .. } = piece.extent;
        let end = piece.extent.end().ok_or_else(|| err_extent(&piece.extent))?;
        let run = Run { file, offset, end, at: piece.at };
        let wide = run.widened().ok_or_else(|| err_piece(piece))?;
        let wide_end = wide.len().and_then(|len| wide.at.checked_add(len)).ok_or_else(|| err_piece(piece))?;
        if !wide.at.is_multiple_of(ALIGNMENT) || wide_end > buffer_bytes {
            return Err(err_piece(piece));
        }
        match runs.last_mut().filter(|last| continues(last, &run)) {
            Some(last) => last.end = last.end.max(end),
            None if wide.at < free_from => return Err(err_piece(piece)),
            None => runs.push(run),
        }
        free_from = free_from.max(wide_end);
    }
    Ok(runs)
}

/// Whether `next` lands in the buffer as it lies in the file relative to `last`, on the same or the next page.
fn continues(last: &Run, next: &Run) -> bool {
    let apart = (next.at - last.at) as u64; // runs are visited in the order of `at`
    let touch = last.end.checked_next_multiple_of(ALIGNMENT as u64);
    last.file == next.file
        && last.offset.checked_add(apart) == Some(next.offset)
        && touch.is_some_and(|touch| next.offset - next.offset % ALIGNMENT as u64 <= touch)
}

/// First byte of the extent's first page, and one past the last byte of its last page.
fn pages(extent: &Extent) -> Option<(u64, u64)> {
    let end = extent.end()?.checked_next_multiple_of(ALIGNMENT as u64)?;
    Some((extent.offset - extent.offset % ALIGNMENT as u64, end))
}

fn offset_in(at: usize, by: u64) -> Option<usize> {
    at.checked_add(usize::try_from(by).ok()?)
}

fn err_extent(extent: &Extent) -> Error {
    Error::corrupt(format!("{} bytes at offset {} do not fit the address space", extent.len, extent.offset))
}

fn err_piece(piece: &Piece) -> Error {
    let Extent { offset, len, .. } = piece.extent;
    Error::input(format!("{len} bytes at offset {offset} cannot land at byte {} of the buffer", piece.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = ALIGNMENT as u64;

    fn extent(file: u32, offset: u64, len: u64) -> Extent {
        Extent { file: FileId(file), offset, len }
    }

    #[test]
    fn extents_keep_their_place_in_the_page_and_share_pages_that_touch() {
        let e = extent;
        // extents, where each lands, buffer pages, reads
        let cases: [(&[Extent], &[usize], usize, usize); 9] = [
            (&[], &[], 0, 0),
            (&[e(0, 0, 4096)], &[0], 1, 1),
            (&[e(0, 4095, 2)], &[4095], 2, 1),
            (&[e(0, 100, 5000), e(0, 5100, 10)], &[100, 5100], 2, 1), // adjacent
            (&[e(0, 0, 10), e(0, 4096, 10)], &[0, 4096], 2, 1),       // pages touch
            (&[e(0, 0, 10), e(0, 8192, 10)], &[0, 4096], 2, 2),       // a page lies between
            (&[e(0, 0, 10), e(1, 4096, 10)], &[0, 4096], 2, 2),       // another file
            (&[e(0, 9000, 10), e(0, 20, 10)], &[4096 + 808, 20], 2, 2), // out of order
            (&[e(0, 50, 0), e(0, 20, 10), e(0, 25, 2)], &[0, 20, 25], 1, 1), // empty, overlapping
        ];
        for (extents, at, buffer_pages, reads) in cases {
            let layout = lay_out(extents).unwrap();
            assert_eq!(layout.pieces.iter().map(|p| p.at).collect::<Vec<_>>(), at, "{extents:?}");
            assert_eq!(layout.buffer_bytes, buffer_pages * ALIGNMENT, "{extents:?}");
            assert_eq!(layout.bytes, extents.iter().map(|e| e.len).sum::<u64>());
            assert_eq!(runs(&layout.pieces, layout.buffer_bytes).unwrap().len(), reads, "{extents:?}");
        }
    }

    #[test]
    fn extents_that_do_not_fit_are_refused() {
        for bad in [extent(0, u64::MAX, 2), extent(0, 0, u64::MAX), extent(0, u64::MAX - 10, 10)] {
            assert!(lay_out(&[bad]).is_err(), "{bad:?}");
        }
        let halves = [extent(0, 0, 1 << 63), extent(1, 0, 1 << 63)];
        assert!(lay_out(&halves).is_err());
    }

    #[test]
    fn chunks_meet_between_pages_and_are_about_equal() {
        // first byte, bytes, chunk size, lengths
        let cases: [(u64, u64, usize, &[u64]); 7] = [
            (0, 1, 4096, &[1]),
            (100, 4096, 4096, &[4096]),
            (100, 8192, 4096, &[8092, 100]),
            (5, 3 * PAGE, 1 << 20, &[3 * PAGE]),
            (PAGE + 7, 10 * PAGE, 4 * PAGE as usize, &[4 * PAGE - 7, 4 * PAGE, 2 * PAGE + 7]),
            (0, 9 * PAGE, 4 * PAGE as usize, &[5 * PAGE, 4 * PAGE]), // no crumb of one page
            (0, 10, 0, &[10]),
        ];
        for (offset, len, chunk, lengths) in cases {
            let whole = Run { file: FileId(0), offset, end: offset + len, at: 4096 + offset as usize % 4096 };
            let chunks: Vec<Run> = whole.chunks(chunk).collect();
            let found: Vec<u64> = chunks.iter().map(|run| run.end - run.offset).collect();
            assert_eq!(found, lengths, "{offset} {len} {chunk}");
            let apart = |run: &Run| (run.at - whole.at) as u64 == run.offset - whole.offset;
            assert!(chunks.iter().all(apart));
            assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].offset && pair[0].end % PAGE == 0));
        }
    }

    #[test]
    fn pieces_that_would_run_over_each_other_or_the_buffer_are_refused() {
        let piece = |offset, len, at| Piece { extent: extent(0, offset, len), at };
        let cases = [
            (vec![piece(1, 10, 0)], 4096),    // not in its place of the page
            (vec![piece(0, 4097, 0)], 4097),  // no room for the second page
            (vec![piece(0, 10, 4096)], 4096), // past the end
            (vec![piece(0, 10, 0), piece(PAGE * 9 + 20, 10, 20)], 4096), // two pages on one
            (vec![piece(u64::MAX, 2, 4095)], 1 << 20),
        ];
        for (pieces, buffer_bytes) in cases {
            assert!(runs(&pieces, buffer_bytes).is_err(), "{pieces:?}");
        }
    }
}
