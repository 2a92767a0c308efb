//! What was said: the attention state of live sequences.
//!
//! A sequence keeps rows of one precision for each layer, allocated for its whole context when it starts and committed by the system as
//! it fills. What a mixer keeps of a token is its row: for latent attention the latent row, the rotated key and that of an indexer, for
//! grouped-query attention the key and the value of each of its heads. A recurrent mixer keeps a state of all tokens
//! together instead, which cannot forget the last of them, and a layer with a window the rows that it still sees: a cache
//! with such layers goes back to a mark, or to nothing.
#![forbid(unsafe_code)]

mod window;
mod recurrent;
mod saved;

use std::ops::Range;

pub use backend::Precision;
use backend::{Backend, KvRows, Tensor};
use base::{Error, Result};
use recurrent::Recurrent;
pub use recurrent::{TakeUp, state_bytes};
pub use saved::Saving;
use spec::{LayerSpec, Mixer, ModelSpec};
use window::{Look, Windowed, window};

/// The attention state of one sequence.
pub struct KvCache {
    layers: Vec<Layer>,
    precision: Precision,
    len: usize,
    capacity: usize,
    mark: Mark,
}

/// What one layer keeps.
enum Layer {
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

/// Bytes a sequence keeps of each token.
pub fn bytes_per_token(spec: &ModelSpec, precision: Precision) -> u64 {
    let whole = spec.layers.iter().filter(|layer| window(layer, spec).is_none());
    whole.map(|layer| precision.row_bytes(layer.mixer.row()) as u64).sum()
}

impl KvCache {
    /// Room for `capacity` tokens.
    pub fn new(
        spec: &ModelSpec,
        backend: &dyn Backend,
        precision: Precision,
        capacity: usize,
    ) -> Result<Self> {
        let layer = |layer: &LayerSpec| {
            let row = layer.mixer.row();
            if let Some(window) = window(layer, spec) {
                return Ok(Layer::Window(Box::new(Windowed::new(window, row, precision, backend)?)));
            }
            Ok(match &layer.mixer {
                Mixer::Delta(net) => Layer::State(Box::new(Recurrent::new(net, backend)?)),
                mixer => Layer::Rows(backend.kv_rows(capacity, mixer.row(), precision)?),
            })
        };
        let layers = spec.layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, precision, len: 0, capacity, mark: Mark::None })
    }

    /// Makes room for `capacity` tokens in all, keeping what is kept. Layer by layer, so that no more than one layer is
    /// in memory twice.
    pub fn reserve(&mut self, spec: &ModelSpec, backend: &dyn Backend, capacity: usize) -> Result<()> {
        if capacity <= self.capacity {
            return Ok(());
        }
        for (layer, kept) in spec.layers.iter().zip(&mut self.layers) {
            let Layer::Rows(kept) = kept else { continue };
            let mut roomier = backend.kv_rows(capacity, layer.mixer.row(), self.precision)?;
            backend.copy_kv(kept, 0..self.len, &mut roomier)?;
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
        for (from, to) in self.layers.iter().zip(&mut fork.layers) {
            match (from, to) {
                (Layer::Rows(from), Layer::Rows(to)) => backend.copy_kv(from, 0..tokens, to)?,
                (Layer::Window(from), Layer::Window(to)) => {
                    backend.copy_kv(from.at(tokens < self.len), from.seen(tokens), &mut to.kept)?;
                }
                (Layer::State(from), Layer::State(to)) if tokens > 0 => {
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
        let Layer::Rows(all) = &mut self.layers[layer] else { panic!("layer {layer} keeps no rows") };
        backend.store_kv(from, rows, all, at)
    }

    /// [Writes](Self::write) and lets the tokens look back: `look` is called with stretches of them, in order, and with
    /// the rows they see.
    pub fn slide(
        &mut self,
        backend: &dyn Backend,
        layer: usize,
        (from, rows): (&Tensor, Range<usize>),
        at: usize,
        look: Look<'_>,
    ) -> Result<()> {
        if let Layer::Rows(_) = &self.layers[layer] {
            self.write(backend, layer, from, rows.clone(), at)?;
            return look(rows, self.rows(layer));
        }
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, rows.len())?;
        let place = (self.len, at, self.until_mark(at, rows.len()));
        let Layer::Window(ring) = &mut self.layers[layer] else { panic!("layer {layer} keeps no rows") };
        ring.slide(backend, place, (from, rows), look)
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
        let Layer::Rows(rows) = &self.layers[layer] else { panic!("layer {layer} keeps no rows") };
        rows
    }

    /// Takes `tokens` from position `at` on through a recurrent layer, in stretches, in order. Like rows, what is written
    /// is not kept until [`commit`](Self::commit).
    pub fn recur(&mut self, layer: usize, at: usize, tokens: usize, work: TakeUp<'_>) -> Result<()> {
        assert!(at >= self.len, "what is kept is not written again");
        self.check_room(at, tokens)?;
        let (first, begun) = (at == self.len, self.len > 0);
        let stop = self.until_mark(at, tokens);
        let Layer::State(state) = &mut self.layers[layer] else { panic!("layer {layer} keeps no state") };
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
        self.layers.iter().all(|layer| matches!(layer, Layer::Rows(_)))
    }

    fn rings(&mut self) -> impl Iterator<Item = &mut Windowed> {
        self.layers.iter_mut().filter_map(|layer| match layer {
            Layer::Window(ring) => Some(ring.as_mut()),
            _ => None,
        })
    }

    fn states(&mut self) -> impl Iterator<Item = &mut Recurrent> {
        self.layers.iter_mut().filter_map(|layer| match layer {
            Layer::State(state) => Some(state.as_mut()),
            _ => None,
        })
    }
}
