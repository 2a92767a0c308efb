//! What lets a token see the ones before it, with its sizes.

use crate::rope::{Rope, RopePairs};

/// What lets a token see the ones before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixer {
    /// Multi-head latent attention.
    Mla(Mla),
    /// Grouped-query attention.
    Gqa(Gqa),
    /// Gated DeltaNet.
    Delta(DeltaNet),
    /// Attention to a window, and beyond it to rows that each stand for several tokens.
    Compressed(Compressed),
}

impl Mixer {
    /// Width of what the KV cache keeps of a token; 0 for what keeps a state instead.
    pub fn row(&self) -> usize {
        match self {
            Self::Mla(mla) => mla.cached(),
            Self::Gqa(gqa) => gqa.row(),
            Self::Delta(_) => 0,
            Self::Compressed(compressed) => compressed.head,
        }
    }

    /// The rotation of queries and keys, where there is one.
    pub fn rope(&self) -> Option<&Rope> {
        match self {
            Self::Mla(mla) => mla.rope.as_ref(),
            Self::Gqa(gqa) => Some(&gqa.rope),
            Self::Delta(_) => None,
            Self::Compressed(compressed) => Some(&compressed.rope),
        }
    }

    /// Tokens that a token sees at most where the mixer has a window, itself among them.
    pub fn window(&self) -> Option<usize> {
        match self {
            Self::Gqa(gqa) => gqa.window,
            Self::Compressed(compressed) => Some(compressed.window),
            Self::Mla(_) | Self::Delta(_) => None,
        }
    }

    /// What compresses rows, where something does.
    pub fn compressor(&self) -> Option<&Compressor> {
        match self {
            Self::Compressed(compressed) => compressed.compressor.as_ref(),
            _ => None,
        }
    }
}

/// Attention of many heads to one row a token, which is key and value at once: to those of a window, and to compressed
/// rows (DeepSeek-V4). Queries have a norm without weights, head by head; the last `rope.dims` columns of queries and
/// rows are rotated, and those of answers back; every head has a sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Compressed {
    /// Number of query heads.
    pub heads: usize,
    /// Width of a head, and of a row.
    pub head: usize,
    /// Rank of the query projection.
    pub query_rank: usize,
    /// Groups of heads whose answers are projected together, each to a rank of its own.
    pub groups: usize,
    /// That rank.
    pub group_rank: usize,
    /// Tokens that a token sees as they are, itself among them.
    pub window: usize,
    /// What it sees beyond; `None`: nothing.
    pub compressor: Option<Compressor>,
    /// The rotation.
    pub rope: Rope,
}

impl Compressed {
    /// What scores are multiplied by before the softmax.
    pub fn scale(&self) -> f32 {
        (self.head as f64).powf(-0.5) as f32
    }
}

/// How rows come about that stand for several tokens: of every stretch of `ratio` tokens one, each column a mixture of
/// what the tokens project, by a softmax over what they project besides. A row is seen by the last token of its stretch
/// and those behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Compressor {
    /// Tokens of a stretch.
    pub ratio: usize,
    /// A row is also of the stretch before its own, from which tokens project other numbers.
    pub overlaps: bool,
    /// Chooses which rows a token attends to, by rows of its own that come about likewise; `None`: to all.
    pub indexer: Option<Indexer>,
}

impl Compressor {
    /// Numbers that a token projects for each column of a row.
    pub fn parts(&self) -> usize {
        if self.overlaps { 2 } else { 1 }
    }

    /// Tokens that a row is of.
    pub fn window(&self) -> usize {
        self.ratio * self.parts()
    }

    /// Width of a compressed row, with that of the indexer behind it.
    pub fn row(&self, head: usize) -> usize {
        head + self.indexer.as_ref().map_or(0, |indexer| indexer.head)
    }

    /// Width of what a token projects for its row, and for how it is mixed.
    pub fn inputs(&self, head: usize) -> usize {
        2 * self.parts() * self.row(head)
    }
}

/// Gated DeltaNet (arXiv:2412.06464): a sequence keeps no rows but a state, for each head a matrix that fades and is
/// corrected by every token. Queries, keys and values pass a causal convolution first.
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaNet {
    /// Heads of queries and of keys.
    pub key_heads: usize,
    /// Heads of values, of states and of answers; a multiple of `key_heads`.
    pub value_heads: usize,
    /// Width of a head's query and key.
    pub key: usize,
    /// Width of a head's value.
    pub value: usize,
    /// Tokens that the convolution sees, the token itself among them.
    pub kernel: usize,
    /// Which heads of values share a head of keys.
    pub sharing: KeySharing,
    /// Queries, keys, values and output gates are one projection, head of keys by head of keys.
    pub joint_inputs: bool,
    /// Strengths and decays are one projection, likewise.
    pub joint_rates: bool,
    /// The rates of decay are stored as the logarithms of what they are the negatives of.
    pub log_rates: bool,
    /// It is Kimi Delta Attention, whose projections are none of those above.
    pub kimi: Option<KimiDelta>,
}

/// Kimi Delta Attention (arXiv:2510.26692): a decay for every row of a state and not one for all of it. Queries, keys and
/// values are projected and convolved apart, and answers are gated by sigmoids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KimiDelta {
    /// Rank of the projection that decays are computed from.
    pub decay_rank: usize,
    /// Rank of the projection of output gates; `None` when they are projected in one step.
    pub gate_rank: Option<usize>,
    /// The least that logarithms of decays come to, below 0; `None` when there is none.
    pub bound: Option<f32>,
}

