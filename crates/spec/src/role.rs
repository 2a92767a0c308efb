//! The closed list of what a weight can be for, and the shape each must have.

use std::fmt;

use base::{ExpertKey, LayerId};

use crate::{
    BlockResiduals, Compressed, Compressor, DeltaNet, Ffn, Gqa, HeadNorm, Indexer, KimiDelta, LayerSpec,
    Mixer, Mla, ModelSpec, Moe, Scope, Stretch,
};

/// What one weight of a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Token embedding, `[vocab, hidden]`.
    Embedding,
    /// Norm before the output head, `[hidden]`.
    OutputNorm,
    /// Output head, `[vocab, hidden]`.
    Head,
    /// What block residuals before the output norm are scored by, `[hidden]`.
    OutputScore,
    /// Norm before that, `[hidden]`.
    OutputScoreNorm,
    /// What shares of the residual streams before the output norm are projected by, `[streams, residual]`.
    OutputMix,
    /// What is added to them, `[streams]`.
    OutputMixBias,
    /// What they are multiplied by first, `[1]`.
    OutputMixScale,
    /// What each frequency of the rotation is divided by, `[dims / 2]`.
    RopeFactors,
    /// A weight every token of this layer needs.
    Layer(LayerId, LayerWeight),
    /// One matrix of one routed expert.
    Expert(ExpertKey, ExpertPart),
    /// One matrix of every routed expert of a layer, stacked: `[experts, rows, cols]`.
    Stack(LayerId, ExpertPart),
    /// Gate and up of every routed expert of a layer, stacked: `[experts, 2 * inner, hidden]`, gate rows first or
    /// by turns.
    JointStack(LayerId),
}

