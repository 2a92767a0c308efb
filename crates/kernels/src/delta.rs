//! What recurrent mixers are made of: the causal convolution, the delta rule, decays, and gates.
//!
//! A head's state is a matrix `[keys, values]`, of which each column of values goes its own way: so sixteen columns lie
//! side by side, a *panel* `[keys, 16]` that stays in the first-level cache from token to token. One token after another
//! is the only order of the sums there is: a chunk of tokens at once would take as many multiplications, and round
//! differently.

use crate::exp::exp;
use crate::sixteen::{SIXTEEN, Sixteen};

/// One token, as a head of a delta rule sees it; all slices are as long as a key.
#[derive(Clone, Copy, Debug)]
pub struct DeltaToken<'a> {
    /// The key, by which what is known is looked up and replaced.
    pub key: &'a [f32],
    /// The key times `decay`.
    pub faded: &'a [f32],
    /// What is left of each row of the state.
    pub decay: &'a [f32],
    /// The query.
    pub query: &'a [f32],
    /// How much of what is known of the key is replaced.
    pub strength: f32,
}

/// Partial sums of a column: product i goes to sum i mod 4.
const SUMS: usize = 4;

/// `state ← diag(decay) state; state ← state + key (strength (value − stateᵀ key))ᵀ; out = stateᵀ query`, where `state`
/// is whole panels, and `value` and `out` are as wide as they are together.
///
/// # Safety
/// `state` is `[panels, keys, 16]`, `value` and `out` are `[panels, 16]`, and all slices of `token` are `[keys]`.
#[inline(always)]
pub(crate) unsafe fn delta<V: Sixteen>(
    state: &mut [f32],
    token: DeltaToken<'_>,
    value: &[f32],
    out: &mut [f32],
) {
    let panels = value.len() / SIXTEEN;
    let floats = token.key.len() * SIXTEEN;
    let (state, value, out) = (state.as_mut_ptr(), value.as_ptr(), out.as_mut_ptr());
    let mut panel = 0;
    // SAFETY: as many panels as each call takes are left.
    unsafe {
        while V::MANY && panel + 2 <= panels {
            let at = panel * SIXTEEN;
            panels_at_once::<V, 2>(state.add(panel * floats), token, value.add(at), out.add(at));
            panel += 2;
        }
        while panel < panels {
            let at = panel * SIXTEEN;
            panels_at_once::<V, 1>(state.add(panel * floats), token, value.add(at), out.add(at));
            panel += 1;
        }
    }
}

/// `W` panels, whose sums fit the registers.
///
/// # Safety
/// As for [`delta`], of these panels.
#[inline(always)]
unsafe fn panels_at_once<V: Sixteen, const W: usize>(
    state: *mut f32,
    token: DeltaToken<'_>,
    value: *const f32,
    out: *mut f32,
) {
    let depth = token.key.len();
    let zero = V::splat(0.0);
    let place = |i: usize, w: usize| state.wrapping_add((w * depth + i) * SIXTEEN);

    let mut known = [[zero; SUMS]; W];
    let mut look_up = |i: usize, sum: usize| {
        let faded = V::splat(token.faded[i]);
        for (w, known) in known.iter_mut().enumerate() {
            // SAFETY: row `i < depth` of panel `w < W`.
            known[sum] = known[sum].add_product(faded, unsafe { V::load(place(i, w)) });
        }
    };
    for_each_row(depth, &mut look_up);

    let mut change = [zero; W];
    for (w, change) in change.iter_mut().enumerate() {
        // SAFETY: sixteen values of panel `w < W`.
        let value = unsafe { V::load(value.add(w * SIXTEEN)) };
        let missing = value.add_product(total(known[w]), V::splat(-1.0));
        *change = zero.add_product(missing, V::splat(token.strength));
    }

    let mut answer = [[zero; SUMS]; W];
    let mut replace = |i: usize, sum: usize| {
        let (key, decay) = (V::splat(token.key[i]), V::splat(token.decay[i]));
        let query = V::splat(token.query[i]);
        for (w, answer) in answer.iter_mut().enumerate() {
            // SAFETY: row `i < depth` of panel `w < W`.
            let row = unsafe { V::load(place(i, w)) };
            let row = zero.add_product(decay, row).add_product(key, change[w]);
            // SAFETY: the same.
            unsafe { row.store(place(i, w)) };
            answer[sum] = answer[sum].add_product(query, row);
        }
    };
    for_each_row(depth, &mut replace);
    for (w, answer) in answer.into_iter().enumerate() {
        // SAFETY: sixteen floats of panel `w < W`.
        unsafe { total(answer).store(out.add(w * SIXTEEN)) };
    }
}

