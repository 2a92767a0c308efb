//! A model on paper: its layers, each a mixer and a feed-forward network, with their sizes.

/// Everything the runtime needs to know about a model that is not a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name of the family that declared it.
    pub family: &'static str,
    /// Number of rows of the embedding and of the output head.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Epsilon of the layer norms and of the final norm.
    pub norm_eps: f32,
    /// What is added to the weights of norms as they are stored: 1 where they say what they differ from 1 by. The norm
    /// of a DeltaNet's answers is none of these.
    pub norm_offset: f32,
    /// The longest context the model was made for, in tokens.
    pub context: usize,
    /// The output head is the embedding matrix.
    pub tied_head: bool,
    /// Layers past the last one that only predict several tokens ahead; they are left out.
    pub mtp_layers: usize,
    /// Layers attend to what earlier blocks of layers began with; `None` adds every answer to one stream.
    pub residuals: Option<BlockResiduals>,
    /// The residual stream is several; `None`: it is one.
    pub streams: Option<Streams>,
    /// The decoder layers, in order.
    pub layers: Vec<LayerSpec>,
}

/// Attention residuals (arXiv:2603.15031) over blocks of layers: what a mixer or a feed-forward network sees of a token is
/// a mixture of the residual streams that former blocks began with and of the present one, by a softmax over their
/// scores. A block begins with an empty stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockResiduals {
    /// Layers of a block.
    pub layers: usize,
    /// What scores are projected by is stored multiplied with the weights of the norm before.
    pub fused: bool,
}

/// Manifold-constrained hyper-connections (arXiv:2512.24880): several residual streams of the model's width. What a mixer
/// or a feed-forward network sees of a token is a weighted sum of its streams; its answer is added to each with a weight
/// of that stream, and the streams are mixed with each other. All these weights are computed from the streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streams {
    /// How many.
    pub count: usize,
    /// Times that the matrix which mixes them is divided by the sums of its rows, then of its columns.
    pub rounds: usize,
    /// What keeps these weights above 0.
    pub eps: f32,
}

impl Streams {
    /// Weights of a token: what it sees of each stream, what each gets of the answer, and how they are mixed.
    pub fn shares(&self) -> usize {
        (2 + self.count) * self.count
    }
}

impl ModelSpec {
    /// The rotations of queries and keys, each once, in the order of the first layers that rotate so.
    pub fn ropes(&self) -> Vec<&Rope> {
        let mut ropes = Vec::new();
        for rope in self.layers.iter().filter_map(|layer| layer.mixer.rope()) {
            if !ropes.contains(&rope) {
                ropes.push(rope);
            }
        }
        ropes
    }

    /// The first of these, which most models share among all layers that rotate; `None` when none does.
    pub fn rope(&self) -> Option<&Rope> {
        self.layers.iter().find_map(|layer| layer.mixer.rope())
    }

    /// Width of the residual stream, or of all of them side by side.
    pub fn residual(&self) -> usize {
        self.hidden * self.streams.map_or(1, |streams| streams.count)
    }
}

/// One decoder layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// What mixes tokens.
    pub mixer: Mixer,
    /// What works on each token alone.
    pub ffn: Ffn,
}

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

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Number of rotated dimensions.
    pub dims: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Which dimensions rotate together.
    pub pairs: RopePairs,
    /// Stretching to contexts longer than the model was first trained on.
    pub stretch: Stretch,
}

/// How a rotation is stretched to contexts longer than the model was first trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum Stretch {
    /// Not at all.
    None,
    /// By YaRN.
    Yarn(Yarn),
    /// By bands of frequencies.
    Bands(Bands),
    /// Each frequency is divided by a factor of its own, [`Role::RopeFactors`](crate::Role::RopeFactors).
    Stored,
}

/// Which two dimensions rotate together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// (2i, 2i + 1).
    Adjacent,
    /// (i, i + dims/2).
    Halves,
}