/// Which heads of values share a head of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySharing {
    /// Neighbours: of `n` to a key, value head `j` uses key head `j / n`.
    Neighbours,
    /// Every so many: value head `j` uses key head `j % key_heads`.
    Strided,
}

impl DeltaNet {
    /// Width of the row that is convolved: queries, keys and values of all heads.
    pub fn channels(&self) -> usize {
        2 * self.key_heads * self.key + self.values()
    }

    /// Width of all values, and of all answers.
    pub fn values(&self) -> usize {
        self.value_heads * self.value
    }

    /// Decays of a token: one a head, or one a row of its state.
    pub fn decays(&self) -> usize {
        if self.kimi.is_some() { self.key_heads * self.key } else { self.value_heads }
    }

    /// Heads of values to a head of keys.
    pub fn per_key(&self) -> usize {
        self.value_heads / self.key_heads
    }

    /// The head of keys that a head of values uses.
    pub fn key_head(&self, value_head: usize) -> usize {
        match self.sharing {
            KeySharing::Neighbours => value_head / self.per_key(),
            KeySharing::Strided => value_head % self.key_heads,
        }
    }
}

/// Grouped-query attention (arXiv:2305.13245): several query heads share a head of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Gqa {
    /// Number of query heads.
    pub heads: usize,
    /// Number of heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Norms of queries and keys before the rotation, with the layer norms' epsilon.
    pub norm: Option<HeadNorm>,
    /// Queries come with a gate of their own width, head by head; answers are multiplied by its sigmoid.
    pub gate: bool,
    /// Queries, keys and values have biases.
    pub input_bias: bool,
    /// The output projection has a bias.
    pub output_bias: bool,
    /// Every head has a sink: a score that takes its share of the softmax and adds nothing.
    pub sinks: bool,
    /// Tokens that a token sees at most, itself among them; `None` sees all before it.
    pub window: Option<usize>,
    /// The rotation, of the first `rope.dims` columns of each head.
    pub rope: Rope,
}

/// What a norm of queries or keys is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorm {
    /// Each head alone; all share the weights.
    Head,
    /// All heads of a token together.
    Row,
}

impl Gqa {
    /// Width of what the KV cache keeps of a token: for each of `kv_heads` its key, then its value.
    pub fn row(&self) -> usize {
        2 * self.kv_heads * self.head
    }

    /// What scores are multiplied by before the softmax.
    pub fn scale(&self) -> f32 {
        (self.head as f64).powf(-0.5) as f32
    }
}

/// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values of all heads are projections of one
/// latent row per token, and that row is all the KV cache keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Mla {
    /// Number of query heads.
    pub heads: usize,
    /// Rank of the query projection; `None` when queries are projected in one step.
    pub query_rank: Option<usize>,
    /// Width of the latent row, without the rotated key.
    pub latent: usize,
    /// Width of the part of a head that is not rotated.
    pub nope: usize,
    /// Width of the rotated part of a head; one rotated key is shared by all heads.
    pub rotated: usize,
    /// Width of a head's value.
    pub value: usize,
    /// Answers are multiplied by the sigmoids of gates of their own width.
    pub gate: bool,
    /// Epsilon of the norms inside the low-rank projections.
    pub rank_eps: f32,
    /// What scores are multiplied by before the softmax.
    pub scale: f32,
    /// Which of the tokens before it a token attends to.
    pub scope: Scope,
    /// The rotation; `None` when what else is rotated is as the rest.
    pub rope: Option<Rope>,
}

impl Mla {
    /// Width of one head's query and key.
    pub fn head(&self) -> usize {
        self.nope + self.rotated
    }

    /// Width of what attention reads of a token: the latent row and the rotated key.
    pub fn row(&self) -> usize {
        self.latent + self.rotated
    }

    /// Width of what the KV cache keeps of a token: the same, and behind it the indexer's key, where there is one.
    pub fn cached(&self) -> usize {
        match &self.scope {
            Scope::Indexed(indexer) => self.row() + indexer.head,
            Scope::All | Scope::Former { .. } => self.row(),
        }
    }

    /// Tokens that a token attends to at most; `None` attends to all before it.
    pub fn top_k(&self) -> Option<usize> {
        match &self.scope {
            Scope::All => None,
            Scope::Indexed(indexer) => Some(indexer.top_k),
            Scope::Former { top_k } => Some(*top_k),
        }
    }
}

/// Which of the tokens up to itself a token attends to.
#[derive(Clone, Debug, PartialEq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that an indexer of this layer likes best.
    Indexed(Indexer),
    /// The same as in the layer before.
    Former {
        /// How many.
        top_k: usize,
    },
}

/// The lightning indexer (DeepSeek-V3.2, arXiv:2512.02556): a small attention whose scores say which tokens the real
/// one attends to. A token's score is the sum over heads of their weights times the positive part of their products.
#[derive(Clone, Debug, PartialEq)]
pub struct Indexer {
    /// Number of heads.
    pub heads: usize,
    /// Width of a head's query, and of the one key of a token; the first dimensions are rotated as attention's are, or
    /// the last where they are in attention.
    pub head: usize,
    /// Tokens that are chosen at most. Of equal scores the earlier token's counts.
    pub top_k: usize,
    /// Which dimensions rotate together.
    pub pairs: RopePairs,
}
