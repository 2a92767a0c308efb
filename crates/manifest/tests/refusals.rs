//! A model that is not what its family says is refused by naming the file, the tensor and the expectation.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use base::Kind;
use formats::gguf::write::{Tensor, Writer};
use formats::{Checkpoint, Element, TensorEntry};
use manifest::Manifest;
use spec::Claim;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/deepseek_v3")).join(name)
}

/// A GGUF file of every family.
const FAMILIES: &[&str] = &[
    "grouped/model.gguf",
    "../deepseek_v32/plain/model.gguf",
    "../glm_moe_dsa/shared/model.gguf",
    "../deepseek_v4/plain/model.gguf",
    "../qwen3_moe/plain/model.gguf",
    "../mixtral/plain/model.gguf",
    "../mixtral/plain/by_expert.gguf",
    "../olmoe/plain/model.gguf",
    "../qwen3/plain/model.gguf",
    "../llama/plain/model.gguf",
    "../gpt_oss/plain/model.gguf",
    "../glm4_moe/plain/model.gguf",
    "../glm4_moe_lite/plain/model.gguf",
    "../minimax_m2/plain/model.gguf",
    "../qwen3_5_moe/plain/model.gguf",
    "../qwen3_5/dense/model.gguf",
    "../qwen3_next/plain/model.gguf",
    "../kimi_linear/plain/model.gguf",
    "../kimi_k3/plain/model.gguf",
];

/// Writes a GGUF fixture again after `change`, with tensors of zeros, and says why it is refused.
fn refused(change: impl Fn(&mut Checkpoint)) -> (Kind, String) {
    refused_of(FAMILIES[0], change)
}

fn refused_of(model: &str, change: impl Fn(&mut Checkpoint)) -> (Kind, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.gguf");
    let mut checkpoint = formats::open(&fixture(model)).unwrap();
    change(&mut checkpoint);
    let described = |tensor: &TensorEntry| Tensor {
        name: tensor.name.clone(),
        element: tensor.element.clone(),
        shape: tensor.shape.clone(),
    };
    let tensors: Vec<Tensor> = checkpoint.tensors.iter().map(described).collect();
    let mut writer = Writer::new(File::create(&path).unwrap(), &checkpoint.metadata, &tensors).unwrap();
    for tensor in &tensors {
        let cols = *tensor.shape.last().unwrap() as usize;
        let rows = tensor.shape.iter().product::<u64>() as usize / cols;
        let bytes = match tensor.element {
            Element::Weight(quant) => quant.plane_bytes(rows, cols).unwrap().values,
            Element::I32 => 4 * rows * cols,
            _ => panic!("fixtures hold weights, and tables"),
        };
        writer.append(&vec![0; bytes]).unwrap();
    }
    writer.finish().unwrap();
    let error = opening(&path);
    (error.kind(), error.to_string())
}

/// Why a model is refused.
fn opening(path: &Path) -> base::Error {
    match Manifest::open(path) {
        Ok(_) => panic!("{} is not what its family says, and was opened", path.display()),
        Err(error) => error,
    }
}

fn place(checkpoint: &Checkpoint, name: &str) -> usize {
    checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap()
}

/// Calls `check` with every family's file and the tensors it holds, but for those that are skipped by rule.
fn each_tensor(check: impl Fn(&str, &TensorEntry)) {
    for model in FAMILIES {
        let (checkpoint, manifest) = Manifest::open(&fixture(model)).unwrap();
        let claimed = manifest.claims.iter().map(|claim| matches!(claim, Claim::Role(_)));
        let used = checkpoint.tensors.iter().zip(claimed).filter(|(_, claimed)| *claimed);
        used.for_each(|(tensor, _)| check(model, tensor));
    }
}

#[test]
fn a_missing_tensor_is_named() {
    each_tensor(|model, tensor| {
        // A GGUF file without an output head is one whose embedding is the head; one without factors of the rotation is
        // one whose rotation is not stretched.
        if ["output.weight", "rope_freqs.weight"].contains(&tensor.name.as_str()) {
            return;
        }
        let tells_more = tensor.name == "token_embd.weight";
        let (kind, said) = refused_of(model, |checkpoint| {
            let index = place(checkpoint, &tensor.name);
            checkpoint.tensors.remove(index);
        });
        assert!(matches!(kind, Kind::Corrupt | Kind::Unsupported), "{said}");
        assert!(said.contains("changed.gguf"), "{said}");
        assert!(tells_more || said.contains(&tensor.name), "{model} {}: {said}", tensor.name);
    });
}

