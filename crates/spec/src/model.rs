//! A model on paper: its layers, each a mixer and a feed-forward network, with their sizes.

use crate::ffn::Ffn;
use crate::mixer::Mixer;
use crate::rope::Rope;

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
