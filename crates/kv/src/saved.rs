//! A cache as bytes, and back: so that a prompt that many begin with is computed once, and outlives the process.
//!
//! The head says a version, the precision, the tokens, the mark and what each layer keeps; then rows and states follow, layer
//! by layer, as they are stored, each state and ring a second time as it is at the mark. Every length is known from the model before it is read, so bytes from outside allocate nothing.
//! Neither a checksum nor the model's name is in it: who keeps the bytes keeps those too.

use std::io::{Read, Write};
use std::ops::Range;

use backend::{Backend, DeltaState, KvRows, Precision, Tensor};
use base::{Context, Error, Result};
use spec::ModelSpec;

use crate::keep::keeps;
use crate::{Kept, KvCache, Mark};

const MAGIC: [u8; 8] = *b"tidemlKV";

/// Raised whenever what follows the head means something else.
const VERSION: u32 = 3;

/// Bytes that are held at once.
const PIECE: usize = 1 << 20;

/// Everything before rows and states.
fn head(spec: &ModelSpec, precision: Precision, tokens: usize, mark: usize) -> Vec<u8> {
    let place = Precision::ALL.iter().position(|one| *one == precision).unwrap_or_default();
    let mut bytes = Vec::from(MAGIC);
    for number in [VERSION, place as u32, spec.layers.len() as u32] {
        bytes.extend(number.to_le_bytes());
    }
    for keep in spec.layers.iter().flat_map(|layer| keeps(layer, spec, precision)) {
        keep.told().iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
    bytes.extend((tokens as u64).to_le_bytes());
    bytes.extend((mark as u64).to_le_bytes());
    bytes
}

/// How far a cache is written: it goes on at any later time, as long as what is kept stays as it is.
pub struct Saving {
    tokens: usize,
    /// Of all that layers keep.
    place: usize,
    row: usize,
    begun: bool,
}

impl Saving {
    /// Nothing is written yet of the first `tokens` tokens, a number that the cache could [go back
    /// to](KvCache::keepable).
    pub fn of(tokens: usize) -> Self {
        Self { tokens, place: 0, row: 0, begun: false }
    }
}

impl KvCache {
    /// Bytes that [`save`](Self::save) writes of the first `tokens` tokens.
    pub fn saved_bytes(&self, spec: &ModelSpec, tokens: usize) -> u64 {
        let keeps = || spec.layers.iter().flat_map(|layer| keeps(layer, spec, self.precision));
        let rows: u64 = keeps().map(|keep| keep.saved_rows(self.precision, tokens)).sum();
        let fixed = |tokens: usize| keeps().map(|keep| keep.saved_fixed(tokens)).sum::<u64>();
        let head = head(spec, self.precision, tokens, 0).len() as u64;
        head + rows + fixed(tokens) + fixed(self.mark_below(tokens))
    }

    /// The mark that is saved with the first `tokens` tokens; 0 for none.
    fn mark_below(&self, tokens: usize) -> usize {
        match self.mark {
            Mark::Made(at) if tokens == self.len && at < tokens => at,
            _ => 0,
        }
    }

    /// Writes what is kept of the first `tokens` tokens, a number that it could [go back to](Self::keepable); of all
    /// tokens, what is marked as well.
    ///
    /// Fails as `out` does.
    pub fn save(
        &self,
        spec: &ModelSpec,
        backend: &dyn Backend,
        tokens: usize,
        out: &mut dyn Write,
    ) -> Result<()> {
        let mut saving = Saving::of(tokens);
        while self.save_piece(spec, backend, &mut saving, out)? {}
        Ok(())
    }

    /// The same, a piece: about a MiB of rows, or a layer whose state or window does not grow. Whether there is more.
    pub fn save_piece(
        &self,
        spec: &ModelSpec,
        backend: &dyn Backend,
        saving: &mut Saving,
        out: &mut dyn Write,
    ) -> Result<bool> {
        let tokens = saving.tokens;
        let mark = self.mark_below(tokens);
        if !saving.begun {
            assert_eq!(self.keepable(tokens), tokens, "only what could be gone back to is saved");
            write(out, &head(spec, self.precision, tokens, mark))?;
            saving.begun = true;
        }
        let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, self.precision));
        let mut all = keeps.zip(self.layers.iter().flatten()).skip(saving.place);
        let Some((keep, kept)) = all.next().filter(|_| tokens > 0) else { return Ok(false) };
        let whole = keep.rows(tokens);
        let row_before = std::mem::replace(&mut saving.row, whole);
        let is_marked = tokens < self.len;
        match kept {
            Kept::Rows(rows) => {
                let count = rows_at_once(self.precision.row_bytes(rows.cols));
                saving.row = whole.min(row_before + count);
                write(out, &backend.kv_bytes(rows, row_before..saving.row)?)?;
            }
            Kept::Window(ring) => {
                write_ring(backend, ring.at(is_marked), ring.seen(tokens), out)?;
                write_ring(backend, ring.at(true), ring.seen(mark), out)?;
            }
            Kept::State(state) => {
                write_state(backend, state.at(is_marked), out)?;
                if mark > 0 {
                    write_state(backend, state.at(true), out)?;
                }
            }
        }
        if saving.row < whole {
            return Ok(true);
        }
        (saving.place, saving.row) = (saving.place + 1, 0);
        Ok(all.next().is_some())
    }

    /// A cache with room for `capacity` tokens that keeps what was [saved](Self::save) of one of the same model.
    ///
    /// Refuses bytes of another model or precision, more tokens than there is room for, and bytes that end early.
    pub fn restore(
        spec: &ModelSpec,
        backend: &dyn Backend,
        precision: Precision,
        capacity: usize,
        input: &mut dyn Read,
    ) -> Result<Self> {
        let place = || "what was kept of a sequence";
        let (tokens, mark) = read_head(spec, precision, input).within(place)?;
        if tokens > capacity as u64 {
            let error = format!("{tokens} tokens; there is room for {capacity}");
            return Err(Error::budget(error).within(place()));
        }
        let (tokens, mark) = (tokens as usize, mark as usize);
        let mut cache = Self::new(spec, backend, precision, capacity)?;
        let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, precision));
        for (keep, kept) in keeps.zip(cache.layers.iter_mut().flatten()).filter(|_| tokens > 0) {
            match kept {
                Kept::Rows(rows) => read_rows(backend, 0..keep.rows(tokens), rows, input),
                Kept::Window(ring) => {
                    let (seen, marked) = (ring.seen(tokens), ring.seen(mark));
                    read_rows(backend, seen, &mut ring.kept, input)
                        .and_then(|()| read_rows(backend, marked, &mut ring.marked, input))
                }
                Kept::State(state) if mark == 0 => read_state(backend, &mut state.kept, input),
                Kept::State(state) => read_state(backend, &mut state.kept, input)
                    .and_then(|()| read_state(backend, &mut state.marked, input)),
            }
            .within(place)?;
        }
        cache.len = tokens;
        if mark > 0 {
            cache.mark = Mark::Made(mark);
        }
        Ok(cache)
    }
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|error| Error::io("writing what attention keeps", &error))
}

