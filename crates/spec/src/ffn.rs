//! What works on each token alone: one network, or experts and the rule that chooses them.

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
