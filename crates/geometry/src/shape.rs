//! What a geometry declares.

/// The sizes of one published model, and how its GGUF file is laid out.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// What is typed.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Decoder layers.
    pub layers: usize,
    /// How many of them come first and have no experts; all, of a dense model.
    pub dense_layers: usize,
    /// Inner width of those, 0 where there are none.
    pub dense_inner: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Rows of the embedding and of the head.
    pub vocab: usize,
    /// Tokens of context it was made for.
    pub context: usize,
    /// Epsilon of its norms.
    pub norm_eps: f32,
    /// What mixes tokens.
    pub mixer: Mixer,
    /// Rotary position embedding.
    pub rope: Rope,
    /// The experts and their router.
    pub moe: Moe,
    /// The norm between mixer and experts, by its name in the file.
    pub second_norm: &'static str,
    /// What its tokens are.
    pub text: Text,
    /// GGUF type of routed experts when none is asked for: about what the model is downloaded in.
    pub experts: &'static str,
    /// GGUF type of all other matrices.
    pub trunk: &'static str,
}

/// What mixes tokens.
#[derive(Clone, Copy, Debug)]
pub enum Mixer {
    /// Multi-head latent attention.
    Latent(Latent),
    /// Grouped-query attention.
    Grouped(Grouped),
    /// Gated DeltaNet, and now and then gated grouped-query attention.
    Alternating(Alternating),
    /// Kimi Delta Attention, and now and then latent attention.
    Kimi(Kimi),
    /// Attention to a window and to compressed rows; several residual streams, and first layers whose experts hang on the
    /// token.
    Compressed(Compressed),
}

/// DeepSeek-V4: attention to a window and to compressed rows, and what comes with it.
#[derive(Clone, Copy, Debug)]
pub struct Compressed {
    /// Query heads.
    pub heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Rank of the query projection.
    pub query_rank: usize,
    /// Groups of heads that answer together.
    pub groups: usize,
    /// Rank of their answers.
    pub group_rank: usize,
    /// Tokens of the window.
    pub window: usize,
    /// The first layers, which have no compressed rows; those behind have rows of 4 tokens and of 128 by turns.
    pub plain: usize,
    /// Base of the frequencies of those behind.
    pub theta: f32,
    /// What chooses among rows of 4.
    pub indexer: Indexer,
    /// Residual streams.
    pub streams: usize,
    /// Rounds of mixing them.
    pub rounds: usize,
    /// The first layers, whose experts hang on the token.
    pub by_token: usize,
    /// What gates and ups are clamped to.
    pub limit: f32,
}

impl Compressed {
    /// Shares of residual streams that a token has.
    pub(crate) fn shares(&self) -> usize {
        (2 + self.streams) * self.streams
    }

    /// Tokens to a compressed row of a layer; 0 where there are none.
    pub(crate) fn ratio(&self, layer: usize) -> usize {
        match layer.checked_sub(self.plain) {
            None => 0,
            Some(behind) if behind % 2 == 0 => 4,
            Some(_) => 128,
        }
    }
}

/// Multi-head latent attention.
#[derive(Clone, Copy, Debug)]
pub struct Latent {
    /// Query heads.
    pub heads: usize,
    /// Rank of the query projection; 0 where queries are projected in one step.
    pub query_rank: usize,
    /// Width of the latent row.
    pub latent: usize,
    /// Width of the part of a head that is not rotated.
    pub nope: usize,
    /// Width of the rotated part.
    pub rotated: usize,
    /// Width of a head's value.
    pub value: usize,
    /// What chooses the tokens that are attended to, where something does.
    pub indexer: Option<Indexer>,
}

/// The lightning indexer.
#[derive(Clone, Copy, Debug)]
pub struct Indexer {
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Tokens that are attended to at most.
    pub top_k: usize,
    /// The first layers, each with an indexer of its own.
    pub first: usize,
    /// Every so many from the last of those on has one; the layers between attend to what it chose.
    pub every: usize,
}

impl Indexer {
    /// Whether a layer has one of its own.
    pub(crate) fn is_in(&self, layer: usize) -> bool {
        (layer + 1).saturating_sub(self.first).is_multiple_of(self.every)
    }
}

/// Gated DeltaNet, and gated grouped-query attention in every `interval`th layer.
#[derive(Clone, Copy, Debug)]
pub struct Alternating {
    /// The attention.
    pub grouped: Grouped,
    /// Its layers are those whose number, counted from 1, this divides.
    pub interval: usize,
    /// Heads of queries and keys of the others.
    pub key_heads: usize,
    /// Heads of their values.
    pub value_heads: usize,
    /// Width of their heads.
    pub width: usize,
    /// Tokens that their convolution sees.
    pub kernel: usize,
}

/// Kimi Delta Attention, and latent attention, which is not rotated, in every `interval`th layer and the last.
#[derive(Clone, Copy, Debug)]
pub struct Kimi {
    /// The attention; the others have as many heads.
    pub latent: Latent,
    /// Its layers are those whose number, counted from 1, this divides, and the last.
    pub interval: usize,
    /// Width of the others' heads.
    pub width: usize,
    /// Tokens that their convolutions see.
    pub kernel: usize,
    /// What Kimi K3 has beside.
    pub third: Option<Third>,
}

/// What Kimi K3 has beside what Kimi-Linear has: gates of all answers, each projected in one step, and these.
#[derive(Clone, Copy, Debug)]
pub struct Third {
    /// Width that routed experts work in.
    pub width: usize,
    /// Layers of a block of the residual stream.
    pub block: usize,
    /// What gates of feed-forward networks stay below.
    pub beta: f32,
    /// What their up projections stay below.
    pub linear: f32,
    /// The least that logarithms of decays come to.
    pub bound: f32,
}

