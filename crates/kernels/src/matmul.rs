//! The products a transformer is made of: a quantized matrix with a batch of tokens, and the gated unit of three.
//!
//! An answer is one dot product in a canonical order, so its bits depend neither on the number of threads nor on the
//! other tokens of the batch.

use quant::Matrix;

use crate::Activations;
use crate::codes::{self, CodesScratch};
use crate::floats::{self, FloatsScratch};
use crate::product::{Columns, Compute, Inputs, Job, Join, Up, Weights, grown};

/// What the products need of memory; grows to the largest product it has seen and is kept from one to the next.
///
/// [`units`] keeps tokens × (rows of gate) floats; each thread keeps up to 480 KiB of floats, or some 1.2 MiB of spelled
/// codes; a batch in signed bytes takes two bytes for each of its floats.
#[derive(Default)]
pub struct MatmulScratch {
    floats: FloatsScratch,
    codes: CodesScratch,
    /// The hidden units of `units`, [tokens, rows of gate] of one after another.
    hidden: Vec<f32>,
}

impl MatmulScratch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

/// `out` = x·wᵀ: `x` is [tokens, w.cols], `out` is [tokens, w.rows]. A matrix with a factor gives its products times that.
///
/// # Panics
/// When the lengths do not agree.
pub fn matmul(compute: &Compute<'_>, w: Matrix<'_>, x: &[f32], out: &mut [f32], scratch: &mut MatmulScratch) {
    if w.rows() == 0 || w.cols() == 0 || x.is_empty() {
        return out.fill(0.0);
    }
    let weights = Weights { w, bias: None, up: None };
    let job = Job::new(weights, Inputs::all(x, w.cols()), Columns::new(out, w.rows()));
    products(compute, &[job], &mut scratch.floats, &mut scratch.codes);
}

/// A feed-forward unit: `down·join(gate·x, up·x)`.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Gate, up and down: the first two alike, the last their transpose.
    pub matrices: [Matrix<'a>; 3],
    /// What is added to the answers of each, one number a row.
    pub biases: Option<[&'a [f32]; 3]>,
    /// How gate and up are joined.
    pub join: Join,
}

/// Tokens of a unit, and where its answers to them go.
#[derive(Clone, Copy)]
pub struct Assignment<'a> {
    /// What answers.
    pub unit: Unit<'a>,
    /// Rows of what goes in.
    pub tokens: &'a [usize],
    /// For each of them a row of what comes out.
    pub places: &'a [usize],
}

/// `out` = down·join(gate·x, up·x): `x` and `out` are [tokens, gate.cols].
///
/// # Panics
/// When the shapes do not agree: gate and up alike, down their transpose.
pub fn unit(compute: &Compute<'_>, x: &[f32], unit: Unit<'_>, out: &mut [f32], scratch: &mut MatmulScratch) {
    let all: Vec<usize> = (0..x.len() / unit.matrices[0].cols().max(1)).collect();
    units(compute, x, &[Assignment { unit, tokens: &all, places: &all }], out, scratch);
}

/// Several units as [`unit()`] computes one, each on its tokens among those of `x`. Those of a few tokens are computed side
/// by side, in two parallel regions.
///
/// # Panics
/// When the shapes do not agree, and when two answers have the same place.
pub fn units(
    compute: &Compute<'_>,
    x: &[f32],
    assignments: &[Assignment<'_>],
    out: &mut [f32],
    scratch: &mut MatmulScratch,
) {
    let Some(first) = assignments.first().filter(|_| !x.is_empty()) else { return };
    let cols = first.unit.matrices[0].cols();
    assert_apart(assignments.iter().flat_map(|one| one.places).copied().collect());
    let MatmulScratch { floats, codes, hidden } = scratch;
    let inner = |one: &Assignment<'_>| one.tokens.len() * one.unit.matrices[0].rows();
    let mut rest = grown(hidden, assignments.iter().map(inner).sum(), 0.0);
    let mut parts = Vec::with_capacity(assignments.len());
    for one in assignments {
        let (part, after) = rest.split_at_mut(inner(one));
        parts.push(part);
        rest = after;
    }

    let opening = assignments.iter().zip(&mut parts).map(|(Assignment { unit, tokens, .. }, hidden)| {
        let [gate, up, _] = unit.matrices;
        let up = Up { w: up, bias: unit.biases.map(|biases| biases[1]), join: unit.join };
        let weights = Weights { w: gate, bias: unit.biases.map(|biases| biases[0]), up: Some(up) };
        Job::new(weights, Inputs::some(x, cols, tokens), Columns::new(hidden, gate.rows()))
    });
    products(compute, &opening.collect::<Vec<_>>(), floats, codes);
    let out = Columns::new(out, first.unit.matrices[2].rows());
    let closing = assignments.iter().zip(&parts).map(|(Assignment { unit, places, .. }, hidden)| {
        let [_, _, down] = unit.matrices;
        let weights = Weights { w: down, bias: unit.biases.map(|biases| biases[2]), up: None };
        Job::new(weights, Inputs::all(hidden, down.cols()), out.at(places))
    });
    products(compute, &closing.collect::<Vec<_>>(), floats, codes);
}

/// Panics when two are the same.
fn assert_apart(mut places: Vec<usize>) {
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "each answer has a place of its own");
}

/// Computes jobs whose outputs have no place in common: by codes or in floats, together or one after the other.
fn products(compute: &Compute<'_>, jobs: &[Job<'_>], floats: &mut FloatsScratch, codes: &mut CodesScratch) {
    let by_codes = |job: &Job<'_>| compute.activations == Activations::Int8 && codes::has_codes(&job.weights);
    if jobs.iter().all(|job| by_codes(job) && codes::are_few(compute, job)) {
        return codes::by_rows(compute, jobs, codes);
    }
    for job in jobs {
        match by_codes(job) {
            true => codes::product(compute, job, codes),
            false => floats::product(compute, job, floats),
        }
    }
}
