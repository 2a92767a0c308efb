//! Draws follow what was asked.

use super::*;

fn drawn(sampling: Sampling, logits: &[f32], history: &[TokenId]) -> Vec<usize> {
    let mut sampler = Sampler::new(sampling);
    let mut counts = vec![0; logits.len()];
    for _ in 0..4000 {
        counts[sampler.pick(logits, history, 0) as usize] += 1;
    }
    counts
}

fn warm() -> Sampling {
    Sampling { temperature: 1.0, seed: 7, ..Sampling::default() }
}

#[test]
fn temperature_zero_is_greedy_and_ties_go_to_the_lower_token() {
    assert_eq!(drawn(Sampling::default(), &[1.0, 3.0, 3.0], &[]), [0, 4000, 0]);
    assert_eq!(drawn(Sampling::default(), &[f32::NAN, 1.0, 2.0], &[]), [0, 0, 4000]);
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    for (count, p) in drawn(warm(), &logits, &[]).into_iter().zip([0.5, 0.3, 0.2]) {
        assert!((count as f64 / 4000.0 - p).abs() < 0.03, "{count} draws at {p}");
    }
}

#[test]
fn each_filter_removes_the_tail() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
    let cases = [
        (Sampling { top_k: 2, ..warm() }, 2),
        (Sampling { top_p: 0.79, ..warm() }, 2),
        (Sampling { top_p: 0.81, ..warm() }, 3),
        (Sampling { min_p: 0.25, ..warm() }, 3),
        (Sampling { min_p: 1.0, ..warm() }, 1),
        (warm(), 4),
    ];
    for (sampling, kept) in cases {
        let counts = drawn(sampling.clone(), &logits, &[]);
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), kept, "{sampling:?}");
    }
}

#[test]
fn the_penalty_lowers_what_was_just_said() {
    let sampling = Sampling { repeat_penalty: 2.0, ..Sampling::default() };
    assert_eq!(Sampler::new(sampling.clone()).pick(&[1.0, 0.9], &[0], 1), 1);
    assert_eq!(Sampler::new(sampling.clone()).pick(&[-1.0, -1.5], &[0], 1), 1);
    let long_ago: Vec<TokenId> = std::iter::once(0).chain(vec![5; REPEAT_WINDOW]).collect();
    assert_eq!(Sampler::new(sampling).pick(&[1.0, 0.9], &long_ago, 0), 0);
}

#[test]
fn what_the_answer_said_is_penalised_once_and_for_each_time() {
    let said = [7, 1, 0, 0];
    let pick = |sampling: Sampling, answer| Sampler::new(sampling).pick(&[1.0, 0.6, 0.3], &said, answer);
    let presence = Sampling { presence_penalty: 0.5, ..Sampling::default() };
    let frequency = Sampling { frequency_penalty: 0.3, ..Sampling::default() };
    assert_eq!(pick(presence.clone(), 4), 0, "nothing was said yet");
    assert_eq!(pick(presence.clone(), 2), 1, "0.5, 0.6, 0.3");
    assert_eq!(pick(presence, 0), 0, "0.5, 0.1, 0.3");
    assert_eq!(pick(frequency.clone(), 3), 0, "0.7, 0.6, 0.3");
    assert_eq!(pick(frequency, 2), 1, "0.4, 0.6, 0.3");
    let encouraged = Sampling { frequency_penalty: -1.0, ..Sampling::default() };
    assert_eq!(pick(encouraged, 1), 0);
}

#[test]
fn a_bias_moves_a_token_and_ids_past_the_vocabulary_do_nothing() {
    let bias = |pairs: &[(TokenId, f32)]| Sampling {
        logit_bias: pairs.iter().copied().collect(),
        ..Sampling::default()
    };
    let cases = [(vec![(2, 100.0)], 2), (vec![(1, -100.0), (9, 100.0)], 0), (vec![(0, -0.5)], 1)];
    for (pairs, expected) in cases {
        assert_eq!(Sampler::new(bias(&pairs)).pick(&[1.0, 0.9, 0.0], &[], 0), expected, "{pairs:?}");
    }
}

#[test]
fn what_is_masked_is_never_drawn() {
    let masked = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY, -80.0];
    let counts = drawn(Sampling { temperature: 5.0, ..warm() }, &masked, &[]);
    assert_eq!((counts[0], counts[2]), (0, 0));
}

#[test]
fn nonsense_is_refused_and_survived() {
    for bad in [
        Sampling { temperature: -1.0, ..warm() },
        Sampling { temperature: f32::NAN, ..warm() },
        Sampling { top_p: 0.0, ..warm() },
        Sampling { min_p: 1.5, ..warm() },
        Sampling { repeat_penalty: 0.0, ..warm() },
        Sampling { presence_penalty: f32::NAN, ..warm() },
        Sampling { frequency_penalty: f32::INFINITY, ..warm() },
        Sampling { logit_bias: [(0, f32::NAN)].into(), ..warm() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    assert_eq!(drawn(warm(), &[f32::NAN, f32::NAN], &[])[0], 4000);
    assert_eq!(drawn(warm(), &[f32::INFINITY, 0.0], &[]).iter().sum::<usize>(), 4000);
}