/// YaRN (arXiv:2309.00071): low frequencies are divided by `factor`, high ones kept, with a ramp between.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// How many times longer the context became.
    pub factor: f64,
    /// The context before stretching, in tokens.
    pub original_context: f64,
    /// Rotations over the original context above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// The ramp begins and ends at whole dimensions.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub magnitude: f64,
}

/// Llama 3.1's stretching: frequencies of few rotations over the original context are divided by `factor`, those of
/// many kept, and those between are mixed of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// How many times longer the context became.
    pub factor: f64,
    /// The context before stretching, in tokens.
    pub original_context: f64,
    /// Rotations up to which a frequency is divided.
    pub few: f64,
    /// Rotations from which it is kept; more than `few`.
    pub many: f64,
}

impl Rope {
    /// Angle per position of each of the `dims / 2` rotated pairs; before they are divided by stored factors, where
    /// there are some.
    pub fn frequencies(&self) -> Vec<f64> {
        let dims = self.dims as f64;
        let plain = (0..self.dims / 2).map(|i| self.theta.powf(-2.0 * i as f64 / dims));
        match &self.stretch {
            Stretch::None | Stretch::Stored => plain.collect(),
            Stretch::Bands(bands) => plain.map(|frequency| bands.stretch(frequency)).collect(),
            Stretch::Yarn(yarn) => {
                let (low, high) = yarn.ramp(dims, self.theta);
                let stretch = |(i, frequency)| yarn.stretch(frequency, (i as f64 - low) / (high - low));
                plain.enumerate().map(stretch).collect()
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub fn magnitude(&self) -> f64 {
        match &self.stretch {
            Stretch::Yarn(yarn) => yarn.magnitude,
            _ => 1.0,
        }
    }
}

impl Yarn {
    /// The dimensions where the ramp begins and ends.
    fn ramp(&self, dims: f64, theta: f64) -> (f64, f64) {
        // The dimension at which a frequency makes `turns` rotations over the original context.
        let turn = std::f64::consts::TAU;
        let at = |turns: f64| dims * (self.original_context / (turns * turn)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (at(self.beta_fast), at(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dims - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }

    /// A frequency that lies so far along the ramp.
    fn stretch(&self, frequency: f64, along: f64) -> f64 {
        let stretched = along.clamp(0.0, 1.0);
        frequency / self.factor * stretched + frequency * (1.0 - stretched)
    }
}

impl Bands {
    fn stretch(&self, frequency: f64) -> f64 {
        let turns = self.original_context * frequency / std::f64::consts::TAU;
        let kept = ((turns - self.few) / (self.many - self.few)).clamp(0.0, 1.0);
        frequency / self.factor * (1.0 - kept) + frequency * kept
    }
}

/// What works on each token alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Ffn {
    /// One gated network for every token.
    Dense {
        /// Its inner width.
        inner: usize,
        /// How its gate meets its up projection.
        gate: Gate,
    },
    /// A mixture of experts.
    Moe(Moe),
}

/// A mixture of gated experts, some of them shared by every token.
#[derive(Clone, Debug, PartialEq)]
pub struct Moe {
    /// Number of routed experts.
    pub experts: usize,
    /// Inner width of one routed expert.
    pub inner: usize,
    /// Inner width of the shared experts taken together; 0 when there are none.
    pub shared_inner: usize,
    /// The shared experts' answer is multiplied by the sigmoid of a number that the token gives.
    pub shared_scale: bool,
    /// Width that routed experts work in, with projections to it and, behind a norm, from it; `None`: the model's own.
    pub latent: Option<usize>,
    /// How the gate of an expert, routed or shared, meets its up projection.
    pub gate: Gate,
    /// All three matrices of routed experts have biases, which stay resident.
    pub biases: bool,
    /// The rows of gates and ups are stored by turns in one stack, gate first, and so are their biases.
    pub alternating: bool,
    /// How experts are chosen and weighed.
    pub router: Router,
}

impl Moe {
    /// Experts as most families have them: joined by SiLU, without biases.
    pub fn of(experts: usize, inner: usize, shared_inner: usize, router: Router) -> Self {
        Self {
            experts,
            inner,
            shared_inner,
            shared_scale: false,
            latent: None,
            gate: Gate::Silu,
            biases: false,
            alternating: false,
            router,
        }
    }
}

/// How the gate of a feed-forward network meets its up projection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// `silu(gate) * up`.
    Silu,
    /// `gate * sigmoid(alpha * gate) * (up + shift)`, the gate at most `limit` and `up` within it either way.
    Clamped {
        /// How steep the sigmoid is.
        alpha: f32,
        /// What is added to `up`.
        shift: f32,
        /// What is clamped to.
        limit: f32,
    },
    /// `soft(gate, beta) * sigmoid(gate) * soft(up, linear)`, where `soft(x, most)` is `most * tanh(x / most)`.
    Soft {
        /// What the gate stays below.
        beta: f32,
        /// What the up projection stays below.
        linear: f32,
    },
}

/// How a token's experts are chosen and weighed.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Experts a token uses.
    pub top_k: usize,
    /// Which these are hangs on what token it is alone, and a table says it; scores say only what they weigh.
    pub by_token: bool,
    /// The logits have a learned bias.
    pub logit_bias: bool,
    /// From logits to scores.
    pub score: Score,
    /// A learned bias is added to the scores for the choice, and for the choice only.
    pub bias: bool,
    /// Only the best groups of experts take part.
    pub groups: Option<Groups>,
    /// The chosen scores are divided by their sum.
    pub normalise: bool,
    /// What the weights are multiplied by, at last.
    pub scale: f32,
}

/// From router logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Each expert on its own.
    Sigmoid,
    /// Over all experts.
    Softmax,
    /// The square root of ln(1 + e^logit), each expert on its own.
    RootSoftplus,
}

/// Group-limited routing (DeepSeek-V2/V3): experts come in equal groups, and only some groups take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many groups.
    pub count: usize,
    /// How many of them a token may use.
    pub keep: usize,
    /// What a group is ranked by.
    pub score: GroupScore,
}

/// What a group of experts is ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupScore {
    /// The sum of its two best scores.
    TopTwo,
    /// Its best score.
    Best,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(stretch: Stretch) -> Rope {
        Rope { dims: 64, theta: 50_000.0, pairs: RopePairs::Adjacent, stretch }
    }