/// A weight every token of a layer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerWeight {
    /// Norm before the mixer, `[hidden]`.
    MixerNorm,
    /// Norm before the feed-forward network, `[hidden]`.
    FfnNorm,
    /// What block residuals before the mixer are scored by, `[hidden]`.
    MixerScore,
    /// Norm before that, `[hidden]`.
    MixerScoreNorm,
    /// What block residuals before the feed-forward network are scored by, `[hidden]`.
    FfnScore,
    /// Norm before that, `[hidden]`.
    FfnScoreNorm,
    /// What shares of the residual streams are projected by around the mixer, `[shares, residual]`.
    MixerMix,
    /// What is added to them, `[shares]`.
    MixerMixBias,
    /// What they are multiplied by first: what is seen, what gets the answer, what mixes streams, `[3]`.
    MixerMixScale,
    /// The same around the feed-forward network, `[shares, residual]`.
    FfnMix,
    /// `[shares]`
    FfnMixBias,
    /// `[3]`
    FfnMixScale,
    /// Query projection in one step, `[heads * (nope + rotated), hidden]`, `[heads * head, hidden]` or
    /// `[key_heads * key, hidden]`; with a gate of each head behind its query, twice as many rows.
    Query,
    /// Key projection, `[kv_heads * head, hidden]` or `[key_heads * key, hidden]`.
    Key,
    /// Value projection, `[kv_heads * head, hidden]` or `[values, hidden]`.
    Value,
    /// Queries, keys and values, one after another: `[(heads + 2 * kv_heads) * head, hidden]`.
    Projections,
    /// Their biases, `[(heads + 2 * kv_heads) * head]`.
    ProjectionBiases,
    /// Bias of the query projection, `[heads * head]`.
    QueryBias,
    /// Bias of the key projection, `[kv_heads * head]`.
    KeyBias,
    /// Bias of the value projection, `[kv_heads * head]`.
    ValueBias,
    /// Norm of keys, `[head]` or `[kv_heads * head]`.
    KeyNorm,
    /// First step of the query projection, `[query_rank, hidden]`.
    QueryDown,
    /// Norm between the two steps, `[query_rank]`; or of queries, `[head]` or `[heads * head]`.
    QueryNorm,
    /// Second step of the query projection, `[heads * (nope + rotated), query_rank]`.
    QueryUp,
    /// Latent row and rotated key, `[latent + rotated, hidden]`.
    LatentDown,
    /// Norm of the latent row, `[latent]`.
    LatentNorm,
    /// Keys and values from the latent row, per head `[nope; value]`: `[heads * (nope + value), latent]`.
    LatentUp,
    /// Keys from the latent row, transposed: `[heads, latent, nope]`.
    KeyUp,
    /// Values from the latent row, `[heads, value, latent]`.
    ValueUp,
    /// Queries of an indexer, `[heads * head, query_rank]`.
    IndexQuery,
    /// Key of an indexer, `[head, hidden]`; or what compresses it, `[parts * head, hidden]`.
    IndexKey,
    /// How that is mixed, `[parts * head, hidden]`.
    IndexGate,
    /// What is added to it by a token's place in its stretch, `[ratio, parts * head]`.
    IndexPlaces,
    /// Norm of that key, `[head]`.
    IndexNorm,
    /// What is added to it then, `[head]`.
    IndexBias,
    /// What an indexer's heads weigh, `[heads, hidden]`.
    IndexWeights,
    /// What compressed rows are mixtures of, `[parts * head, hidden]`.
    CompressedKey,
    /// How they are mixed, `[parts * head, hidden]`.
    CompressedGate,
    /// What is added to it by a token's place in its stretch, `[ratio, parts * head]`.
    CompressedPlaces,
    /// Norm of compressed rows, `[head]`.
    CompressedNorm,
    /// First step of the output projection, group by group, `[groups * group_rank, heads * head / groups]`.
    MixerOutDown,
    /// Output projection of the mixer, `[hidden, heads * value]` or `[hidden, heads * head]`; also that of Kimi Delta
    /// Attention, `[hidden, values]`.
    MixerOut,
    /// Bias of the output projection of the mixer, `[hidden]`.
    MixerOutBias,
    /// Sinks, `[heads]`.
    Sinks,
    /// Queries, keys and values of a DeltaNet, `[channels, hidden]`.
    Inputs,
    /// Output gates of a DeltaNet or of latent attention, `[values, hidden]` or `[heads * value, hidden]`.
    OutGate,
    /// First step of the projection of output gates, `[gate_rank, hidden]`.
    OutGateDown,
    /// Second step of the same, `[values, gate_rank]`.
    OutGateUp,
    /// Both, for each head of keys its query, key, values and gates: `[channels + values, hidden]`.
    JointInputs,
    /// Strengths of a DeltaNet's corrections, `[value_heads, hidden]`.
    Strength,
    /// What decays of a DeltaNet are computed from, `[value_heads, hidden]`.
    Decay,
    /// Both, for each head of keys its strengths and decays: `[2 * value_heads, hidden]`.
    JointRates,
    /// First step of what the decays of every row of a state are computed from, `[decay_rank, hidden]`.
    DecayDown,
    /// Second step of the same, `[decays, decay_rank]`.
    DecayUp,
    /// Bias on the decays, `[decays]`.
    DecayBias,
    /// Rates of decay below 0, `[value_heads]`; or the logarithms of their negatives.
    DecayRate,
    /// The convolution of a DeltaNet's inputs, `[channels, kernel]`, oldest token first.
    Convolution,
    /// The convolution of queries alone, `[key_heads * key, kernel]`.
    QueryConvolution,
    /// The convolution of keys alone, `[key_heads * key, kernel]`.
    KeyConvolution,
    /// The convolution of values alone, `[values, kernel]`.
    ValueConvolution,
    /// Norm of a DeltaNet's answers, `[value]`.
    AnswerNorm,
    /// Output projection of a DeltaNet, `[hidden, values]`.
    DeltaOut,
    /// Gate of a dense feed-forward network, `[inner, hidden]`.
    Gate,
    /// Up projection of a dense feed-forward network, `[inner, hidden]`.
    Up,
    /// Down projection of a dense feed-forward network, `[hidden, inner]`.
    Down,
    /// Router, `[experts, hidden]`.
    Router,
    /// Bias on the router's scores for the choice of experts, `[experts]`.
    RouterBias,
    /// The experts of each token, `[vocab, top_k]`: whole numbers.
    ExpertTable,
    /// Bias of the router's logits, `[experts]`.
    LogitBias,
    /// Biases of routed experts' gates, `[experts, inner]`.
    GateBiases,
    /// Biases of routed experts' up projections, `[experts, inner]`.
    UpBiases,
    /// Both, in turns: `[experts, 2 * inner]`.
    GateUpBiases,
    /// Biases of routed experts' down projections, `[experts, hidden]`.
    DownBiases,
    /// Gate of the shared experts, `[shared_inner, hidden]`.
    SharedGate,
    /// Up projection of the shared experts, `[shared_inner, hidden]`.
    SharedUp,
    /// Down projection of the shared experts, `[hidden, shared_inner]`.
    SharedDown,
    /// What the shared experts' answer is scaled by, `[1, hidden]`.
    SharedScale,
    /// To the width that routed experts work in, `[latent, hidden]`.
    ExpertsDown,
    /// Norm of what they answer together, `[latent]`.
    ExpertsNorm,
    /// From the width that they work in, `[hidden, latent]`.
    ExpertsUp,
}

