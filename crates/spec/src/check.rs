//! What every spec must satisfy before anything is computed or allocated from it, whatever family declared it.

use base::{Error, Result};

use crate::{
    Compressed, DeltaNet, Gqa, GroupScore, Indexer, Mixer, Mla, ModelSpec, Moe, Rope, Router, Scope, Streams,
};

/// More layers than any model has; a file that says more is broken.
pub(crate) const LAYERS_MAX: usize = 1024;
/// More experts a layer than any model has.
const EXPERTS_MAX: usize = 1 << 14;
/// More routed experts than any model has: a table of them must be small.
const ROUTED_MAX: usize = 1 << 20;
/// Wider heads of a DeltaNet or an indexer, more of them, and longer convolutions than any model has: every sequence
/// keeps these.
const HEAD_MAX: usize = 1024;
const KERNEL_MAX: usize = 16;
/// More tokens to a compressed row than any model has, more residual streams, and more rounds of mixing them.
const RATIO_MAX: usize = 1024;
const STREAMS_MAX: usize = 16;
const ROUNDS_MAX: usize = 256;

impl ModelSpec {
    /// The spec, unless it contradicts itself or is none that could be run.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.vocab == 0 {
            return Err(Error::corrupt("the model has no token embedding"));
        }
        if self.layers.is_empty() || self.layers.len() + self.mtp_layers > LAYERS_MAX {
            let found = self.layers.len() + self.mtp_layers;
            return Err(Error::corrupt(format!("{found} layers; expected from 1 to {LAYERS_MAX}")));
        }
        finite("the epsilon of the norms", self.norm_eps.into())?;
        if self.residuals.is_some_and(|of| of.layers == 0) {
            return Err(Error::corrupt("blocks of no layers"));
        }
        self.streams.as_ref().map_or(Ok(()), Streams::check)?;
        let (mut routed, mut chosen) = (0, None);
        for layer in &self.layers {
            match &layer.mixer {
                Mixer::Mla(mla) => {
                    mla.check(chosen)?;
                    chosen = mla.top_k();
                }
                Mixer::Gqa(gqa) => gqa.check()?,
                Mixer::Delta(net) => net.check()?,
                Mixer::Compressed(compressed) => compressed.check()?,
            }
            if let Some(moe) = layer.moe() {
                moe.check()?;
                routed += moe.experts;
            }
        }
        if routed > ROUTED_MAX {
            return Err(Error::corrupt(format!("{routed} routed experts; expected at most {ROUTED_MAX}")));
        }
        Ok(self)
    }
}

impl Mla {
    /// `chosen` is how many tokens the layer before attends to, where it chooses.
    fn check(&self, chosen: Option<usize>) -> Result<()> {
        finite("the scale of attention scores", self.scale.into())?;
        self.rope.as_ref().map_or(Ok(()), Rope::check)?;
        match &self.scope {
            Scope::All => Ok(()),
            Scope::Former { top_k } if chosen == Some(*top_k) => Ok(()),
            Scope::Former { .. } => {
                Err(Error::corrupt("a layer attends to what the one before it chose, which chooses nothing"))
            }
            Scope::Indexed(_) if self.query_rank.is_none() => {
                Err(Error::unsupported("an indexer beside queries that are projected in one step"))
            }
            Scope::Indexed(indexer) => indexer.check(self.rope.as_ref().map_or(0, |rope| rope.dims)),
        }
    }
}

impl Indexer {
    /// `dims` of its numbers are rotated.
    fn check(&self, dims: usize) -> Result<()> {
        let Self { heads, head, top_k, .. } = *self;
        if (1..=HEAD_MAX).contains(&heads) && (dims..=HEAD_MAX).contains(&head) && top_k > 0 {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "an indexer of {heads} heads of {head} numbers, {dims} of them rotated, that chooses {top_k} tokens; \
             expected from 1 to {HEAD_MAX} heads, and numbers, and one token at least"
        )))
    }
}

impl Compressed {
    fn check(&self) -> Result<()> {
        let Self { heads, head, groups, window, .. } = *self;
        if groups == 0 || !heads.is_multiple_of(groups) {
            return Err(Error::corrupt(format!("{heads} heads cannot answer in {groups} groups")));
        }
        if self.rope.dims > head || head > HEAD_MAX {
            let dims = self.rope.dims;
            return Err(Error::corrupt(format!(
                "{dims} rotated dimensions of heads of {head}; expected at most {HEAD_MAX} of either"
            )));
        }
        let ratio = self.compressor.as_ref().map_or(1, |compressor| compressor.ratio);
        if window == 0 || !(1..=RATIO_MAX).contains(&ratio) {
            return Err(Error::corrupt(format!(
                "a window of {window} tokens, and rows of {ratio}; expected one at least, and at most {RATIO_MAX} to a row"
            )));
        }
        if let Some(indexer) = self.compressor.as_ref().and_then(|compressor| compressor.indexer.as_ref()) {
            indexer.check(self.rope.dims)?;
        }
        self.rope.check()
    }
}

