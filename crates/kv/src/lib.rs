//! What was said: the attention state of live sequences.
//!
//! A sequence keeps rows of one precision for each layer, allocated for its whole context when it starts and committed by the system as
//! it fills. What a mixer keeps of a token is its row: for latent attention the latent row, the rotated key and that of an indexer, for
//! grouped-query attention the key and the value of each of its heads. A recurrent mixer keeps a state of all tokens
//! together instead, which cannot forget the last of them, and a layer with a window the rows that it still sees: a cache
//! with such layers goes back to a mark, or to nothing. A layer with compressed rows keeps three things: the rows of its
//! window, the compressed ones, and of the last tokens what those to come are computed from.
#![forbid(unsafe_code)]

mod window;
mod keep;
mod recurrent;
mod saved;

use std::ops::Range;

pub use backend::Precision;
use backend::{Backend, KvRows, Tensor};
use base::{Error, Result};
use keep::{COMPRESSED, INPUTS, Keep, keeps};
use recurrent::Recurrent;
pub use recurrent::{TakeUp, state_bytes};
pub use saved::Saving;
use spec::ModelSpec;
use window::{Look, Windowed};

/// The attention state of one sequence.
pub struct KvCache {
    /// Of each layer what it keeps: one thing mostly.
    layers: Vec<Vec<Kept>>,
    precision: Precision,
    len: usize,
    capacity: usize,
    mark: Mark,
}

/// What is kept as [`Keep`] says.
enum Kept {
    Rows(KvRows),
    State(Box<Recurrent>),
    Window(Box<Windowed>),
}

/// A number of tokens that recurrent layers can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    /// It is to be made when a pass comes by.
    Wanted(usize),
    Made(usize),
}

/// Which beginnings of a sequence's tokens there is a way back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginnings {
    /// All.
    Any,
    /// The whole, and the first so many.
    Marked(usize),
}

impl Beginnings {
    /// How many tokens of `whole` can be gone on from when the first `shared` are wanted.
    pub fn usable(self, shared: usize, whole: usize) -> usize {
        match self {
            Self::Marked(mark) if shared < whole => Some(mark).filter(|mark| *mark <= shared).unwrap_or(0),
            _ => shared,
        }
    }
}

/// Bytes a sequence keeps of each token, rounded up where several share a row.
pub fn bytes_per_token(spec: &ModelSpec, precision: Precision) -> u64 {
    let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, precision));
    keeps.map(|keep| keep.bytes_per_token(precision)).sum()
}

