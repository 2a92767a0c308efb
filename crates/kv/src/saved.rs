//! A cache as bytes, and back: so that a prompt that many begin with is computed once, and outlives the process.
//!
//! The head says a version, the precision, the tokens and what each layer keeps; then rows and states follow, layer by
//! layer, as they are stored. Every length is known from the model before it is read, so bytes from outside allocate nothing.
//! Neither a checksum nor the model's name is in it: who keeps the bytes keeps those too.

use std::io::{Read, Write};
use std::ops::Range;

use backend::{Backend, DeltaState, Precision, Tensor};
use base::{Context, Error, Result};
use spec::{Mixer, ModelSpec};

use crate::window::window;
use crate::{KvCache, Layer};

const MAGIC: [u8; 8] = *b"tidemlKV";

/// Raised whenever what follows the head means something else.
const VERSION: u32 = 1;

/// Bytes that are held at once.
const PIECE: usize = 1 << 20;

/// Bytes that [`KvCache::save`] writes of a cache of this model.
pub fn saved_bytes(spec: &ModelSpec, precision: Precision, tokens: usize) -> u64 {
    let states: u64 = spec.layers.iter().map(|layer| state(&layer.mixer)).sum();
    let seen = |layer| window(layer, spec).map_or(0, |window| tokens.min(window - 1));
    let rings = spec.layers.iter().map(|layer| seen(layer) * precision.row_bytes(layer.mixer.row()));
    let rings = rings.sum::<usize>() as u64;
    head(spec, precision, tokens).len() as u64
        + crate::bytes_per_token(spec, precision) * tokens as u64
        + rings
        + if tokens > 0 { states } else { 0 }
}

/// Bytes of a state that does not grow.
fn state(mixer: &Mixer) -> u64 {
    match mixer {
        Mixer::Delta(net) => DeltaState::bytes(net),
        _ => 0,
    }
}

/// Everything before rows and states.
fn head(spec: &ModelSpec, precision: Precision, tokens: usize) -> Vec<u8> {
    let place = Precision::ALL.iter().position(|one| *one == precision).unwrap_or_default();
    let mut bytes = Vec::from(MAGIC);
    for number in [VERSION, place as u32, spec.layers.len() as u32] {
        bytes.extend(number.to_le_bytes());
    }
    for layer in &spec.layers {
        bytes.extend((layer.mixer.row() as u64).to_le_bytes());
        let fixed = window(layer, spec).map_or(state(&layer.mixer), |window| window as u64);
        bytes.extend(fixed.to_le_bytes());
    }
    bytes.extend((tokens as u64).to_le_bytes());
    bytes
}

impl KvCache {
    /// Writes what is kept of the first `tokens` tokens, a number that it could [go back to](Self::keepable).
    ///
    /// Fails as `out` does.
    pub fn save(
        &self,
        spec: &ModelSpec,
        backend: &dyn Backend,
        tokens: usize,
        out: &mut dyn Write,
    ) -> Result<()> {
        assert_eq!(self.keepable(tokens), tokens, "only what could be gone back to is saved");
        let failed = |error: std::io::Error| Error::io("writing what attention keeps", &error);
        out.write_all(&head(spec, self.precision, tokens)).map_err(failed)?;
        for layer in &self.layers {
            let (rows, positions) = match layer {
                Layer::Rows(rows) => (rows, 0..tokens),
                Layer::Window(ring) => (ring.at(tokens < self.len()), ring.seen(tokens)),
                Layer::State(_) if tokens == 0 => continue,
                Layer::State(state) => {
                    let state = state.at(tokens < self.len());
                    for tensor in [&state.inputs, &state.heads] {
                        for row in 0..tensor.rows {
                            let numbers = backend.to_host(tensor, row..row + 1)?;
                            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                            out.write_all(&bytes).map_err(failed)?;
                        }
                    }
                    continue;
                }
            };
            for piece in pieces(positions, rows.rows, self.precision.row_bytes(rows.cols)) {
                let bytes = backend.kv_bytes(rows, piece)?;
                out.write_all(&bytes).map_err(failed)?;
            }
        }
        Ok(())
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
        let tokens = read_head(spec, precision, input).within(place)?;
        if tokens > capacity as u64 {
            let error = format!("{tokens} tokens; there is room for {capacity}");
            return Err(Error::budget(error).within(place()));
        }
        let tokens = tokens as usize;
        let mut cache = Self::new(spec, backend, precision, capacity)?;
        let mut bytes = Vec::new();
        for layer in &mut cache.layers {
            let (rows, positions) = match layer {
                Layer::Rows(rows) => (rows, 0..tokens),
                Layer::Window(ring) => {
                    let seen = ring.seen(tokens);
                    (ring.kept_mut(), seen)
                }
                Layer::State(_) if tokens == 0 => continue,
                Layer::State(state) => {
                    for tensor in [&mut state.kept.inputs, &mut state.kept.heads] {
                        *tensor = read_tensor(backend, (tensor.rows, tensor.cols), input).within(place)?;
                    }
                    continue;
                }
            };
            let row_bytes = precision.row_bytes(rows.cols);
            for piece in pieces(positions, rows.rows, row_bytes) {
                bytes.resize(piece.len() * row_bytes, 0);
                read_exact(input, &mut bytes).within(place)?;
                backend.set_kv_bytes(&bytes, rows, piece.start)?;
            }
        }
        cache.len = tokens;
        Ok(cache)
    }
}

/// A tensor of the model's own size.
fn read_tensor(backend: &dyn Backend, (rows, cols): (usize, usize), input: &mut dyn Read) -> Result<Tensor> {
    let mut bytes = vec![0; rows * cols * size_of::<f32>()];
    read_exact(input, &mut bytes)?;
    backend.upload(rows, cols, bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// The rows that hold these positions, of `room`, in runs of about a piece.
fn pieces(positions: Range<usize>, room: usize, row_bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let (mut at, end) = (positions.start, positions.end);
    std::iter::from_fn(move || {
        let row = at % room.max(1);
        let count = (PIECE / row_bytes.max(1)).max(1).min(room - row).min(end - at);
        at += count;
        (count > 0).then_some(row..row + count)
    })
}

/// The number of tokens, if everything before it is as this model has it.
fn read_head(spec: &ModelSpec, precision: Precision, input: &mut dyn Read) -> Result<u64> {
    let expected = head(spec, precision, 0);
    let (expected, _) = expected.split_at(expected.len() - size_of::<u64>());
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
    let mut tokens = [0; size_of::<u64>()];
    read_exact(input, &mut tokens)?;
    Ok(u64::from_le_bytes(tokens))
}

fn read_exact(input: &mut dyn Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::corrupt("it ends early"),
        _ => Error::io("reading", &error),
    })
}
