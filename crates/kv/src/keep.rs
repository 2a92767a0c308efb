//! What a layer keeps of a sequence.

use backend::{DeltaState, Precision};
use spec::{DeltaNet, LayerSpec, Mixer, ModelSpec};

use crate::window::room;

/// One thing that a layer keeps.
pub(crate) enum Keep<'a> {
    /// A row for every so many tokens, as many as there are.
    Rows {
        /// Numbers of a row.
        width: usize,
        /// Tokens to a row; 1 mostly.
        every: usize,
    },
    /// Rows of the last tokens.
    Window {
        /// Numbers of a row.
        width: usize,
        /// Tokens that are looked at, the last among them.
        window: usize,
        /// How they are stored.
        precision: Precision,
    },
    /// A state that does not grow.
    State(&'a DeltaNet),
}

/// Of a layer with compressed rows, which follow those of its window, their place among what it keeps.
pub(crate) const COMPRESSED: usize = 1;
/// The place of what they are computed from.
pub(crate) const INPUTS: usize = 2;

/// What `layer` keeps in a cache of `precision`. Where rings would take no less than the whole context, a window keeps all
/// rows.
pub(crate) fn keeps<'a>(layer: &'a LayerSpec, spec: &ModelSpec, precision: Precision) -> Vec<Keep<'a>> {
    let width = layer.mixer.row();
    let rows = match &layer.mixer {
        Mixer::Delta(net) => return vec![Keep::State(net)],
        mixer => match mixer.window().filter(|window| room(*window).saturating_mul(3) < spec.context) {
            Some(window) => Keep::Window { width, window, precision },
            None => Keep::Rows { width, every: 1 },
        },
    };
    let Some(compressor) = layer.mixer.compressor() else { return vec![rows] };
    // Exact whatever the precision: what is mixed hangs on the exponentials of half of these.
    let inputs = Keep::Window {
        width: compressor.inputs(width),
        window: compressor.window(),
        precision: Precision::F32,
    };
    vec![rows, Keep::Rows { width: compressor.row(width), every: compressor.ratio }, inputs]
}

impl Keep<'_> {
    /// Of rows, how many `tokens` have.
    pub(crate) fn rows(&self, tokens: usize) -> usize {
        match self {
            Self::Rows { every, .. } => tokens / every,
            Self::Window { .. } | Self::State(_) => 0,
        }
    }

    /// Bytes that every further token adds, rounded up.
    pub(crate) fn bytes_per_token(&self, precision: Precision) -> u64 {
        match self {
            Self::Rows { width, every } => precision.row_bytes(*width).div_ceil(*every) as u64,
            Self::Window { .. } | Self::State(_) => 0,
        }
    }

    /// Bytes that are kept however many tokens there are: a state or a ring, three times over.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        match self {
            Self::Rows { .. } => 0,
            Self::Window { width, window, precision } => {
                (3 * room(*window) * precision.row_bytes(*width)) as u64
            }
            Self::State(net) => 3 * DeltaState::bytes(net),
        }
    }

    /// Bytes that are saved of the rows of `tokens` tokens.
    pub(crate) fn saved_rows(&self, precision: Precision, tokens: usize) -> u64 {
        match self {
            Self::Rows { width, .. } => (self.rows(tokens) * precision.row_bytes(*width)) as u64,
            Self::Window { .. } | Self::State(_) => 0,
        }
    }

    /// Bytes that are saved of what does not grow.
    pub(crate) fn saved_fixed(&self, tokens: usize) -> u64 {
        match self {
            Self::Rows { .. } => 0,
            Self::Window { width, window, precision } => {
                (tokens.min(window - 1) * precision.row_bytes(*width)) as u64
            }
            Self::State(_) if tokens == 0 => 0,
            Self::State(net) => DeltaState::bytes(net),
        }
    }

    /// The width of rows, and what else tells what is kept: how it is told in what is saved.
    pub(crate) fn told(&self) -> [u64; 2] {
        match self {
            Self::Rows { width, every: 1 } => [*width as u64, 0],
            Self::Rows { width, every } => [*width as u64, *every as u64],
            Self::Window { width, window, .. } => [*width as u64, *window as u64],
            Self::State(net) => [0, DeltaState::bytes(net)],
        }
    }
}
