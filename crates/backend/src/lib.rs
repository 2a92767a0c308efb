//! Tensors and verbs on a device.
//!
//! The model speaks to a [`Backend`] and to nothing below it: a [`Tensor`] is a shape and an opaque buffer, so a GPU
//! can stand behind the same verbs. Activations are f32 and row-major, one row a token. What a verb computes does not
//! depend on how many other rows are computed with it, nor on the number of threads: to the bit.
#![forbid(unsafe_code)]

mod routing;
mod tensor;
mod attention;
mod delta;
mod cpu;

use std::ops::Range;

use base::{ExpertId, Result, TokenId};
use quant::{Matrix, Quant};
use spec::{Gate, Router, Streams};

pub use attention::{
    Chosen, CompressQuery, CompressedQuery, Form, GroupedQuery, IndexQuery, LatentQuery, LatentUp, Span,
};
pub use cpu::{
    Cpu, compressed_scratch_bytes, grouped_scratch_bytes, index_scratch_bytes, latent_scratch_bytes,
};
pub use delta::{Before, DeltaQuery, DeltaState, Opening, delta_scratch_bytes};
pub use kernels::{Activations, Isa, Kernels, codes_scratch_bytes, floats_scratch_bytes};
pub use routing::{Routing, Use};
pub use tensor::{Buffer, Heads, KvRows, Precision, Rotation, Tensor, Weight};

/// One expert: its matrices in host memory, what they are joined by, and where its biases are.
#[derive(Clone, Copy)]
pub struct Expert<'a> {
    /// Its number within the layer.
    pub id: ExpertId,
    /// Gate, up and down.
    pub matrices: [Matrix<'a>; 3],
    /// How gate and up meet.
    pub gate: Gate,
    /// Of gate, up and down: a row for every expert of the layer.
    pub biases: Option<&'a [Weight; 3]>,
}

/// A device: memory, and the verbs a transformer needs.
///
/// Tensors and weights are used only with the backend that made them; anything else is a programmer's mistake and
/// panics. Shapes are the caller's duty and asserted.
pub trait Backend: Send + Sync {
    /// What this device is, for people.
    fn name(&self) -> String;

    /// How activations meet quantized weights here.
    fn activations(&self) -> Activations;

    /// Takes a weight `[rows, cols]` into the device's memory. The two planes are as [`Matrix`] has them.
    fn place(
        &self,
        quant: Quant,
        rows: usize,
        cols: usize,
        values: Vec<u8>,
        scales: Vec<u8>,
    ) -> Result<Weight>;

    /// Zeros, `[rows, cols]`. Memory that is never written need not be committed.
    fn tensor(&self, rows: usize, cols: usize) -> Result<Tensor>;

    /// Whatever numbers, `[rows, cols]`, for somebody who writes them all.
    fn room(&self, rows: usize, cols: usize) -> Result<Tensor>;

    /// These numbers, `[rows, cols]`.
    fn upload(&self, rows: usize, cols: usize, values: Vec<f32>) -> Result<Tensor>;

    /// Rows of `x`, on the host.
    fn to_host(&self, x: &Tensor, rows: Range<usize>) -> Result<Vec<f32>>;

    /// The rows of `table` with these numbers.
    fn embed(&self, table: &Weight, tokens: &[TokenId]) -> Result<Tensor>;

    /// Each row divided by its root mean square, times `weight`.
    fn rms_norm(&self, x: &Tensor, weight: &Weight, eps: f32) -> Result<Tensor>;

    /// [`rms_norm`](Self::rms_norm) in place, of `weight.cols` columns of each head alone.
    fn rms_norm_heads(&self, x: &mut Tensor, heads: Heads, weight: &Weight, eps: f32) -> Result<()>;

    /// Each row less its mean, divided by its deviation, times `weight`, plus `bias`: in place.
    fn layer_norm(&self, x: &mut Tensor, weight: &Weight, bias: &Weight, eps: f32) -> Result<()>;

    /// `x wᵀ`: `[tokens, w.cols]` to `[tokens, w.rows]`.
    fn matmul(&self, x: &Tensor, w: &Weight) -> Result<Tensor>;

    /// Each of `groups` groups of the columns of `x` times its own rows of `w`: `[tokens, groups * w.cols]` to
    /// `[tokens, w.rows]`.
    fn matmul_groups(&self, x: &Tensor, w: &Weight, groups: usize) -> Result<Tensor>;

    /// `down (join(gate x, up x))`, row by row, of gate, up and down.
    fn gated(&self, x: &Tensor, matrices: [&Weight; 3], join: Gate) -> Result<Tensor>;

    /// Adds a weight of one row to every row.
    fn add_bias(&self, x: &mut Tensor, bias: &Weight) -> Result<()>;

    /// Each number of `x` times `by` of its gate; `gate` has as many columns as `x`, or one for all of them.
    fn gate(&self, x: &mut Tensor, gate: &Tensor, by: Opening) -> Result<()>;

    /// Of each row a mixture of the same row of all `sources`, by a softmax over their scores: the product of `score`
    /// with the row divided by its root mean square.
    fn mix(&self, sources: &[&Tensor], score: &Weight, eps: f32) -> Result<Tensor>;