/// One of the three matrices of a gated expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpertPart {
    /// `[inner, hidden]`.
    Gate,
    /// `[inner, hidden]`.
    Up,
    /// `[hidden, inner]`.
    Down,
}

impl ExpertPart {
    /// Gate, up, down: the order experts are described and read in.
    pub const ALL: [ExpertPart; 3] = [ExpertPart::Gate, ExpertPart::Up, ExpertPart::Down];
}

/// A [`Role`] before its layer and expert are known: what one line of a family's table of names says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A weight of the whole model.
    Model(Role),
    /// A weight of the layer the name tells.
    Layer(LayerWeight),
    /// A matrix of the layer and the expert the name tells.
    Expert(ExpertPart),
    /// A stacked matrix of the layer the name tells.
    Stack(ExpertPart),
    /// The stacked gates and ups of the layer the name tells.
    JointStack,
}

impl ModelSpec {
    /// The shape a weight must have, outermost first; `None` when this model has no such weight.
    pub fn shape(&self, role: Role) -> Option<Vec<usize>> {
        let layer = |id: LayerId| self.layers.get(id.0 as usize);
        match role {
            Role::Embedding | Role::Head => Some(vec![self.vocab, self.hidden]),
            Role::OutputNorm => Some(vec![self.hidden]),
            Role::OutputScore => self.residuals.map(|_| vec![self.hidden]),
            Role::OutputScoreNorm => self.residuals.filter(|of| !of.fused).map(|_| vec![self.hidden]),
            Role::OutputMix => self.streams.map(|of| vec![of.count, self.residual()]),
            Role::OutputMixBias => self.streams.map(|of| vec![of.count]),
            Role::OutputMixScale => self.streams.map(|_| vec![1]),
            Role::RopeFactors => {
                let stored = self.rope().filter(|rope| rope.stretch == Stretch::Stored);
                stored.map(|rope| vec![rope.dims / 2])
            }
            Role::Layer(_, LayerWeight::MixerScore | LayerWeight::FfnScore) => self.shape(Role::OutputScore),
            Role::Layer(_, LayerWeight::MixerScoreNorm | LayerWeight::FfnScoreNorm) => {
                self.shape(Role::OutputScoreNorm)
            }
            Role::Layer(_, LayerWeight::MixerMix | LayerWeight::FfnMix) => {
                self.streams.map(|of| vec![of.shares(), self.residual()])
            }
            Role::Layer(_, LayerWeight::MixerMixBias | LayerWeight::FfnMixBias) => {
                self.streams.map(|of| vec![of.shares()])
            }
            Role::Layer(_, LayerWeight::MixerMixScale | LayerWeight::FfnMixScale) => {
                self.streams.map(|_| vec![3])
            }
            Role::Layer(id, LayerWeight::ExpertTable) => {
                let router = &layer(id)?.moe()?.router;
                router.by_token.then(|| vec![self.vocab, router.top_k])
            }
            Role::Layer(id, weight) => layer(id)?.shape(weight, self.hidden),
            Role::Expert(key, part) => {
                let moe = layer(key.layer)?.moe()?;
                ((key.expert.0 as usize) < moe.experts).then(|| moe.shape(part, self.hidden).to_vec())
            }
            Role::Stack(id, part) => {
                let moe = layer(id)?.moe()?;
                let [rows, cols] = moe.shape(part, self.hidden);
                Some(vec![moe.experts, rows, cols])
            }
            Role::JointStack(id) => {
                let moe = layer(id)?.moe()?;
                Some(vec![moe.experts, 2 * moe.inner, moe.width(self.hidden)])
            }
        }
    }