#[test]
fn a_tensor_of_another_shape_is_named() {
    each_tensor(|model, tensor| {
        if tensor.name == "token_embd.weight" {
            return;
        }
        let (kind, said) = refused_of(model, |checkpoint| {
            let index = place(checkpoint, &tensor.name);
            checkpoint.tensors[index].shape[0] += 1;
        });
        assert_eq!(kind, Kind::Corrupt, "{said}");
        assert!(
            said.contains("changed.gguf") && said.contains(&tensor.name) && said.contains("shape"),
            "{said}"
        );
    });
}

#[test]
fn an_unknown_tensor_is_named() {
    for model in FAMILIES {
        for name in [
            "blk.0.attn_q_norm_2.weight",
            "blk.0.attn_q.bias",
            "blk.0.attn_q_a.bias",
            "blk.0.ffn_gate_shexp.bias",
            "blk.0.ffn_gate.99.weight",
            "rope_freqs.weight",
            "blk.9.attn_norm.weight",
            "blk.04.attn_norm.weight",
            "x",
        ] {
            let (kind, said) = refused_of(model, |checkpoint| {
                // The factors of a rotation that has some have another shape then.
                checkpoint.tensors.retain(|tensor| tensor.name != name);
                let mut extra = checkpoint.tensors[0].clone();
                extra.name = name.to_owned();
                checkpoint.tensors.push(extra);
            });
            assert!(matches!(kind, Kind::Unsupported | Kind::Corrupt), "{said}");
            assert!(said.contains(name) && said.contains("changed.gguf"), "{said}");
        }
    }
}

#[test]
fn metadata_that_cannot_be_is_refused_by_key() {
    type Change = (&'static str, fn(&mut Checkpoint), &'static str);
    let cases: &[Change] = &[
        ("unknown architecture", |c| c.metadata.set("general.architecture", "mamba"), "mamba"),
        ("no layers", |c| c.metadata.set("deepseek2.block_count", 0u32), "block_count"),
        ("too many layers", |c| c.metadata.set("deepseek2.block_count", 1_000_000u32), "layers"),
        ("no experts", |c| c.metadata.set("deepseek2.expert_count", 0u32), "expert_count"),
        ("more used than there are", |c| c.metadata.set("deepseek2.expert_used_count", 99u32), "99"),
        ("groups that do not divide", |c| c.metadata.set("deepseek2.expert_group_count", 5u32), "groups"),
        ("unknown gating", |c| c.metadata.set("deepseek2.expert_gating_func", 7u32), "expert_gating_func"),
        (
            "a string for a number",
            |c| c.metadata.set("deepseek2.embedding_length", "wide"),
            "embedding_length",
        ),
        ("no epsilon", |c| c.metadata.set("deepseek2.attention.layer_norm_rms_epsilon", 0f32), "epsilon"),
        ("odd rotation", |c| c.metadata.set("deepseek2.rope.dimension_count", 7u32), "rotated"),
        ("unknown scaling", |c| c.metadata.set("deepseek2.rope.scaling.type", "longrope"), "longrope"),
    ];
    for (what, change, expected) in cases {
        let (_, said) = refused(change);
        assert!(said.contains(expected) && said.contains("changed.gguf"), "{what}: {said}");
    }
}

/// A copy of a safetensors fixture whose configuration was changed, and why it is refused.
fn refused_config(name: &str, change: impl Fn(&mut serde_json::Value)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    let said = opening(folder.path()).to_string();
    assert!(said.contains(&Path::new(folder.path()).display().to_string()), "{said}");
    said
}

const K3: &str = "../kimi_k3/plain/hf";