    /// From what is projected of a token's residual streams, `[tokens, shares]` or `[tokens, streams]`, to its shares:
    /// what is seen of each stream; and, where there are more than these, what each gets of an answer, and how streams are
    /// mixed, `[from, to]`.
    fn share_streams(&self, x: &mut Tensor, scale: &Weight, bias: &Weight, streams: &Streams) -> Result<()>;

    /// The sum of each token's streams, times its shares: `[tokens, streams * hidden]` to `[tokens, hidden]`.
    fn merge_streams(&self, x: &Tensor, shares: &Tensor, streams: &Streams) -> Result<Tensor>;

    /// Mixes each token's streams in place, and adds `answer` to them, as its shares say.
    fn spread_over_streams(
        &self,
        x: &mut Tensor,
        answer: &Tensor,
        shares: &Tensor,
        streams: &Streams,
    ) -> Result<()>;

    /// `x += y`.
    fn add(&self, x: &mut Tensor, y: &Tensor) -> Result<()>;

    /// Rotates `rotation.dims` columns of each head in place.
    fn rotate(&self, x: &mut Tensor, heads: Heads, rotation: &Rotation) -> Result<()>;

    /// Copies rows of `from` to the rows of `to` that begin at `at`.
    fn copy_rows(&self, from: &Tensor, rows: Range<usize>, to: &mut Tensor, at: usize) -> Result<()>;

    /// Copies `width` columns of each head of `from` to those of `to`, row by row.
    fn copy_heads(
        &self,
        from: &Tensor,
        from_heads: Heads,
        to: &mut Tensor,
        to_heads: Heads,
        width: usize,
    ) -> Result<()>;

    /// Room for `rows` rows of the KV cache. Memory that is never written need not be committed.
    fn kv_rows(&self, rows: usize, cols: usize, precision: Precision) -> Result<KvRows>;

    /// Stores rows of `from` as the rows of `to` that begin at `at`.
    fn store_kv(&self, from: &Tensor, rows: Range<usize>, to: &mut KvRows, at: usize) -> Result<()>;

    /// Copies the rows of these positions, bit for bit, to those of `to`, which has the same precision.
    fn copy_kv(&self, from: &KvRows, positions: Range<usize>, to: &mut KvRows) -> Result<()>;

    /// Rows of the KV cache as bytes, each [`Precision::row_bytes`] long: the same on every device.
    fn kv_bytes(&self, from: &KvRows, rows: Range<usize>) -> Result<Vec<u8>>;

    /// Puts bytes that [`kv_bytes`](Self::kv_bytes) gave back, as the rows of `to` that begin at `at`.
    fn set_kv_bytes(&self, bytes: &[u8], to: &mut KvRows, at: usize) -> Result<()>;

    /// Which of the cached rows up to its own each token of one sequence attends to: those of the highest scores, and
    /// of equal ones the earlier; all, where they are no more than are chosen.
    fn choose_rows(&self, query: &IndexQuery<'_>) -> Result<Chosen>;

    /// Causal latent attention of some tokens of one sequence, into the same rows of `out`:
    /// `[tokens, heads * (nope + rotated)]` to `[tokens, heads * value]`.
    fn latent_attention(&self, query: &LatentQuery<'_>, out: &mut Tensor) -> Result<()>;

    /// Causal grouped-query attention of some tokens of one sequence, into the same rows of `out`:
    /// `[tokens, heads * head]` to the same.
    fn grouped_attention(&self, query: &GroupedQuery<'_>, out: &mut Tensor) -> Result<()>;

    /// Compressed rows of one sequence, before their norm: `[rows, width]`.
    fn compress(&self, query: &CompressQuery<'_>) -> Result<Tensor>;

    /// Attention of some tokens of one sequence to the rows of a window and to compressed ones, into the same rows of
    /// `out`: `[tokens, heads * head]` to the same.
    fn compressed_attention(&self, query: &CompressedQuery<'_>, out: &mut Tensor) -> Result<()>;

    /// Gated DeltaNet of some tokens of one sequence, into the same rows of `out`: `[tokens, channels]` to
    /// `[tokens, values]`. `to` becomes what is to be kept with these.
    fn delta_net(
        &self,
        query: &DeltaQuery<'_>,
        before: Before<'_>,
        to: &mut DeltaState,
        out: &mut Tensor,
    ) -> Result<()>;

    /// Each token's experts and their weights, from router logits `[tokens, experts]`. The one verb that must bring
    /// an answer to the host in every layer.
    fn route(&self, logits: &Tensor, bias: Option<&Weight>, router: &Router) -> Result<Routing>;

    /// The weights of experts that are settled already, `[tokens, top_k]`, from the same logits.
    fn weigh(&self, logits: &Tensor, experts: Vec<ExpertId>, router: &Router) -> Result<Routing>;

    /// Runs experts on the tokens that use each, every answer into its own row of `parts`.
    fn experts(&self, parts: &mut Tensor, x: &Tensor, experts: &[(Expert<'_>, &[Use])]) -> Result<()>;

    /// `y[token] += sum over ranks of weight * parts[token, rank]`, always in rank order.
    fn combine(&self, y: &mut Tensor, parts: &Tensor, routing: &Routing) -> Result<()>;
}