    #[test]
    fn yarn_keeps_fast_frequencies_and_divides_slow_ones() {
        // Kimi K2: both betas 1, so the ramp is a step between dimensions 19 and 20.
        let yarn = Yarn {
            factor: 32.0,
            original_context: 4096.0,
            beta_fast: 1.0,
            beta_slow: 1.0,
            truncate: true,
            magnitude: 1.0,
        };
        let (plain, stretched) = (rope(Stretch::None).frequencies(), rope(Stretch::Yarn(yarn)).frequencies());
        for i in 0..32 {
            let factor = if i < 20 { 1.0 } else { 32.0 };
            assert!((plain[i] / stretched[i] / factor - 1.0).abs() < 1e-12, "dimension {i}");
        }
    }

    #[test]
    fn bands_divide_slow_frequencies_and_mix_those_between() {
        // Llama 3.1: over 8192 tokens, up to 1 rotation is few and from 4 on many.
        let bands = Bands { factor: 8.0, original_context: 8192.0, few: 1.0, many: 4.0 };
        let of = |turns: f64| std::f64::consts::TAU * turns / 8192.0;
        for (turns, divisor) in [(0.5, 8.0), (1.0, 8.0), (4.0, 1.0), (9.0, 1.0), (2.5, 16.0 / 9.0)] {
            let found = of(turns) / bands.stretch(of(turns));
            assert!((found / divisor - 1.0).abs() < 1e-12, "{turns} rotations: {found}");
        }
    }
}
