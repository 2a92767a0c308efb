//! The blocks layers are made of.

mod delta;
mod dense;
mod grouped;
mod indexer;
mod latent;
mod compressed;
mod moe;
mod streamed;

use backend::{Backend, Tensor, Weight};
use base::{LayerId, Result};

use crate::portion::in_portions;
use crate::step::Step;

pub(crate) use compressed::{CompressedAttention, Compressor, Indexer as CompressedIndexer, Mixture};
pub(crate) use delta::{Delta, Inputs, Rates};
pub(crate) use dense::Gated;
pub(crate) use grouped::GroupedAttention;
pub(crate) use indexer::Indexer;
pub(crate) use latent::{Chooses, LatentAttention, LowRank};
pub(crate) use moe::{Ahead, Latent, Moe, TOGETHER_ROWS};
pub(crate) use streamed::Streamed;

/// A product, and a bias where the model has one.
pub(crate) struct Linear {
    pub(crate) weight: Weight,
    pub(crate) bias: Option<Weight>,
}

impl Linear {
    pub(crate) fn forward(&self, x: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        let mut out = backend.matmul(x, &self.weight)?;
        if let Some(bias) = &self.bias {
            backend.add_bias(&mut out, bias)?;
        }
        Ok(out)
    }
}

/// A product, in one step or through a low rank.
pub(crate) enum Projection {
    Direct(Weight),
    LowRank { down: Weight, up: Weight },
}

impl Projection {
    pub(crate) fn forward(&self, x: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        match self {
            Self::Direct(weight) => backend.matmul(x, weight),
            Self::LowRank { down, up } => backend.matmul(&backend.matmul(x, down)?, up),
        }
    }
}

/// What lets a token see those before it.
pub(crate) enum Mixer {
    Latent(Box<LatentAttention>),
    Grouped(Box<GroupedAttention>),
    Delta(Box<Delta>),
    Compressed(Box<CompressedAttention>),
}

impl Mixer {
    pub(crate) fn forward(&self, layer: LayerId, x: &Tensor, step: &mut Step<'_, '_>) -> Result<Tensor> {
        match self {
            Self::Latent(attention) => attention.forward(layer, x, step),
            Self::Grouped(attention) => attention.forward(layer, x, step),
            Self::Delta(delta) => delta.forward(layer, x, step),
            Self::Compressed(attention) => attention.forward(layer, x, step),
        }
    }
}

/// What works on each token alone.
pub(crate) enum Ffn {
    Dense(Gated),
    /// The same, where it does not stay in memory.
    Streamed(Streamed),
    Moe(Box<Moe>),
}

impl Ffn {
    /// Asks for experts that hang on the tokens alone, so that they are read while the mixer works.
    pub(crate) fn begin(&self, layer: LayerId, step: &mut Step<'_, '_>) -> Result<()> {
        match self {
            Self::Moe(moe) => moe.begin(layer, step),
            Self::Dense(_) | Self::Streamed(_) => Ok(()),
        }
    }

    pub(crate) fn forward(
        &self,
        layer: LayerId,
        x: &Tensor,
        ahead: Option<Ahead<'_>>,
        step: &mut Step<'_, '_>,
    ) -> Result<Tensor> {
        match self {
            Self::Dense(gated) => {
                in_portions(x, x.cols, step.backend, &mut |x| gated.forward(x, step.backend))
            }
            Self::Streamed(streamed) => streamed.forward(layer, x, step),
            Self::Moe(moe) => moe.forward(layer, x, ahead, step),
        }
    }
}