/// Calls `work` with each row and the sum its product goes to, a constant, so that sums stay in registers.
#[inline(always)]
fn for_each_row(depth: usize, work: &mut impl FnMut(usize, usize)) {
    let whole = depth / SUMS * SUMS;
    for first in (0..whole).step_by(SUMS) {
        for sum in 0..SUMS {
            work(first + sum, sum);
        }
    }
    for sum in 0..SUMS {
        if whole + sum < depth {
            work(whole + sum, sum);
        }
    }
}

#[inline(always)]
fn total<V: Sixteen>([a, b, c, d]: [V; SUMS]) -> V {
    let one = V::splat(1.0);
    a.add_product(b, one).add_product(c.add_product(d, one), one)
}

/// A causal convolution of each column by itself, then silu: `out = silu(Σ rows[i] · weights[i])`, oldest row first.
#[inline(always)]
pub(crate) fn convolve(rows: &[&[f32]], weights: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (row, weights) in rows.iter().zip(weights.chunks_exact(out.len().max(1))) {
        for ((out, x), weight) in out.iter_mut().zip(*row).zip(weights) {
            *out = weight.mul_add(*x, *out);
        }
    }
    for out in out.iter_mut() {
        *out /= 1.0 + exp(-*out);
    }
}

/// x = e^(rate · softplus(x)): what is left of a state.
#[inline(always)]
pub(crate) fn fade(x: &mut [f32], rate: f32) {
    for x in x {
        *x = exp(rate * softplus(*x));
    }
}

/// x = e^(bound · sigmoid(−rate · x)): what is left of a state, e^bound at least.
#[inline(always)]
pub(crate) fn fade_within(x: &mut [f32], rate: f32, bound: f32) {
    for x in x {
        *x = exp(bound / (1.0 + exp(rate * *x)));
    }
}

/// x = √ln(1 + e^x).
#[inline(always)]
pub(crate) fn root_softplus(x: &mut [f32]) {
    for x in x {
        *x = softplus(*x).sqrt();
    }
}

/// ln(1 + e^x), as max(x, 0) + ln(1 + e^−|x|).
#[inline(always)]
fn softplus(x: f32) -> f32 {
    // ln(1 + u) = 2 atanh z with z = u / (2 + u), which is at most a third: its series is cut where it is below 2e-9.
    let u = exp(-x.abs());
    let z = u / (2.0 + u);
    let square = z * z;
    let mut series = 2.0 / 15.0_f32;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series.mul_add(square, 2.0 / odd);
    }
    x.max(0.0) + z * series
}

/// x = x · silu(gate).
#[inline(always)]
pub(crate) fn gate_silu(x: &mut [f32], gate: &[f32]) {
    for (x, gate) in x.iter_mut().zip(gate) {
        *x *= gate / (1.0 + exp(-gate));
    }
}

/// x = x · sigmoid(gate).
#[inline(always)]
pub(crate) fn gate_sigmoid(x: &mut [f32], gate: &[f32]) {
    for (x, gate) in x.iter_mut().zip(gate) {
        *x /= 1.0 + exp(-gate);
    }
}
