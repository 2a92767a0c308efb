//! The residual stream: what layers add their answers to, and what of it they see.

use std::ops::Deref;
use std::sync::Arc;

use backend::{Backend, Tensor, Weight};
use base::Result;
use spec::Streams;

/// The residual stream of one pass.
pub(crate) struct Stream {
    /// What the present block of layers adds to, `[tokens, hidden]`; where there are several streams, side by side.
    present: Tensor,
    /// What former blocks began with; none of most models, which have one block.
    former: Vec<Tensor>,
}

/// How a part of a layer sees the stream, and answers to it.
pub(crate) enum Tap {
    /// As it is; the answer is added.
    Plain,
    /// A mixture of its blocks, which are scored by this; the answer is added.
    Blocks(Weight),
    /// A sum of several streams, which are mixed, too.
    Streams(Box<Connection>),
}

/// A hyper-connection: what shares of the streams are computed by.
pub(crate) struct Connection {
    pub(crate) streams: Streams,
    /// The norm of all streams of a token together: ones.
    pub(crate) norm: Arc<Weight>,
    pub(crate) mix: Weight,
    pub(crate) bias: Weight,
    pub(crate) scale: Weight,
    pub(crate) eps: f32,
}

/// What a part of a layer sees.
pub(crate) enum Seen<'a> {
    Stream(&'a Tensor),
    Mixture(Tensor),
}

/// How its answer is put back.
pub(crate) enum Way<'a> {
    Added,
    Spread(&'a Streams, Tensor),
}

impl Stream {
    /// Begins with the embedding, which all streams have alike.
    pub(crate) fn new(embedding: Tensor, streams: Option<&Streams>, backend: &dyn Backend) -> Result<Self> {
        let present = match streams {
            None => embedding,
            Some(streams) => {
                let (rows, shares) = (embedding.rows, streams.shares());
                let shares = backend.upload(rows, shares, vec![1.0; rows * shares])?;
                let mut present = backend.tensor(rows, streams.count * embedding.cols)?;
                backend.spread_over_streams(&mut present, &embedding, &shares, streams)?;
                present
            }
        };
        Ok(Self { present, former: Vec::new() })
    }

    /// What `tap` sees of the stream, and how the answer is to be put back.
    pub(crate) fn seen<'a, 't>(
        &'a self,
        tap: &'t Tap,
        eps: f32,
        backend: &dyn Backend,
    ) -> Result<(Seen<'a>, Way<'t>)> {
        match tap {
            Tap::Blocks(score) if !self.former.is_empty() => {
                let sources: Vec<&Tensor> = self.former.iter().chain([&self.present]).collect();
                Ok((Seen::Mixture(backend.mix(&sources, score, eps)?), Way::Added))
            }
            Tap::Plain | Tap::Blocks(_) => Ok((Seen::Stream(&self.present), Way::Added)),
            Tap::Streams(connection) => {
                let shares = connection.shares(&self.present, backend)?;
                let seen = backend.merge_streams(&self.present, &shares, &connection.streams)?;
                Ok((Seen::Mixture(seen), Way::Spread(&connection.streams, shares)))
            }
        }
    }

    /// Puts an answer back, which may begin a new block.
    pub(crate) fn take(
        &mut self,
        answer: Tensor,
        way: Way<'_>,
        begins: bool,
        backend: &dyn Backend,
    ) -> Result<()> {
        match way {
            Way::Added if begins => self.former.push(std::mem::replace(&mut self.present, answer)),
            Way::Added => backend.add(&mut self.present, &answer)?,
            Way::Spread(streams, shares) => {
                backend.spread_over_streams(&mut self.present, &answer, &shares, streams)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Of each token, as [`Backend::share_streams`] has them.
    fn shares(&self, streams: &Tensor, backend: &dyn Backend) -> Result<Tensor> {
        let normed = backend.rms_norm(streams, &self.norm, self.eps)?;
        let mut shares = backend.matmul(&normed, &self.mix)?;
        backend.share_streams(&mut shares, &self.scale, &self.bias, &self.streams)?;
        Ok(shares)
    }
}

impl Deref for Seen<'_> {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        match self {
            Self::Stream(tensor) => tensor,
            Self::Mixture(tensor) => tensor,
        }
    }
}
