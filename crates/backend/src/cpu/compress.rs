//! Compressed rows (DeepSeek-V4): every column of a row is a mixture of what its tokens project, by a softmax over what they
//! project besides.

use std::ops::Range;

use kernels::{Kernels, Threads};

use super::kv_rows::widen;
use super::memory::{host_mut, matrix};
use crate::{CompressQuery, Tensor};

/// Columns that are softened together, as [`Kernels::soften`] takes them.
const LANES: usize = 16;

/// See [`crate::Backend::compress`].
pub(super) fn run((kernels, threads): (&Kernels, &Threads), query: &CompressQuery<'_>, out: &mut Tensor) {
    let CompressQuery { width, ref rows, places, .. } = *query;
    let mut added = vec![0.0; places.rows * places.cols];
    for (place, out) in added.chunks_exact_mut(places.cols).enumerate() {
        kernels.dequantize_row(&matrix(places), place, out);
    }
    threads.for_chunks(host_mut(out), width, &|index, out| {
        mixture(kernels, query, &added, rows.start + index, out);
    });
}

/// One row: first of the stretch before its own, where rows overlap and there is one, then of its own.
fn mixture(kernels: &Kernels, query: &CompressQuery<'_>, added: &[f32], row: usize, out: &mut [f32]) {
    let CompressQuery { compressor, width, .. } = *query;
    let (ratio, parts) = (compressor.ratio, compressor.parts());
    let stretches = (0..parts).filter_map(|part| (row + 1 + part).checked_sub(parts).map(|at| (part, at)));
    let stretches: Vec<(usize, usize)> = stretches.collect();
    let (count, stride) = (stretches.len() * ratio, width.next_multiple_of(LANES));
    let (mut keys, mut gates) = (vec![0.0; count * stride], vec![0.0; count * stride]);
    for (i, (part, at)) in stretches.into_iter().enumerate() {
        let (place, tokens) = (i * ratio * stride, at * ratio..(at + 1) * ratio);
        let columns = |first: usize| -> Range<usize> { first + part * width..first + (part + 1) * width };
        widen(kernels, query.inputs, tokens.clone(), columns(query.key_at), &mut keys[place..], stride);
        widen(kernels, query.inputs, tokens, columns(query.gate_at), &mut gates[place..], stride);
        for (gates, added) in gates[place..].chunks_exact_mut(stride).zip(added.chunks_exact(parts * width)) {
            kernels.add(&added[part * width..][..width], &mut gates[..width]);
        }
    }

    let (mut most, mut total, mut fade) =
        (vec![f32::NEG_INFINITY; stride], vec![0.0; stride], vec![0.0; stride]);
    kernels.soften(&mut gates, &mut most, &mut total, &mut fade);
    for (keys, gates) in keys.chunks_exact(stride).zip(gates.chunks_exact(stride)) {
        for ((out, key), gate) in out.iter_mut().zip(keys).zip(gates) {
            *out += key * gate;
        }
    }
    out.iter_mut().zip(total).for_each(|(out, total)| *out /= total);
}