impl Streams {
    fn check(&self) -> Result<()> {
        let Self { count, rounds, eps } = *self;
        if (1..=STREAMS_MAX).contains(&count)
            && (1..=ROUNDS_MAX).contains(&rounds)
            && (0.0..1.0).contains(&eps)
        {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "{count} residual streams, mixed in {rounds} rounds with an epsilon of {eps}; expected from 1 to \
             {STREAMS_MAX}, from 1 to {ROUNDS_MAX}, and a small number that is not below 0"
        )))
    }
}

impl Gqa {
    fn check(&self) -> Result<()> {
        let Self { heads, kv_heads, head, .. } = *self;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(Error::corrupt(format!("{heads} heads of queries cannot share {kv_heads} of keys")));
        }
        if self.rope.dims > head {
            let dims = self.rope.dims;
            return Err(Error::corrupt(format!("{dims} rotated dimensions of heads of {head}")));
        }
        self.rope.check()
    }
}

impl DeltaNet {
    fn check(&self) -> Result<()> {
        let Self { key_heads, value_heads, key, value, kernel, .. } = *self;
        if key_heads == 0 || !value_heads.is_multiple_of(key_heads) || value_heads == 0 {
            return Err(Error::corrupt(format!(
                "{value_heads} heads of values cannot share {key_heads} of keys"
            )));
        }
        if !(1..=HEAD_MAX).contains(&key) || !(1..=HEAD_MAX).contains(&value) || value_heads > HEAD_MAX {
            return Err(Error::corrupt(format!(
                "{value_heads} states of {key} x {value} numbers; expected from 1 to {HEAD_MAX} of each"
            )));
        }
        if self.kimi.is_some() && key_heads != value_heads {
            return Err(Error::corrupt(format!(
                "{key_heads} heads of keys and {value_heads} of values; expected as many of each"
            )));
        }
        if !(2..=KERNEL_MAX).contains(&kernel) {
            return Err(Error::corrupt(format!(
                "a convolution over {kernel} tokens; expected from 2 to {KERNEL_MAX}"
            )));
        }
        Ok(())
    }
}

impl Rope {
    fn check(&self) -> Result<()> {
        if self.dims == 0 || !self.dims.is_multiple_of(2) {
            return Err(Error::corrupt(format!(
                "{} rotated dimensions; expected an even number above 0",
                self.dims
            )));
        }
        finite("the magnitude of the rotation", self.magnitude())?;
        self.frequencies()
            .into_iter()
            .try_for_each(|frequency| finite("a frequency of the rotation", frequency))
    }
}

impl Moe {
    fn check(&self) -> Result<()> {
        let Router { top_k, scale, .. } = self.router;
        if self.experts > EXPERTS_MAX {
            return Err(Error::corrupt(format!(
                "{} experts a layer; expected at most {EXPERTS_MAX}",
                self.experts
            )));
        }
        if top_k == 0 || top_k > self.experts {
            return Err(Error::corrupt(format!("{top_k} experts a token of {}", self.experts)));
        }
        finite("the scale of experts' weights", scale.into())?;
        if self.latent.is_some() && self.biases {
            return Err(Error::unsupported("biases of experts that work in a width of their own"));
        }
        let Some(groups) = &self.router.groups else { return Ok(()) };
        let fits = self.experts.is_multiple_of(groups.count)
            && (1..=groups.count).contains(&groups.keep)
            && top_k <= groups.keep * (self.experts / groups.count)
            && (groups.score == GroupScore::Best || self.experts / groups.count >= 2);
        if fits {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "{} experts in {} groups of which {} are used cannot give {top_k} experts a token",
            self.experts, groups.count, groups.keep
        )))
    }
}

/// Not zero, infinite or no number: such a factor would make every answer nonsense, silently.
fn finite(what: &str, value: f64) -> Result<()> {
    let good = value.is_finite() && (value as f32).is_finite() && value as f32 != 0.0;
    if good {
        Ok(())
    } else {
        Err(Error::corrupt(format!("{what} comes to {value}; expected a finite number other than 0")))
    }
}
