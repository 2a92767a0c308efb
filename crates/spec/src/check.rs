//! What every spec must satisfy before anything is computed or allocated from it, whatever family declared it.

use base::{Error, Result};

use crate::{DeltaNet, Gqa, GroupScore, Mixer, Mla, ModelSpec, Moe, Rope, Router, Scope};

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
        let (mut routed, mut chosen) = (0, None);
        for layer in &self.layers {
            match &layer.mixer {
                Mixer::Mla(mla) => {
                    mla.check(chosen)?;
                    chosen = mla.top_k();
                }
                Mixer::Gqa(gqa) => gqa.check()?,
                Mixer::Delta(net) => net.check()?,
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
            Scope::Indexed(indexer) => {
                let (head, dims) = (indexer.head, self.rope.as_ref().map_or(0, |rope| rope.dims));
                if self.query_rank.is_none() {
                    return Err(Error::unsupported(
                        "an indexer beside queries that are projected in one step",
                    ));
                }
                let sane = (1..=HEAD_MAX).contains(&indexer.heads) && (dims..=HEAD_MAX).contains(&head);
                if !sane || indexer.top_k == 0 {
                    return Err(Error::corrupt(format!(
                        "an indexer of {} heads of {head} numbers, {dims} of them rotated, that chooses {} tokens; \
                         expected from 1 to {HEAD_MAX} heads, and numbers, and one token at least",
                        indexer.heads, indexer.top_k
                    )));
                }
                Ok(())
            }
        }
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