#[test]
fn a_configuration_this_engine_does_not_compute_is_refused_by_key() {
    type Change = (&'static str, fn(&mut serde_json::Value), &'static str);
    let cases: &[Change] = &[
        ("kimi/hf", |c| c["model_type"] = "mamba".into(), "mamba"),
        ("../qwen3_moe/plain/hf", |c| c["mlp_only_layers"] = vec![0].into(), "mlp_only_layers"),
        ("../qwen3_moe/plain/hf", |c| c["decoder_sparse_step"] = 2.into(), "decoder_sparse_step"),
        ("../qwen3_moe/plain/hf", |c| c["attention_bias"] = true.into(), "q_proj.bias"),
        ("../qwen3_moe/plain/hf", |c| c["num_key_value_heads"] = 4.into(), "heads"),
        ("../qwen3_moe/plain/hf", |c| c["head_dim"] = 21.into(), "rotated"),
        (
            "../qwen3_moe/plain/hf",
            |c| c["rope_scaling"] = serde_json::json!({"type": "longrope", "factor": 4.0}),
            "longrope",
        ),
        ("../mixtral/plain/hf", |c| c["rope_theta"] = serde_json::Value::Null, "rope_theta"),
        ("../mixtral/plain/hf", |c| c["num_local_experts"] = 0.into(), "num_local_experts"),
        ("../olmoe/plain/hf", |c| c["clip_qkv"] = 8.0.into(), "clip_qkv"),
        ("kimi/hf", |c| c["model_type"] = serde_json::Value::Null, "model_type"),
        ("kimi/hf", |c| c["hidden_act"] = "gelu".into(), "hidden_act"),
        ("kimi/hf", |c| c["attention_bias"] = true.into(), "attention_bias"),
        ("kimi/hf", |c| c["scoring_func"] = "softmax".into(), "scoring_func"),
        ("kimi/hf", |c| c["topk_method"] = "greedy".into(), "topk_method"),
        ("kimi/hf", |c| c["num_hidden_layers"] = 3.into(), "layers.3"),
        ("kimi/hf", |c| c["num_hidden_layers"] = 5.into(), "layers.4"),
        ("kimi/hf", |c| c["hidden_size"] = (-1).into(), "hidden_size"),
        ("kimi/hf", |c| c["vocab_size"] = (1u64 << 40).into(), "vocab_size"),
        ("kimi/hf", |c| c["rope_scaling"] = "yarn".into(), "rope_scaling"),
        ("kimi/hf", |c| c["rope_scaling"]["rope_theta"] = 1.into(), "rotation"),
        ("kimi/hf", |c| c["routed_scaling_factor"] = 1e300.into(), "weights"),
        ("kimi/hf", |c| c["rms_norm_eps"] = 1e300.into(), "epsilon"),
        ("kimi/hf", |c| c["norm_topk_prob"] = serde_json::Value::Null, "norm_topk_prob"),
        ("kimi/hf", |c| c["n_routed_experts"] = (1u64 << 28).into(), "experts"),
        ("kimi/hf", |c| c["tie_word_embeddings"] = true.into(), "lm_head"),
        ("../kimi_linear/plain/hf", |c| c["mla_use_nope"] = false.into(), "mla_use_nope"),
        ("../kimi_linear/plain/hf", |c| c["hidden_act"] = "situ".into(), "hidden_act"),
        (K3, |c| c["text_config"]["hidden_act"] = "silu".into(), "hidden_act"),
        (K3, |c| c["text_config"]["hidden_act"] = serde_json::Value::Null, "hidden_act"),
        (K3, |c| c["text_config"]["activation_situ_beta"] = 0.into(), "activation_situ_beta"),
        (K3, |c| c["text_config"]["activation_situ_linear_beta"] = "x".into(), "activation_situ_linear_beta"),
        (K3, |c| c["text_config"]["attn_res_block_size"] = 0.into(), "attn_res_block_size"),
        (K3, |c| c["text_config"]["latent_moe_use_norm"] = false.into(), "latent_moe_use_norm"),
        (K3, |c| c["text_config"]["routed_expert_hidden_size"] = 32.into(), "routed_expert_"),
        (K3, |c| c["text_config"]["moe_router_activation_func"] = "softmax".into(), "softmax"),
        (K3, |c| c["text_config"]["mla_use_output_gate"] = false.into(), "g_proj"),
        (K3, |c| c["text_config"]["linear_attn_config"]["gate_lower_bound"] = 1.into(), "gate_lower_bound"),
        (K3, |c| c["text_config"]["linear_attn_config"]["use_full_rank_gate"] = false.into(), "g_a_proj"),
        (K3, |c| c["text_config"]["linear_attn_config"]["kda_layers"] = vec![1].into(), "kda_layers"),
        ("kimi_int4/hf", |c| c["quantization_config"] = "int4".into(), "quantization_config"),
        ("kimi_int4/hf", |c| c["quantization_config"]["kv_cache_scheme"] = "fp8".into(), "kv_cache_scheme"),
        ("kimi_int4/hf", |c| c["quantization_config"]["quant_method"] = "gptq".into(), "gptq"),
        (
            "kimi_int4/hf",
            |c| c["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] = 8.into(),
            "num_bits",
        ),
        (
            "grouped_fp8/hf",
            |c| c["quantization_config"]["weight_block_size"] = vec![64, 64].into(),
            "weight_block_size",
        ),
        ("kimi_nvfp4/hf", |c| c["quantization_config"]["quant_algo"] = "FP8".into(), "quant_algo"),
        ("kimi_nvfp4/hf", |c| c["quantization_config"]["group_size"] = 32.into(), "group_size"),
        (
            "kimi_nvfp4/compressed",
            |c| c["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] = 32.into(),
            "group_size",
        ),
    ];
    for (name, change, expected) in cases {
        let said = refused_config(name, change);
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn a_missing_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("grouped_fp8/sharded")).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap();
        if !name.contains("00002") {
            fs::copy(&from, folder.path().join(name)).unwrap();
        }
    }
    let said = opening(folder.path()).to_string();
    assert!(said.contains("00002"), "{said}");
}