    /// The weights outside the experts that a checkpoint must hold. Where a weight has two published spellings
    /// ([`LayerWeight::LatentUp`], or [`LayerWeight::KeyUp`] with [`LayerWeight::ValueUp`]), `split` says which.
    pub fn trunk(&self, split: impl Fn(LayerId) -> bool) -> Vec<Role> {
        let mut roles = vec![Role::Embedding, Role::OutputNorm];
        if !self.tied_head {
            roles.push(Role::Head);
        }
        if self.rope().is_some_and(|rope| rope.stretch == Stretch::Stored) {
            roles.push(Role::RopeFactors);
        }
        if let Some(residuals) = &self.residuals {
            roles.push(Role::OutputScore);
            roles.extend((!residuals.fused).then_some(Role::OutputScoreNorm));
        }
        if self.streams.is_some() {
            roles.extend([Role::OutputMix, Role::OutputMixBias, Role::OutputMixScale]);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let id = LayerId(index as u32);
            roles.extend(layer.weights(split(id)).into_iter().map(|weight| Role::Layer(id, weight)));
            if let Some(residuals) = &self.residuals {
                roles.extend(residuals.weights().iter().map(|weight| Role::Layer(id, *weight)));
            }
            if self.streams.is_some() {
                roles.extend(STREAM_WEIGHTS.iter().map(|weight| Role::Layer(id, *weight)));
            }
        }
        roles
    }
}

/// What every layer of a model with several residual streams has.
const STREAM_WEIGHTS: &[LayerWeight] = &[
    LayerWeight::MixerMix,
    LayerWeight::MixerMixBias,
    LayerWeight::MixerMixScale,
    LayerWeight::FfnMix,
    LayerWeight::FfnMixBias,
    LayerWeight::FfnMixScale,
];

impl BlockResiduals {
    fn weights(&self) -> &'static [LayerWeight] {
        use LayerWeight as W;
        match self.fused {
            true => &[W::MixerScore, W::FfnScore],
            false => &[W::MixerScore, W::MixerScoreNorm, W::FfnScore, W::FfnScoreNorm],
        }
    }
}

impl LayerSpec {
    /// The mixture of experts of this layer, if it has one.
    pub fn moe(&self) -> Option<&Moe> {
        match &self.ffn {
            Ffn::Moe(moe) => Some(moe),
            Ffn::Dense { .. } => None,
        }
    }

    fn weights(&self, split: bool) -> Vec<LayerWeight> {
        use LayerWeight as W;
        let mut weights = vec![W::MixerNorm, W::FfnNorm];
        match &self.mixer {
            Mixer::Mla(mla) => weights.extend(mla.weights(split)),
            Mixer::Gqa(gqa) => weights.extend(gqa.weights()),
            Mixer::Delta(net) => weights.extend(net.weights()),
            Mixer::Compressed(compressed) => weights.extend(compressed.weights()),
        }
        match &self.ffn {
            Ffn::Dense { .. } => weights.extend([W::Gate, W::Up, W::Down]),
            Ffn::Moe(moe) => {
                weights.push(W::Router);
                weights.extend(moe.router.bias.then_some(W::RouterBias));
                weights.extend(moe.router.by_token.then_some(W::ExpertTable));
                weights.extend(moe.router.logit_bias.then_some(W::LogitBias));
                weights.extend_from_slice(match (moe.biases, moe.alternating) {
                    (false, _) => &[],
                    (true, false) => &[W::GateBiases, W::UpBiases, W::DownBiases],
                    (true, true) => &[W::GateUpBiases, W::DownBiases],
                });
                if moe.latent.is_some() {
                    weights.extend([W::ExpertsDown, W::ExpertsNorm, W::ExpertsUp]);
                }
                if moe.shared_inner > 0 {
                    weights.extend([W::SharedGate, W::SharedUp, W::SharedDown]);
                    weights.extend(moe.shared_scale.then_some(W::SharedScale));
                }
            }
        }
        weights
    }