impl KvCache {
    /// Room for `capacity` tokens.
    pub fn new(
        spec: &ModelSpec,
        backend: &dyn Backend,
        precision: Precision,
        capacity: usize,
    ) -> Result<Self> {
        let kept = |keep: Keep<'_>| {
            Ok(match keep {
                Keep::Rows { width, every } => {
                    Kept::Rows(backend.kv_rows(capacity / every, width, precision)?)
                }
                Keep::Window { width, window, precision } => {
                    Kept::Window(Box::new(Windowed::new(window, width, precision, backend)?))
                }
                Keep::State(net) => Kept::State(Box::new(Recurrent::new(net, backend)?)),
            })
        };
        let layer = |layer| keeps(layer, spec, precision).into_iter().map(kept).collect::<Result<_>>();
        let layers = spec.layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, precision, len: 0, capacity, mark: Mark::None })
    }

    /// Makes room for `capacity` tokens in all, keeping what is kept. Layer by layer, so that no more than one layer is
    /// in memory twice.
    pub fn reserve(&mut self, spec: &ModelSpec, backend: &dyn Backend, capacity: usize) -> Result<()> {
        if capacity <= self.capacity {
            return Ok(());
        }
        let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, self.precision));
        for (keep, kept) in keeps.zip(self.layers.iter_mut().flatten()) {
            let (Keep::Rows { width, every }, Kept::Rows(kept)) = (keep, kept) else { continue };
            let mut roomier = backend.kv_rows(capacity / every, width, self.precision)?;
            backend.copy_kv(kept, 0..self.len / every, &mut roomier)?;
            *kept = roomier;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Another cache with room for `capacity` tokens that keeps what this one does of the first `tokens`.
    pub fn fork(
        &self,
        spec: &ModelSpec,
        backend: &dyn Backend,
        tokens: usize,
        capacity: usize,
    ) -> Result<Self> {
        let tokens = self.keepable(tokens);
        let mut fork = Self::new(spec, backend, self.precision, capacity)?;
        let keeps = spec.layers.iter().flat_map(|layer| keeps(layer, spec, self.precision));
        let pairs = self.layers.iter().flatten().zip(fork.layers.iter_mut().flatten());
        for (keep, (from, to)) in keeps.zip(pairs) {
            match (from, to) {
                (Kept::Rows(from), Kept::Rows(to)) => backend.copy_kv(from, 0..keep.rows(tokens), to)?,
                (Kept::Window(from), Kept::Window(to)) => {
                    backend.copy_kv(from.at(tokens < self.len), from.seen(tokens), &mut to.kept)?;
                }
                (Kept::State(from), Kept::State(to)) if tokens > 0 => {
                    to.copy(backend, from.at(tokens < self.len))?;
                }
                _ => {}
            }
        }
        assert!(tokens <= capacity, "what is kept has room");
        fork.len = tokens;
        Ok(fork)
    }

    /// Gives up the room for more tokens than are kept. Rows that were never written take no memory, so nothing moves.
    pub fn shrink(&mut self) {
        self.capacity = self.len;
    }

    /// Tokens kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No token is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes `rows` of `from` as the tokens from position `at` on, behind the tokens kept and those written since. They
    /// are not kept until [`commit`](Self::commit), so a pass that fails or is cancelled in its middle leaves the
    /// sequence as it was.
    pub fn write(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        from: &Tensor,
        rows: Range<usize>,
        at: usize,
    ) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, rows.len())?;
        let [Kept::Rows(all), ..] = self.layers[layer].as_mut_slice() else {
            panic!("layer {layer} keeps no rows")
        };
        backend.store_kv(from, rows, all, at)
    }

    /// [Writes](Self::write) and lets the tokens look back: `look` is called with stretches of them, in order, with the
    /// rows they see, and with the compressed ones where the layer has some.
    pub fn slide(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        (from, rows): (&Tensor, Range<usize>),
        at: usize,
        look: Look<'_>,
    ) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, rows.len())?;
        let place = (self.len, at, self.until_mark(at, rows.len()));
        let Some((seen, others)) = self.layers[layer].split_first_mut() else {
            panic!("layer {layer} keeps no rows")
        };
        let compressed = others.first().and_then(|kept| match kept {
            Kept::Rows(rows) => Some(rows),
            _ => None,
        });
        match seen {
            Kept::Rows(all) => {
                backend.store_kv(from, rows.clone(), all, at)?;
                look(rows, all, compressed)
            }
            Kept::Window(ring) => {
                ring.slide(backend, place, (from, rows), &mut |stretch, rows| look(stretch, rows, compressed))
            }
            Kept::State(_) => panic!("layer {layer} keeps no rows"),
        }
    }

    /// Keeps of the tokens from position `at` on what compressed rows are computed from: `look` is called with stretches
    /// of them, in order, and with what those of the last tokens are.
    pub fn gather(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        (from, rows): (&Tensor, Range<usize>),
        at: usize,
        look: &mut dyn FnMut(Range<usize>, &KvRows) -> Result<()>,
    ) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, rows.len())?;
        let place = (self.len, at, self.until_mark(at, rows.len()));
        let Some(Kept::Window(inputs)) = self.layers[layer].get_mut(INPUTS) else {
            panic!("layer {layer} compresses nothing")
        };
        inputs.slide(backend, place, (from, rows), look)
    }

    /// Writes compressed rows, from number `at` on. Like those of tokens they are kept when the tokens they are of are.
    pub fn compress(&mut self, backend: &dyn Backend, layer: usize, from: &Tensor, at: usize) -> Result<()> {
        let Some(Kept::Rows(all)) = self.layers[layer].get_mut(COMPRESSED) else {
            panic!("layer {layer} compresses nothing")
        };
        backend.store_kv(from, 0..from.rows, all, at)
    }

    /// One layer's compressed rows: those kept, and those written since.
    pub fn compressed(&self, layer: usize) -> &KvRows {
        let Some(Kept::Rows(rows)) = self.layers[layer].get(COMPRESSED) else {
            panic!("layer {layer} compresses nothing")
        };
        rows
    }

    fn check_room(&self, at: usize, tokens: usize) -> Result<()> {
        if at + tokens <= self.capacity {
            return Ok(());
        }
        Err(Error::budget(format!(
            "the sequence has {at} tokens and {tokens} more come, but its context is {}",
            self.capacity
        )))
    }

    /// One layer's rows: those kept, and those written since.
    pub fn rows(&self, layer: usize) -> &KvRows {
        let [Kept::Rows(rows), ..] = self.layers[layer].as_slice() else {
            panic!("layer {layer} keeps no rows")
        };
        rows
    }

    /// Takes `tokens` from position `at` on through a recurrent layer, in stretches, in order. Like rows, what is written
    /// is not kept until [`commit`](Self::commit).
    pub fn recur(&mut self, layer: usize, at: usize, tokens: usize, work: TakeUp<'_>) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, tokens)?;
        let (first, begun) = (at == self.len, self.len > 0);
        let stop = self.until_mark(at, tokens);
        let [Kept::State(state)] = self.layers[layer].as_mut_slice() else {
            panic!("layer {layer} keeps no state")
        };
        state.walk((first, begun), tokens, stop, work)
    }

    /// Keeps `tokens` more, now that every layer has written them.
    pub fn commit(&mut self, tokens: usize) {
        if tokens == 0 {
            return;
        }
        self.len += tokens;
        assert!(self.len <= self.capacity, "only what was written is kept");
        self.states().for_each(Recurrent::keep);
        self.rings().for_each(Windowed::keep);
        if let Mark::Wanted(at) = self.mark
            && at <= self.len
        {
            self.mark = Mark::Made(at);
        }
    }

    /// The most tokens, up to this number, that it can go back to: any number of rows; but of a state all that were
    /// taken up, those up to the mark, or none.
    pub fn keepable(&self, tokens: usize) -> usize {
        match self.mark {
            _ if self.goes_back_anywhere() || tokens >= self.len => tokens.min(self.len),
            Mark::Made(at) if at <= tokens => at,
            _ => 0,
        }
    }

    /// Of which beginnings of the tokens kept it could go on.
    pub fn beginnings(&self) -> Beginnings {
        match self.mark {
            _ if self.goes_back_anywhere() => Beginnings::Any,
            Mark::Made(at) if at < self.len => Beginnings::Marked(at),
            _ => Beginnings::Marked(0),
        }
    }

    /// Forgets all but the first `tokens`, or the most below that it can go back to.
    pub fn truncate(&mut self, tokens: usize) {
        let keepable = self.keepable(tokens);
        if keepable < self.len {
            if self.mark == Mark::Made(keepable) {
                self.states().for_each(Recurrent::back);
                self.rings().for_each(Windowed::back);
            }
            self.mark = Mark::None;
        }
        self.len = keepable;
    }

    /// Every layer keeps the rows of all tokens.
    fn goes_back_anywhere(&self) -> bool {
        self.layers.iter().flatten().all(|kept| matches!(kept, Kept::Rows(_)))
    }

    fn rings(&mut self) -> impl Iterator<Item = &mut Windowed> {
        self.layers.iter_mut().flatten().filter_map(|kept| match kept {
            Kept::Window(ring) => Some(ring.as_mut()),
            _ => None,
        })
    }

    fn states(&mut self) -> impl Iterator<Item = &mut Recurrent> {
        self.layers.iter_mut().flatten().filter_map(|kept| match kept {
            Kept::State(state) => Some(state.as_mut()),
            _ => None,
        })
    }
}
