//! Against the published implementation: every checkpoint of the fixtures, in every spelling it was published in.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use testkit::{DECODE_TOLERANCE, LOGITS_TOLERANCE, Rig, RigOptions, checkpoints, relative_error};

fn likeliest(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[test]
fn logits_equal_the_published_ones_at_every_position() {
    for (path, oracle) in checkpoints() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let logits = rig.prefill(&oracle.tokens, 512).unwrap();
        let error = relative_error(&logits, &oracle.logits);
        println!("{error:.1e} {}", path.display());
        assert!(error <= LOGITS_TOLERANCE, "{}: {error:e}", path.display());
        let rows = logits.chunks_exact(oracle.vocab()).zip(oracle.logits.chunks_exact(oracle.vocab()));
        for (position, (found, expected)) in rows.enumerate() {
            assert_eq!(likeliest(found), likeliest(expected), "{} at {position}", path.display());
        }
    }
}

#[test]
fn one_token_at_a_time_equals_the_whole_prompt() {
    for (path, oracle) in checkpoints() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let mut expanded = Vec::new();
        for form in [model::Form::Absorbed, model::Form::Expanded] {
            rig.decoder.force_form(Some(form));
            expanded = rig.prefill(&oracle.tokens, 512).unwrap();
            let error = relative_error(&expanded, &oracle.logits);
            assert!(error <= LOGITS_TOLERANCE, "{} {form:?}: {error:e}", path.display());
        }
        rig.decoder.force_form(None);
        let decoded = rig.decode(&oracle.tokens).unwrap();
        let error = relative_error(&decoded, &expanded);
        let latent = |layer: &spec::LayerSpec| matches!(layer.mixer, spec::Mixer::Mla(_));
        let forms = rig.decoder.spec().layers.iter().any(latent);
        assert_eq!(
            error > 0.0,
            forms,
            "{}: the two forms of latent attention round differently, or one of them did not run; grouped-query \
             attention has one form",
            path.display()
        );
        assert!(error <= DECODE_TOLERANCE, "{}: {error:e}", path.display());
    }
}

#[test]
fn greedy_text_goes_on_as_published() {
    for (path, oracle) in checkpoints() {
        let mut rig = Rig::open(&path, &RigOptions::default()).unwrap();
        let mut tokens = oracle.tokens.clone();
        for (step, expected) in oracle.greedy.iter().enumerate() {
            let logits = rig.prefill(&tokens, 512).unwrap();
            let next = likeliest(&logits[logits.len() - oracle.vocab()..]) as u32;
            assert_eq!(next, *expected, "{} at step {step}", path.display());
            tokens.push(next);
        }
        assert!(!oracle.greedy.is_empty());
    }
}