    fn shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        match weight {
            W::MixerNorm | W::FfnNorm => Some(vec![hidden]),
            W::Gate | W::Up | W::Down => match &self.ffn {
                Ffn::Dense { inner, .. } if weight == W::Down => Some(vec![hidden, *inner]),
                Ffn::Dense { inner, .. } => Some(vec![*inner, hidden]),
                Ffn::Moe(_) => None,
            },
            W::Router => Some(vec![self.moe()?.experts, hidden]),
            W::RouterBias => self.moe().filter(|moe| moe.router.bias).map(|moe| vec![moe.experts]),
            W::LogitBias => self.moe().filter(|moe| moe.router.logit_bias).map(|moe| vec![moe.experts]),
            W::GateBiases | W::UpBiases | W::GateUpBiases | W::DownBiases => {
                self.moe()?.bias_shape(weight, hidden)
            }
            W::SharedGate | W::SharedUp | W::SharedDown => {
                let inner = self.moe()?.shared_inner;
                let shape = if weight == W::SharedDown { vec![hidden, inner] } else { vec![inner, hidden] };
                (inner > 0).then_some(shape)
            }
            W::ExpertsDown => Some(vec![self.moe()?.latent?, hidden]),
            W::ExpertsNorm => Some(vec![self.moe()?.latent?]),
            W::ExpertsUp => Some(vec![hidden, self.moe()?.latent?]),
            W::SharedScale => self.moe().filter(|moe| moe.shared_scale).map(|_| vec![1, hidden]),
            _ => match &self.mixer {
                Mixer::Mla(mla) => mla.shape(weight, hidden),
                Mixer::Gqa(gqa) => gqa.shape(weight, hidden),
                Mixer::Delta(net) => net.shape(weight, hidden),
                Mixer::Compressed(compressed) => compressed.shape(weight, hidden),
            },
        }
    }
}

impl Gqa {
    fn weights(&self) -> Vec<LayerWeight> {
        use LayerWeight as W;
        let mut weights = vec![W::Query, W::Key, W::Value, W::MixerOut];
        weights.extend(self.norm.iter().flat_map(|_| [W::QueryNorm, W::KeyNorm]));
        if self.input_bias {
            weights.extend([W::QueryBias, W::KeyBias, W::ValueBias]);
        }
        weights.extend(self.output_bias.then_some(W::MixerOutBias));
        weights.extend(self.sinks.then_some(W::Sinks));
        weights
    }

    fn shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let (queries, keys) = (self.heads * self.head, self.kv_heads * self.head);
        let norm = |row: usize| {
            self.norm.map(|norm| match norm {
                HeadNorm::Head => vec![self.head],
                HeadNorm::Row => vec![row],
            })
        };
        match weight {
            W::Query => Some(vec![if self.gate { 2 * queries } else { queries }, hidden]),
            W::Key | W::Value => Some(vec![keys, hidden]),
            W::Projections => (!self.gate).then(|| vec![queries + 2 * keys, hidden]),
            W::ProjectionBiases => (!self.gate && self.input_bias).then(|| vec![queries + 2 * keys]),
            W::QueryBias => self.input_bias.then(|| vec![queries]),
            W::KeyBias | W::ValueBias => self.input_bias.then(|| vec![keys]),
            W::QueryNorm => norm(queries),
            W::KeyNorm => norm(keys),
            W::MixerOut => Some(vec![hidden, queries]),
            W::MixerOutBias => self.output_bias.then(|| vec![hidden]),
            W::Sinks => self.sinks.then(|| vec![self.heads]),
            _ => None,
        }
    }
}

impl DeltaNet {
    fn weights(&self) -> Vec<LayerWeight> {
        use LayerWeight as W;
        let mut weights = vec![W::DecayBias, W::DecayRate, W::AnswerNorm];
        if let Some(kimi) = &self.kimi {
            weights.extend([W::Query, W::Key, W::Value, W::Strength, W::DecayDown, W::DecayUp, W::MixerOut]);
            weights.extend([W::QueryConvolution, W::KeyConvolution, W::ValueConvolution]);
            weights.extend_from_slice(match kimi.gate_rank {
                Some(_) => &[W::OutGateDown, W::OutGateUp],
                None => &[W::OutGate],
            });
            return weights;
        }
        weights.extend([W::Convolution, W::DeltaOut]);
        match self.joint_inputs {
            true => weights.push(W::JointInputs),
            false => weights.extend([W::Inputs, W::OutGate]),
        }
        match self.joint_rates {
            true => weights.push(W::JointRates),
            false => weights.extend([W::Strength, W::Decay]),
        }
        weights
    }

