//! Attention: what it works on, and which of the two forms of latent attention to compute.

use std::ops::Range;

use spec::{Compressed, Compressor, Gqa, Indexer, Mla};

use crate::{KvRows, Tensor, Weight};

/// The projections from the latent row to each head's key and value, in either published spelling.
pub enum LatentUp {
    /// Per head `[nope; value]` rows of width `latent`, in one matrix.
    Joint(Weight),
    /// Keys transposed, `[heads * latent, nope]`, and values, `[heads * value, latent]`.
    Split {
        /// `[heads * latent, nope]`.
        key: Weight,
        /// `[heads * value, latent]`.
        value: Weight,
    },
}

/// Tokens of one sequence that look back at what was said.
pub struct LatentQuery<'a> {
    /// The sizes, and the scale of the scores.
    pub mla: &'a Mla,
    /// From the latent row to keys and values.
    pub up: &'a LatentUp,
    /// Which of the two forms to compute.
    pub form: Form,
    /// Queries of the whole batch, rotated: `[tokens, heads * (nope + rotated)]`.
    pub q: &'a Tensor,
    /// Which rows of the batch, and where they stand in their sequence.
    pub span: &'a Span,
    /// The sequence's KV rows, those of these tokens among them.
    pub kv: &'a KvRows,
    /// Which of them each token attends to; `None`: all up to its own.
    pub chosen: Option<&'a Chosen>,
}

/// Tokens of one sequence that choose what they attend to.
pub struct IndexQuery<'a> {
    /// The sizes.
    pub indexer: &'a Indexer,
    /// Queries of the whole batch, rotated: `[tokens, heads * head]`.
    pub q: &'a Tensor,
    /// What heads weigh, `[tokens, heads]`.
    pub weights: &'a Tensor,
    /// Which rows of the batch, and where they stand in their sequence.
    pub span: &'a Span,
    /// The sequence's KV rows, those of these tokens among them.
    pub kv: &'a KvRows,
    /// Columns of a row before the indexer's key.
    pub key_at: usize,
    /// Tokens to a row, of which only those are seen whose tokens all are; 1 mostly.
    pub every: usize,
}

/// The cached rows that each token of a span attends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Positions, in order, token by token.
    rows: Vec<u32>,
    /// Where those of each token end.
    ends: Vec<usize>,
}

impl Chosen {
    /// Of these tokens.
    pub fn new(tokens: impl IntoIterator<Item = Vec<u32>>) -> Self {
        let mut chosen = Self { rows: Vec::new(), ends: Vec::new() };
        for rows in tokens {
            chosen.rows.extend(rows);
            chosen.ends.push(chosen.rows.len());
        }
        chosen
    }

    /// The positions of a token's rows, in order; its number counts from the first of the span.
    pub fn of(&self, token: usize) -> &[u32] {
        let start = if token == 0 { 0 } else { self.ends[token - 1] };
        &self.rows[start..self.ends[token]]
    }
}

/// The same for grouped-query attention, whose scores are multiplied by `head^-1/2`.
pub struct GroupedQuery<'a> {
    /// The sizes.
    pub gqa: &'a Gqa,
    /// Queries of the whole batch, rotated: `[tokens, heads * head]`.
    pub q: &'a Tensor,
    /// Which rows of the batch, and where they stand in their sequence.
    pub span: &'a Span,
    /// The sequence's KV rows, those of these tokens among them: for each head its key, then its value.
    pub kv: &'a KvRows,
    /// The sink of each head, where the model has them.
    pub sinks: Option<&'a Weight>,
}

/// Tokens of one sequence that look back at a window and at compressed rows.
pub struct CompressedQuery<'a> {
    /// The sizes.
    pub sizes: &'a Compressed,
    /// Queries of the whole batch, rotated: `[tokens, heads * head]`.
    pub q: &'a Tensor,
    /// Which rows of the batch, and where they stand in their sequence.
    pub span: &'a Span,
    /// The rows of their windows, those of these tokens among them.
    pub kv: &'a KvRows,
    /// Compressed rows, where the layer has them.
    pub compressed: Option<&'a KvRows>,
    /// Which of those a token attends to, and the first of its tokens among these; `None`: all that it sees.
    pub chosen: Option<(&'a Chosen, usize)>,
    /// The sink of each head.
    pub sinks: &'a Weight,
}

/// Compressed rows to be computed.
pub struct CompressQuery<'a> {
    /// The sizes.
    pub compressor: &'a Compressor,
    /// What the tokens of a sequence project for its rows.
    pub inputs: &'a KvRows,
    /// Columns before what rows are mixtures of, `[parts * width]`.
    pub key_at: usize,
    /// Columns before how they are mixed, likewise.
    pub gate_at: usize,
    /// Width of a row.
    pub width: usize,
    /// What is added by a token's place, `[ratio, parts * width]`.
    pub places: &'a Weight,
    /// Which rows.
    pub rows: Range<usize>,
}

/// The tokens of one sequence within a batch.
#[derive(Clone, Debug)]
pub struct Span {
    /// Their rows in the batch.
    pub rows: Range<usize>,
    /// Position of the first of them in its sequence; the KV rows before it were written earlier.
    pub start: usize,
}

impl Span {
    /// KV rows the last token sees.
    pub fn len(&self) -> usize {
        self.start + self.rows.len()
    }

    /// The span holds no token.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The two ways to compute latent attention. They are equal but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Queries are carried into the latent space: no work per cached token but the attention itself.
    Absorbed,
    /// Keys and values of each head are spelled out first: cheaper per query, dearer per cached token.
    Expanded,
}

impl Form {
    /// The cheaper form for a prompt's tokens, which stand at these positions of their sequence.
    ///
    /// Per head and pair of tokens absorbed costs `2 latent + rotated` multiply-adds, expanded `nope + rotated +
    /// value`. Spelling a cached row out costs `(nope + value) * latent` a head; so does carrying a query through the
    /// latent space, which was measured to take eight times as long, and turning the weights first as long as
    /// spelling 20 rows. In the shapes of Kimi K2 the forms meet at 3 tokens of a fresh prompt, and at some 170 that
    /// follow a long one. A token that chooses what it attends to meets no more than that when absorbed, and everything
    /// when expanded: in the shapes of DeepSeek-V3.2 absorbed is cheaper again from some 20 thousand tokens on.
    pub fn cheaper(mla: &Mla, prompt: &Range<usize>) -> Self {
        let (absorbed, expanded) = (2 * mla.latent + mla.rotated, mla.nope + mla.rotated + mla.value);
        let row = ((mla.nope + mla.value) * mla.latent) as f64;
        let (cached, tokens) = (prompt.start as f64, prompt.len() as f64);
        let pairs = tokens * (cached + tokens / 2.0);
        let met = mla.top_k().map_or(pairs, |top_k| pairs.min(tokens * top_k as f64));
        let saved = met * absorbed as f64 - pairs * expanded.min(absorbed) as f64 + tokens * 7.0 * row;
        let spent = (20.0 + cached) * row;
        if saved > spent { Self::Expanded } else { Self::Absorbed }
    }
}
