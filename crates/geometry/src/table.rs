//! The register of geometries.

mod kimi;
mod qwen;
mod deepseek;
mod glm;
mod gpt_oss;
mod minimax;
mod llama;
mod olmoe;
mod tiny;

use base::{Error, Quoted, Result};

use crate::shape::Geometry;

/// Every geometry.
pub const ALL: &[&Geometry] = &[
    &kimi::KIMI_K2,
    &kimi::KIMI_K25,
    &kimi::KIMI_K3,
    &kimi::KIMI_LINEAR,
    &deepseek::DEEPSEEK_V3,
    &deepseek::DEEPSEEK_V32,
    &deepseek::DEEPSEEK_V4_FLASH,
    &qwen::QWEN35_397B,
    &qwen::QWEN35_122B,
    &qwen::QWEN35_35B,
    &qwen::QWEN38_2400B,
    &qwen::QWEN3_30B,
    &qwen::QWEN3_235B,
    &qwen::QWEN3_CODER_480B,
    &gpt_oss::GPT_OSS_120B,
    &gpt_oss::GPT_OSS_20B,
    &glm::GLM_46,
    &glm::GLM_45_AIR,
    &glm::GLM_47_FLASH,
    &glm::GLM_5,
    &glm::GLM_52,
    &minimax::MINIMAX_M2,
    &llama::MIXTRAL_8X7B,
    &llama::MIXTRAL_8X22B,
    &olmoe::OLMOE,
    &llama::LLAMA_33_70B,
    &qwen::QWEN3_32B,
    &deepseek::DEEPSEEK_30B,
    &tiny::DEEPSEEK_TINY,
    &tiny::QWEN3_TINY,
    &tiny::LLAMA_TINY,
];

/// The geometry called `name`.
///
/// Fails with [`base::Kind::Input`] and the list of names when there is none.
pub fn by_name(name: &str) -> Result<&'static Geometry> {
    let found = ALL.iter().find(|geometry| geometry.name.eq_ignore_ascii_case(name)).copied();
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|geometry| geometry.name).collect();
        Error::input(format!("no geometry is called {}; expected one of {}", Quoted(name), names.join(", ")))
    })
}