    fn shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let (values, heads) = (self.values(), self.value_heads);
        match weight {
            W::DecayBias => Some(vec![self.decays()]),
            W::DecayRate => Some(vec![heads]),
            W::AnswerNorm => Some(vec![self.value]),
            W::Strength => (!self.joint_rates).then(|| vec![heads, hidden]),
            W::OutGate => (!self.joint_inputs).then(|| vec![values, hidden]),
            _ => match &self.kimi {
                Some(kimi) => self.kimi_shape(kimi, weight, hidden),
                None => self.gated_shape(weight, hidden),
            },
        }
    }

    fn gated_shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let (channels, values, heads) = (self.channels(), self.values(), self.value_heads);
        match weight {
            W::Inputs => (!self.joint_inputs).then(|| vec![channels, hidden]),
            W::JointInputs => self.joint_inputs.then(|| vec![channels + values, hidden]),
            W::Decay => (!self.joint_rates).then(|| vec![heads, hidden]),
            W::JointRates => self.joint_rates.then(|| vec![2 * heads, hidden]),
            W::Convolution => Some(vec![channels, self.kernel]),
            W::DeltaOut => Some(vec![hidden, values]),
            _ => None,
        }
    }

    fn kimi_shape(&self, kimi: &KimiDelta, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let (keys, values) = (self.key_heads * self.key, self.values());
        match weight {
            W::Query | W::Key => Some(vec![keys, hidden]),
            W::Value => Some(vec![values, hidden]),
            W::QueryConvolution | W::KeyConvolution => Some(vec![keys, self.kernel]),
            W::ValueConvolution => Some(vec![values, self.kernel]),
            W::DecayDown => Some(vec![kimi.decay_rank, hidden]),
            W::DecayUp => Some(vec![self.decays(), kimi.decay_rank]),
            W::OutGateDown => Some(vec![kimi.gate_rank?, hidden]),
            W::OutGateUp => Some(vec![values, kimi.gate_rank?]),
            W::MixerOut => Some(vec![hidden, values]),
            _ => None,
        }
    }
}

impl Mla {
    fn weights(&self, split: bool) -> Vec<LayerWeight> {
        use LayerWeight as W;
        let mut weights = vec![W::LatentDown, W::LatentNorm, W::MixerOut];
        weights.extend(self.gate.then_some(W::OutGate));
        match self.query_rank {
            Some(_) => weights.extend([W::QueryDown, W::QueryNorm, W::QueryUp]),
            None => weights.push(W::Query),
        }
        match split {
            true => weights.extend([W::KeyUp, W::ValueUp]),
            false => weights.push(W::LatentUp),
        }
        if let Scope::Indexed(_) = self.scope {
            weights.extend([W::IndexQuery, W::IndexKey, W::IndexNorm, W::IndexBias, W::IndexWeights]);
        }
        weights
    }

    fn shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let queries = self.heads * self.head();
        match weight {
            W::Query => self.query_rank.is_none().then(|| vec![queries, hidden]),
            W::QueryDown => Some(vec![self.query_rank?, hidden]),
            W::QueryNorm => Some(vec![self.query_rank?]),
            W::QueryUp => Some(vec![queries, self.query_rank?]),
            W::LatentDown => Some(vec![self.row(), hidden]),
            W::LatentNorm => Some(vec![self.latent]),
            W::LatentUp => Some(vec![self.heads * (self.nope + self.value), self.latent]),
            W::KeyUp => Some(vec![self.heads, self.latent, self.nope]),
            W::ValueUp => Some(vec![self.heads, self.value, self.latent]),
            W::MixerOut => Some(vec![hidden, self.heads * self.value]),
            W::OutGate => self.gate.then(|| vec![self.heads * self.value, hidden]),
            _ => match &self.scope {
                Scope::Indexed(indexer) => indexer.shape(weight, hidden, self.query_rank?),
                Scope::All | Scope::Former { .. } => None,
            },
        }
    }
}