/// Grouped-query attention.
#[derive(Clone, Copy, Debug)]
pub struct Grouped {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Norms of queries and keys.
    pub norms: Norms,
    /// Which projections have a bias.
    pub biases: Biases,
    /// Tokens that every other layer sees; every head then has a sink, too.
    pub window: Option<usize>,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// None.
    None,
    /// One for all heads, each head by itself.
    Head,
    /// Over the whole row.
    Row,
}

/// Which projections of attention have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    /// None.
    None,
    /// Queries, keys and values.
    Input,
    /// The output, too; and so have the router and the experts.
    All,
}

/// Rotary position embedding.
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Rotated dimensions of a head.
    pub dims: usize,
    /// Base of the frequencies.
    pub theta: f32,
    /// Stretching.
    pub yarn: Option<Yarn>,
    /// Frequencies are divided by factors that the file holds.
    pub factors: bool,
    /// How pairs are shared out to time, height and width, where a model can see.
    pub sections: Option<[i32; 4]>,
}

/// Stretching to longer contexts.
#[derive(Clone, Copy, Debug)]
pub struct Yarn {
    /// How many times longer.
    pub factor: f32,
    /// Tokens before.
    pub original: usize,
    /// Rotations above which a frequency is kept.
    pub beta_fast: f32,
    /// Rotations below which it is divided.
    pub beta_slow: f32,
    /// A tenth of the weight on the temperature of scores, where the architecture has one.
    pub log_multiplier: Option<f32>,
}

/// The experts and their router.
#[derive(Clone, Copy, Debug)]
pub struct Moe {
    /// Routed experts of a layer.
    pub experts: usize,
    /// How many a token uses.
    pub top_k: usize,
    /// Inner width of one.
    pub inner: usize,
    /// The expert that every token uses.
    pub shared: Shared,
    /// `expert_gating_func`: 1 softmax, 2 sigmoid; `None` where the architecture implies it.
    pub gating: Option<u32>,
    /// Whether weights are renormalised, where the file says so.
    pub normalise: Option<bool>,
    /// What weights are multiplied by, where the file says so.
    pub scale: Option<f32>,
    /// Whether selection has a bias.
    pub bias: bool,
    /// Groups of experts, and how many of them a token may use.
    pub groups: Option<(usize, usize)>,
}

/// The expert that every token uses.
#[derive(Clone, Copy, Debug)]
pub enum Shared {
    /// There is none.
    None,
    /// As wide as this many routed ones.
    Count(usize),
    /// Of this inner width, behind a gate.
    Gated(usize),
}

/// What tokens are.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// `tokenizer.ggml.pre`.
    pub pre: &'static str,
    /// The control tokens.
    pub controls: &'static [Control],
}

/// A control token with its role.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Its id.
    pub id: u32,
    /// Its spelling.
    pub text: &'static str,
    /// What it is for: `bos`, `eos` or `eot`.
    pub role: &'static str,
}

impl Geometry {
    /// Layers with experts, of the first `layers`.
    pub fn expert_layers(&self, layers: usize) -> usize {
        layers.saturating_sub(self.dense_layers)
    }

    /// Of a model that alternates, whether the layer of this number, counted from 0, attends.
    pub fn attends(&self, layer: usize) -> bool {
        match self.mixer {
            Mixer::Latent(_) | Mixer::Grouped(_) | Mixer::Compressed(_) => true,
            Mixer::Alternating(Alternating { interval, .. }) => (layer + 1).is_multiple_of(interval),
            Mixer::Kimi(Kimi { interval, .. }) => {
                (layer + 1).is_multiple_of(interval) || layer + 1 == self.layers
            }
        }
    }

    /// Numbers that attention keeps of each token, over the first `layers` layers.
    pub fn kv_values_per_token(&self, layers: usize) -> usize {
        let one = match self.mixer {
            // Beyond the window, which does not grow, a share of a row.
            Mixer::Compressed(of) => {
                let shares = (0..layers).map(|layer| match of.ratio(layer) {
                    0 => 0,
                    4 => (of.head + of.indexer.head) / 4,
                    ratio => of.head / ratio,
                });
                return shares.sum();
            }
            Mixer::Latent(latent) | Mixer::Kimi(Kimi { latent, .. }) => latent.latent + latent.rotated,
            Mixer::Grouped(grouped) | Mixer::Alternating(Alternating { grouped, .. }) => {
                2 * grouped.kv_heads * grouped.head
            }
        };
        let index = match self.mixer {
            Mixer::Latent(Latent { indexer: Some(indexer), .. }) => {
                (0..layers).filter(|layer| indexer.is_in(*layer)).count() * indexer.head
            }
            _ => 0,
        };
        (0..layers).filter(|layer| self.attends(*layer)).count() * one + index
    }

    /// What Kimi K3 has beside others.
    pub fn third(&self) -> Option<Third> {
        match self.mixer {
            Mixer::Kimi(kimi) => kimi.third,
            _ => None,
        }
    }

    /// What DeepSeek-V4 has beside others.
    pub fn compressed(&self) -> Option<Compressed> {
        match self.mixer {
            Mixer::Compressed(of) => Some(of),
            _ => None,
        }
    }

    /// Width that routed experts work in.
    pub fn expert_width(&self) -> usize {
        self.third().map_or(self.hidden, |third| third.width)
    }

    /// No layer has experts.
    pub fn is_dense(&self) -> bool {
        self.dense_layers == self.layers
    }
}

impl Moe {
    /// Inner width of the shared expert; 0 when there is none.
    pub fn shared_inner(&self) -> usize {
        match self.shared {
            Shared::None => 0,
            Shared::Count(count) => count * self.inner,
            Shared::Gated(inner) => inner,
        }
    }
}
