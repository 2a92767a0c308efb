//! Gated DeltaNet: what it works on, and what it keeps of a sequence.

use std::ops::Range;

use base::Result;
use spec::DeltaNet;

use crate::{Backend, Tensor, Weight};

/// Columns of a panel: a head's state is stored in panels `[key, 16]`, the last one padded with zeros.
pub(crate) const PANEL: usize = 16;

/// What a DeltaNet keeps of the tokens of a sequence, however many they were.
pub struct DeltaState {
    /// Inputs of the last tokens, which the convolution of the next one sees: `[kernel - 1, channels]`.
    pub inputs: Tensor,
    /// The state of each head: `[value_heads, panels * key * 16]`.
    pub heads: Tensor,
}

impl DeltaState {
    /// Room for the state of one sequence in one layer.
    pub fn new(net: &DeltaNet, backend: &dyn Backend) -> Result<Self> {
        let [inputs, heads] = Self::shapes(net);
        Ok(Self { inputs: backend.tensor(inputs.0, inputs.1)?, heads: backend.tensor(heads.0, heads.1)? })
    }

    /// Rows and columns of `inputs` and of `heads`.
    pub fn shapes(net: &DeltaNet) -> [(usize, usize); 2] {
        let width = net.value.next_multiple_of(PANEL);
        [(net.kernel - 1, net.channels()), (net.value_heads, width * net.key)]
    }

    /// Bytes of the state of one sequence in one layer.
    pub fn bytes(net: &DeltaNet) -> u64 {
        let floats: usize = Self::shapes(net).iter().map(|(rows, cols)| rows * cols).sum();
        (floats * size_of::<f32>()) as u64
    }
}

/// What was kept of the tokens before.
#[derive(Clone, Copy)]
pub enum Before<'a> {
    /// There were none.
    Nothing,
    /// This.
    State(&'a DeltaState),
    /// What is in the state that is to be written.
    Same,
}

/// Tokens of one sequence that are taken up and answered, one after another.
pub struct DeltaQuery<'a> {
    /// The sizes.
    pub net: &'a DeltaNet,
    /// Queries, keys and values of the whole batch before the convolution: `[tokens, channels]`.
    pub inputs: &'a Tensor,
    /// What strengths are the sigmoids of, of the whole batch: `[tokens, value_heads]`.
    pub strength: &'a Tensor,
    /// What decays are computed from, likewise: `[tokens, decays]`.
    pub decay: &'a Tensor,
    /// The convolution, oldest token first: a vector of `kernel * channels`.
    pub convolution: &'a Weight,
    /// Rates of decay, below 0: a vector of `value_heads`.
    pub rate: &'a Weight,
    /// Added to `decay`: a vector of `decays`.
    pub bias: &'a Weight,
    /// Which rows of the batch.
    pub rows: Range<usize>,
}

/// What a gate does to a number before it multiplies by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// x·sigmoid(x).
    Silu,
    /// 1 / (1 + e^−x).
    Sigmoid,
}

/// Bytes that a pass of so many tokens keeps beside tensors.
pub fn delta_scratch_bytes(net: &DeltaNet, tokens: usize, threads: usize) -> usize {
    let ready = net.channels() + net.value_heads + net.decays();
    let answers = net.value_heads * net.value.next_multiple_of(PANEL);
    let each = 2 * net.key + 2 * PANEL;
    (tokens * (ready + answers) + threads * each + net.channels()) * size_of::<f32>()
}