impl Compressed {
    fn weights(&self) -> Vec<LayerWeight> {
        use LayerWeight as W;
        let mut weights = vec![W::QueryDown, W::QueryNorm, W::QueryUp, W::Key, W::KeyNorm, W::Sinks];
        weights.extend([W::MixerOutDown, W::MixerOut]);
        if let Some(compressor) = &self.compressor {
            weights.extend([W::CompressedKey, W::CompressedGate, W::CompressedPlaces, W::CompressedNorm]);
            if compressor.indexer.is_some() {
                weights.extend([W::IndexQuery, W::IndexWeights]);
                weights.extend([W::IndexKey, W::IndexGate, W::IndexPlaces, W::IndexNorm]);
            }
        }
        weights
    }

    fn shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let answers = self.heads * self.head;
        match weight {
            W::QueryDown => Some(vec![self.query_rank, hidden]),
            W::QueryNorm => Some(vec![self.query_rank]),
            W::QueryUp => Some(vec![answers, self.query_rank]),
            W::Key => Some(vec![self.head, hidden]),
            W::KeyNorm => Some(vec![self.head]),
            W::Sinks => Some(vec![self.heads]),
            W::MixerOutDown => Some(vec![self.groups * self.group_rank, answers / self.groups]),
            W::MixerOut => Some(vec![hidden, self.groups * self.group_rank]),
            _ => self.compressor.as_ref()?.shape(weight, (self.head, self.query_rank), hidden),
        }
    }
}

impl Compressor {
    fn shape(
        &self,
        weight: LayerWeight,
        (head, query_rank): (usize, usize),
        hidden: usize,
    ) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let parts = self.parts();
        match weight {
            W::CompressedKey | W::CompressedGate => Some(vec![parts * head, hidden]),
            W::CompressedPlaces => Some(vec![self.ratio, parts * head]),
            W::CompressedNorm => Some(vec![head]),
            W::IndexKey | W::IndexGate => Some(vec![parts * self.indexer.as_ref()?.head, hidden]),
            W::IndexPlaces => Some(vec![self.ratio, parts * self.indexer.as_ref()?.head]),
            W::IndexQuery | W::IndexWeights | W::IndexNorm => {
                self.indexer.as_ref()?.shape(weight, hidden, query_rank)
            }
            _ => None,
        }
    }
}

impl Indexer {
    fn shape(&self, weight: LayerWeight, hidden: usize, query_rank: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        match weight {
            W::IndexQuery => Some(vec![self.heads * self.head, query_rank]),
            W::IndexKey => Some(vec![self.head, hidden]),
            W::IndexNorm | W::IndexBias => Some(vec![self.head]),
            W::IndexWeights => Some(vec![self.heads, hidden]),
            _ => None,
        }
    }
}

impl Moe {
    /// Shape `[rows, cols]` of one matrix of one routed expert.
    pub fn shape(&self, part: ExpertPart, hidden: usize) -> [usize; 2] {
        match part {
            ExpertPart::Gate | ExpertPart::Up => [self.inner, self.width(hidden)],
            ExpertPart::Down => [self.width(hidden), self.inner],
        }
    }

    /// Width that routed experts work in, of a model so wide.
    pub fn width(&self, hidden: usize) -> usize {
        self.latent.unwrap_or(hidden)
    }
}

impl Moe {
    fn bias_shape(&self, weight: LayerWeight, hidden: usize) -> Option<Vec<usize>> {
        use LayerWeight as W;
        let width = match weight {
            W::GateBiases | W::UpBiases if !self.alternating => self.inner,
            W::GateUpBiases if self.alternating => 2 * self.inner,
            W::DownBiases => hidden,
            _ => return None,
        };
        self.biases.then(|| vec![self.experts, width])
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Layer(layer, weight) => write!(f, "{weight:?} of layer {}", layer.0),
            Role::Expert(key, part) => write!(f, "{part:?} of {key}"),
            Role::JointStack(layer) => write!(f, "Gate and Up of all experts of layer {}", layer.0),
            Role::Stack(layer, part) => write!(f, "{part:?} of all experts of layer {}", layer.0),
            whole => write!(f, "{whole:?}"),
        }
    }
}
