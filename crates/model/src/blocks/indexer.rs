//! The lightning indexer (DeepSeek-V3.2, arXiv:2512.02556, section 2.1): which tokens attention looks at.

use backend::{Backend, Chosen, Heads, IndexQuery, KvRows, Rotation, Span, Tensor, Weight};
use base::Result;

pub(crate) struct Indexer {
    pub(crate) sizes: spec::Indexer,
    pub(crate) query: Weight,
    pub(crate) key: Weight,
    /// Of keys.
    pub(crate) norm: Weight,
    pub(crate) bias: Weight,
    /// What heads weigh.
    pub(crate) weights: Weight,
}

/// What the published class gives the norm of keys, whatever the configuration says.
const KEY_EPS: f32 = 1e-6;

/// What the tokens of a batch ask with.
pub(crate) struct Questions {
    q: Tensor,
    weights: Tensor,
}

impl Indexer {
    /// The key of each token, `[tokens, head]`.
    pub(crate) fn keys(&self, x: &Tensor, backend: &dyn Backend, rotation: &Rotation) -> Result<Tensor> {
        let mut keys = backend.matmul(x, &self.key)?;
        backend.layer_norm(&mut keys, &self.norm, &self.bias, KEY_EPS)?;
        let one = Heads { count: 1, width: self.sizes.head, offset: 0 };
        backend.rotate(&mut keys, one, &rotation.with_pairs(self.sizes.pairs))?;
        Ok(keys)
    }

    /// What each token asks with; `low` is its query in the low rank, `[tokens, query_rank]`.
    pub(crate) fn questions(
        &self,
        x: &Tensor,
        low: &Tensor,
        backend: &dyn Backend,
        rotation: &Rotation,
    ) -> Result<Questions> {
        let mut q = backend.matmul(low, &self.query)?;
        let heads = Heads { count: self.sizes.heads, width: self.sizes.head, offset: 0 };
        backend.rotate(&mut q, heads, &rotation.with_pairs(self.sizes.pairs))?;
        Ok(Questions { q, weights: backend.matmul(x, &self.weights)? })
    }

    /// The rows that the tokens of a span attend to, of those whose keys begin at column `key_at`.
    pub(crate) fn choose(
        &self,
        asked: &Questions,
        span: &Span,
        (kv, key_at): (&KvRows, usize),
        backend: &dyn Backend,
    ) -> Result<Chosen> {
        let Questions { q, weights } = asked;
        backend.choose_rows(&IndexQuery { indexer: &self.sizes, q, weights, span, kv, key_at, every: 1 })
    }
}
