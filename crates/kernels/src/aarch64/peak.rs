//! Loops that do nothing but multiply and add, in registers: what a processor can do at most.

use std::arch::aarch64::*;
use std::hint::black_box;

use super::thirty_two::sdot;

/// Sums in flight: enough to hide the latency of four units.
const SUMS: usize = 16;

/// Bytes multiplied and added by `sdot`; how many.
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn codes(rounds: u64) -> u64 {
    let (a, b) = (vdupq_n_s8(3), vdupq_n_s8(black_box(5)));
    let mut sums = [vdupq_n_s32(0); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            // SAFETY: this function has the instruction set.
            *sum = unsafe { sdot(*sum, a, b) };
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 16
}

/// Floats multiplied and added; how many.
#[target_feature(enable = "neon")]
pub(crate) fn floats(rounds: u64) -> u64 {
    let (a, b) = (vdupq_n_f32(0.5), vdupq_n_f32(black_box(0.25)));
    let mut sums = [vdupq_n_f32(0.0); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = vfmaq_f32(b, a, *sum);
        }
    }
    black_box(sums);
    rounds * SUMS as u64 * 4
}
