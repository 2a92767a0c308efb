//! Attention to chosen tokens over prompts of several portions: however they are cut, each token chooses the same.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use model::Form;
use testkit::{Oracle, Rig, RigOptions, fixture, relative_error};

#[test]
fn a_long_prompt_chooses_the_same_however_it_is_cut() {
    for family in ["deepseek_v32/plain", "glm_moe_dsa/shared"] {
        let tokens = Oracle::read(&fixture(&format!("{family}/oracle.safetensors"))).tokens.repeat(4);
        let mut rig = Rig::open(&fixture(&format!("{family}/model.gguf")), &RigOptions::default()).unwrap();
        let [absorbed, expanded] = [Form::Absorbed, Form::Expanded].map(|form| {
            rig.decoder.force_form(Some(form));
            let whole = rig.prefill(&tokens, 600).unwrap();
            for chunk in [513, 41, 1] {
                // One token at a time is the slow way to compute every key anew.
                if chunk > 1 || form == Form::Absorbed {
                    assert!(
                        rig.prefill(&tokens, chunk).unwrap() == whole,
                        "{family} {form:?}, chunks of {chunk}"
                    );
                }
            }
            whole
        });
        let error = relative_error(&absorbed, &expanded);
        assert!(error > 0.0 && error < 1e-4, "{family}: {error:e}");
    }
}
