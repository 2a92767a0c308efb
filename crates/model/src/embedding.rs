//! From tokens to the first residual stream.
//!
//! A token needs one row of the table, so a table that is not also the output head stays on the drive: 2.3 GB of Kimi
//! K2 in bf16, for 14 KB a token. Rows are read as they are needed and looked up like those of a resident table.

use std::collections::BTreeMap;
use std::sync::Arc;

use backend::{Backend, Tensor, Weight};
use base::{Context, Extent, Result, TokenId};
use manifest::Stored;

/// Reads bytes of the model's files while it runs: fills a buffer of the extent's length.
pub trait RowSource: Send + Sync {
    /// Fills `out`, whose length is the extent's.
    fn read(&self, extent: Extent, out: &mut [u8]) -> Result<()>;
}

pub(crate) enum Embedding {
    /// The whole table, which is also the output head.
    Resident(Weight),
    /// Row by row from the drive.
    Rows { stored: Stored, source: Arc<dyn RowSource> },
}

impl Embedding {
    /// `[tokens, hidden]`
    pub(crate) fn look_up(&self, tokens: &[TokenId], backend: &dyn Backend) -> Result<Tensor> {
        match self {
            Self::Resident(table) => backend.embed(table, tokens),
            Self::Rows { stored, source } => {
                look_up(stored, source.as_ref(), tokens, backend).within(|| format!("tensor {}", stored.name))
            }
        }
    }
}

fn look_up(
    stored: &Stored,
    source: &dyn RowSource,
    tokens: &[TokenId],
    backend: &dyn Backend,
) -> Result<Tensor> {
    let mut places: BTreeMap<TokenId, TokenId> = BTreeMap::new();
    for token in tokens {
        let next = places.len() as TokenId;
        places.entry(*token).or_insert(next);
    }
    let row_bytes = (stored.values.len / stored.rows as u64) as usize;
    let mut values = vec![0; places.len() * row_bytes];
    for (token, place) in &places {
        let offset = stored.values.offset + u64::from(*token) * row_bytes as u64;
        let extent = Extent { file: stored.values.file, offset, len: row_bytes as u64 };
        source.read(extent, &mut values[*place as usize * row_bytes..][..row_bytes])?;
    }
    let rows: Vec<TokenId> = tokens.iter().map(|token| places[token]).collect();
    let table = backend.place(stored.quant, places.len(), stored.cols, values, Vec::new())?;
    backend.embed(&table, &rows)
}

impl<F: Fn(Extent, &mut [u8]) -> Result<()> + Send + Sync> RowSource for F {
    fn read(&self, extent: Extent, out: &mut [u8]) -> Result<()> {
        self(extent, out)
    }
}
