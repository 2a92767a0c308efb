//! How configurations tell the router of DeepSeek-V3 and those like it.

use base::Result;

use super::rotation;
use crate::{Config, GroupScore, Groups, Router, Score};

/// DeepSeek-V3's: sigmoid, with a bias on the choice.
pub(super) fn sigmoid_of_config(config: &Config<'_>) -> Result<Router> {
    config.require("scoring_func", "sigmoid")?;
    config.require("topk_method", "noaux_tc")?;
    Ok(Router {
        top_k: config.size("num_experts_per_tok")?,
        by_token: false,
        logit_bias: false,
        score: Score::Sigmoid,
        bias: true,
        // Readers disagree on what these are when they are absent, so they must be told.
        groups: groups(config.size("n_group")?, config.size("topk_group")?, GroupScore::TopTwo),
        normalise: config.flag("norm_topk_prob")?,
        scale: config.positive("routed_scaling_factor")? as f32,
    })
}

/// What GGUF metadata tells; `bias` when the file has one on the choice, `old` where files from before the keys existed
/// are about.
pub(super) fn of_gguf(config: &Config<'_>, bias: bool, old: bool) -> Result<Router> {
    // Absent in DeepSeek-V2 files, which score by softmax, and in the first V3 files, which have a bias.
    let (score, group_score) = match config.size_or("expert_gating_func", if bias { 2 } else { 1 })? {
        1 => (Score::Softmax, GroupScore::Best),
        2 => (Score::Sigmoid, GroupScore::TopTwo),
        _ => return Err(config.err_implemented("expert_gating_func", "1 (softmax) or 2 (sigmoid)")),
    };
    // Files of DeepSeek-V3 and R1 from before the keys existed: 256 experts in 8 groups of which 4 are used.
    let unsaid = config.get("expert_group_count").is_none();
    let third = old && unsaid && score == Score::Sigmoid && config.size("expert_count")? == 256;
    let (count, keep) = if third {
        (8, 4)
    } else {
        (config.size_or("expert_group_count", 1)?, config.size_or("expert_group_used_count", 1)?)
    };
    Ok(Router {
        top_k: config.size("expert_used_count")?,
        by_token: false,
        logit_bias: false,
        score,
        bias: bias || score == Score::Sigmoid,
        groups: groups(count, keep, group_score),
        normalise: config.flag_or("expert_weights_norm", false)?,
        scale: rotation::or_when_zero(config.number_or("expert_weights_scale", 0.0)?, 1.0) as f32,
    })
}

/// Groups, where there are several.
pub(super) fn groups(count: usize, keep: usize, score: GroupScore) -> Option<Groups> {
    (count > 1).then_some(Groups { count, keep, score })
}
