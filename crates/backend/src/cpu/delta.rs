//! Gated DeltaNet on the processor: heads go over the threads, and two panels of a head's state stay in the first-level
//! cache while all tokens pass through them.
//!
//! Tokens go one after another, in a prompt as when generating. Several at once, as accelerators do it, would take as many
//! multiplications here, and what a token is answered would depend on how a prompt was cut.

use kernels::{DeltaToken, Kernels, Threads};
use spec::DeltaNet;

use super::memory::{host, host_mut, vector};
use crate::Tensor;
use crate::delta::{Before, DeltaQuery, DeltaState, PANEL};

/// Columns of a head's state that are worked on together.
const COLUMNS: usize = 2 * PANEL;

/// More tokens than any convolution sees.
const KERNEL_MAX: usize = 16;

/// Below this, the norm of a query or key is no longer divided by.
const NORM_EPS: f32 = 1e-6;

/// See [`crate::Backend::delta_net`].
pub(super) fn run(
    (kernels, threads): (&Kernels, &Threads),
    query: &DeltaQuery<'_>,
    before: Before<'_>,
    to: &mut DeltaState,
    out: &mut Tensor,
) {
    let net = query.net;
    let (tokens, channels) = (query.rows.len(), net.channels());
    let inputs = &host(query.inputs)[query.rows.start * channels..query.rows.end * channels];
    let zeros = vec![0.0; channels];
    let past = match before {
        Before::Nothing => None,
        Before::State(state) => Some(host(&state.inputs)),
        Before::Same => Some(host(&to.inputs)),
    };
    let history = History { inputs, past, zeros: &zeros, net };
    let kept: Vec<f32> = (tokens as isize + 1 - net.kernel as isize..tokens as isize)
        .flat_map(|place| history.row(place))
        .copied()
        .collect();

    let ready = prepare(kernels, threads, query, &history);
    let width = net.value.next_multiple_of(PANEL);
    let mut answers = vec![0.0; net.value_heads * tokens * width];
    let floats = net.key * width;
    threads.for_pairs(
        (host_mut(&mut to.heads), &mut answers),
        (floats, tokens * width),
        &|head, state, answers| {
            match before {
                Before::Nothing => state.fill(0.0),
                Before::State(from) => state.copy_from_slice(&host(&from.heads)[head * floats..][..floats]),
                Before::Same => {}
            }
            recur(kernels, net, head, &ready, state, answers);
        },
    );

    let cols = out.cols;
    let rows = &mut host_mut(out)[query.rows.start * cols..query.rows.end * cols];
    threads.for_chunks(rows, cols, &|token, row| {
        for (head, part) in row.chunks_exact_mut(net.value).enumerate() {
            part.copy_from_slice(&answers[(head * tokens + token) * width..][..net.value]);
        }
    });
    host_mut(&mut to.inputs).copy_from_slice(&kept);
}

/// The inputs of a sequence, those before this call among them.
struct History<'a> {
    inputs: &'a [f32],
    past: Option<&'a [f32]>,
    zeros: &'a [f32],
    net: &'a DeltaNet,
}

impl History<'_> {
    /// The inputs of a token of this call, or of one before it; before the sequence there were zeros.
    fn row(&self, place: isize) -> &[f32] {
        let channels = self.zeros.len();
        let before = self.net.kernel as isize - 1 + place;
        match (usize::try_from(place), self.past) {
            (Ok(place), _) => &self.inputs[place * channels..][..channels],
            (Err(_), Some(past)) => &past[before as usize * channels..][..channels],
            (Err(_), None) => self.zeros,
        }
    }
}

/// For each token the convolved inputs, queries and keys normed, then strengths and what is left of every head's state.
fn prepare(kernels: &Kernels, threads: &Threads, query: &DeltaQuery<'_>, history: &History<'_>) -> Vec<f32> {
    let net = query.net;
    let (channels, heads, decays) = (net.channels(), net.value_heads, net.decays());
    let (weights, rates, biases) = (vector(query.convolution), vector(query.rate), vector(query.bias));
    let mut ready = vec![0.0; query.rows.len() * stride(net)];
    threads.for_chunks(&mut ready, stride(net), &|token, row| {
        let (mixed, scalars) = row.split_at_mut(channels);
        let first = token as isize + 1 - net.kernel as isize;
        let seen: [&[f32]; KERNEL_MAX] =
            std::array::from_fn(|i| history.row((first + i as isize).min(token as isize)));
        kernels.convolve(&seen[..net.kernel], weights, mixed);
        let (queries, rest) = mixed.split_at_mut(net.key_heads * net.key);
        norm(kernels, queries, net.key, (net.key as f32).powf(-0.5));
        norm(kernels, &mut rest[..net.key_heads * net.key], net.key, 1.0);

        let at = query.rows.start + token;
        let (strengths, left) = scalars.split_at_mut(heads);
        strengths.copy_from_slice(&host(query.strength)[at * heads..][..heads]);
        kernels.sigmoid(strengths);
        left.copy_from_slice(&host(query.decay)[at * decays..][..decays]);
        kernels.add(biases, left);
        for (left, rate) in left.chunks_exact_mut(decays / heads).zip(rates) {
            match net.kimi.and_then(|kimi| kimi.bound) {
                Some(bound) => kernels.fade_within(left, *rate, bound),
                None => kernels.fade(left, *rate),
            }
        }
    });
    ready
}

/// Floats of a token that is ready.
fn stride(net: &DeltaNet) -> usize {
    net.channels() + net.value_heads + net.decays()
}

/// Each head divided by its length, times `scale`.
fn norm(kernels: &Kernels, heads: &mut [f32], width: usize, scale: f32) {
    for head in heads.chunks_exact_mut(width) {
        let inverse = 1.0 / (kernels.dot(head, head) + NORM_EPS).sqrt();
        head.iter_mut().for_each(|x| *x = *x * inverse * scale);
    }
}

/// All tokens through one head. `state` is `[panels, key, 16]`, `answers` `[tokens, panels, 16]`.
fn recur(
    kernels: &Kernels,
    net: &DeltaNet,
    head: usize,
    ready: &[f32],
    state: &mut [f32],
    answers: &mut [f32],
) {
    let width = net.value.next_multiple_of(PANEL);
    let key_head = net.key_head(head) * net.key;
    let (keys, values) = (net.key_heads * net.key, 2 * net.key_heads * net.key + head * net.value);
    let (mut faded, mut same) = (vec![0.0; net.key], vec![0.0; net.key]);
    let (strengths, per_head) = (net.channels(), net.decays() / net.value_heads);
    let mut padded = [0.0; COLUMNS];
    for (block, state) in state.chunks_mut(net.key * COLUMNS).enumerate() {
        let first = block * COLUMNS;
        let (count, whole) = (COLUMNS.min(net.value - first), COLUMNS.min(width - first));
        for (row, answers) in ready.chunks_exact(stride(net)).zip(answers.chunks_exact_mut(width)) {
            let strength = row[strengths + head];
            let left = &row[strengths + net.value_heads + head * per_head..][..per_head];
            let decay = if per_head == net.key {
                left
            } else {
                same.fill(left[0]);
                &same
            };
            let key = &row[keys + key_head..][..net.key];
            for ((faded, key), decay) in faded.iter_mut().zip(key).zip(decay) {
                *faded = key * decay;
            }
            padded[..count].copy_from_slice(&row[values + first..][..count]);
            let query = &row[key_head..][..net.key];
            let token = DeltaToken { key, faded: &faded, decay, query, strength };
            kernels.delta(state, token, &padded[..whole], &mut answers[first..][..whole]);
        }
    }
}