fn write_ring(
    backend: &dyn Backend,
    ring: &KvRows,
    positions: Range<usize>,
    out: &mut dyn Write,
) -> Result<()> {
    for piece in pieces(positions, ring.rows, ring.precision.row_bytes(ring.cols)) {
        write(out, &backend.kv_bytes(ring, piece)?)?;
    }
    Ok(())
}

fn write_state(backend: &dyn Backend, state: &DeltaState, out: &mut dyn Write) -> Result<()> {
    for tensor in [&state.inputs, &state.heads] {
        for row in 0..tensor.rows {
            let numbers = backend.to_host(tensor, row..row + 1)?;
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            write(out, &bytes)?;
        }
    }
    Ok(())
}

fn read_state(backend: &dyn Backend, state: &mut DeltaState, input: &mut dyn Read) -> Result<()> {
    for tensor in [&mut state.inputs, &mut state.heads] {
        *tensor = read_tensor(backend, (tensor.rows, tensor.cols), input)?;
    }
    Ok(())
}

/// Reads the rows of these positions to where they lie in `rows`.
fn read_rows(
    backend: &dyn Backend,
    positions: Range<usize>,
    rows: &mut KvRows,
    input: &mut dyn Read,
) -> Result<()> {
    let row_bytes = rows.precision.row_bytes(rows.cols);
    let mut bytes = Vec::new();
    for piece in pieces(positions, rows.rows, row_bytes) {
        bytes.resize(piece.len() * row_bytes, 0);
        read_exact(input, &mut bytes)?;
        backend.set_kv_bytes(&bytes, rows, piece.start)?;
    }
    Ok(())
}

/// A tensor of the model's own size.
fn read_tensor(backend: &dyn Backend, (rows, cols): (usize, usize), input: &mut dyn Read) -> Result<Tensor> {
    let mut bytes = vec![0; rows * cols * size_of::<f32>()];
    read_exact(input, &mut bytes)?;
    backend.upload(rows, cols, bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Rows of about a piece.
fn rows_at_once(row_bytes: usize) -> usize {
    (PIECE / row_bytes.max(1)).max(1)
}

/// The rows that hold these positions, of `room`, in runs of about a piece.
fn pieces(positions: Range<usize>, room: usize, row_bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut at, end) = (positions.start, positions.end);
    std::iter::from_fn(move || {
        let row = at % room.max(1);
        let count = rows_at_once(row_bytes).min(room - row).min(end - at);
        at += count;
        (count > 0).then_some(row..row + count)
    })
}

/// The number of tokens and the mark, if everything before them is as this model has it.
fn read_head(spec: &ModelSpec, precision: Precision, input: &mut dyn Read) -> Result<(u64, u64)> {
    let expected = head(spec, precision, 0, 0);
    let (expected, _) = expected.split_at(expected.len() - 2 * size_of::<u64>());
    let mut found = vec![0; expected.len()];
    let (start, rest) = found.split_at_mut(MAGIC.len() + size_of::<u32>());
    read_exact(input, start)?;
    if start[..] != expected[..start.len()] {
        return Err(Error::unsupported(format!("its head is not that of version {VERSION}")));
    }
    read_exact(input, rest)?;
    if rest[..] != expected[start.len()..] {
        return Err(Error::input("it was kept of another model, or in another precision"));
    }
    let mut number = || -> Result<u64> {
        let mut bytes = [0; size_of::<u64>()];
        read_exact(input, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (tokens, mark) = (number()?, number()?);
    if mark > 0 && mark >= tokens {
        return Err(Error::corrupt(format!("a mark at {mark} of {tokens} tokens")));
    }
    Ok((tokens, mark))
}

fn read_exact(input: &mut dyn Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::corrupt("it ends early"),
        _ => Error::io("reading", &error),
    })
}
