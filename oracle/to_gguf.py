"""GGUF files of a tiny model: by llama.cpp's own converter, and by hand where that converter no longer writes it."""

import os
import re
import subprocess
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

FILE_TYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}

# Published name -> GGUF name, inside a layer. The pairs the converter itself uses for the arch deepseek2.
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def convert(llama_cpp: str, folder: str, path: str, dtype: torch.dtype, *options: str) -> None:
    """Runs llama.cpp's converter in a process of its own, since it brings its own gguf-py. No tokenizer is needed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "convert_without_tokenizer.py")
    arguments = [os.path.abspath(llama_cpp), folder, path, FILE_TYPES[dtype], *options]
    subprocess.run([sys.executable, runner, *arguments], check=True)


def write_legacy(path: str, config: dict, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    """As converters wrote deepseek2 before April 2025: the latent projection unsplit, plain keys for a head's widths.

    Those of DeepSeek-V2 name no gating function, and none of them names groups. YaRN's betas are named only where they
    are not what a reader assumes, 32 and 1.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_name("legacy")
    writer.add_file_type({torch.float32: 0, torch.float16: 1, torch.bfloat16: 32}[dtype])
    legacy_keys(writer, config)
    for name, tensor in sorted(gguf_tensors(config, weights).items()):
        add(writer, name, tensor, dtype)
    finish(writer)


def legacy_keys(writer: gguf.GGUFWriter, config: dict) -> None:
    nope, rotated = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    scaling = config["rope_scaling"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_vocab_size(config["vocab_size"])
    if config["q_lora_rank"] is not None:
        writer.add_q_lora_rank(config["q_lora_rank"])
    writer.add_kv_lora_rank(config["kv_lora_rank"])
    writer.add_key_length(nope + rotated)
    writer.add_value_length(config["v_head_dim"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    if config["scoring_func"] == "sigmoid":
        writer.add_expert_weights_norm(config["norm_topk_prob"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    writer.add_rope_dimension_count(rotated)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(scaling["factor"])
    writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_log_mul(0.1 * scaling["mscale_all_dim"])
    if (scaling["beta_fast"], scaling["beta_slow"]) != (32, 1):
        writer.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])


def gguf_tensors(config: dict, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Published weights under their GGUF names: experts stacked, everything else only renamed."""
    named = {}
    for name, tensor in weights.items():
        if ".experts." not in name:
            named[gguf_name(name)] = tensor
    for layer in range(config["first_k_dense_replace"], config["num_hidden_layers"]):
        for part in ("gate", "up", "down"):
            experts = [weights[f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight"]
                       for expert in range(config["n_routed_experts"])]
            named[f"blk.{layer}.ffn_{part}_exps.weight"] = torch.stack(experts)
    return named


def gguf_name(name: str) -> str:
    base, _, suffix = name.rpartition(".")
    if suffix == "e_score_correction_bias":
        return f"blk.{name.split('.')[2]}.exp_probs_b.bias"
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", base)
    if layer is None:
        return f"{TOP_NAMES[base]}.{suffix}"
    return f"blk.{layer[1]}.{LAYER_NAMES[layer[2]]}.{suffix}"


def write_mixed(path: str, source: str, types: dict[str, Type]) -> dict[str, torch.Tensor]:
    """Rewrites a GGUF with some tensors quantised, chosen by the name inside the layer.

    Returns the exact values of all quantised tensors, so that an oracle can be made on them.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "deepseek2")
    copy_keys(reader, writer)
    exact = {}
    for tensor in reader.tensors:
        kind = types.get(re.sub(r"^blk\.\d+\.|\.weight$", "", tensor.name))
        if kind is None:
            copy_tensor(writer, tensor)
            continue
        data = gguf.quantize(values_of(tensor), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
        exact[tensor.name] = torch.from_numpy(gguf.dequantize(data, kind).reshape(shape_of(tensor)))
    finish(writer)
    return exact


def published_tensors(exact: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The published weights with those of `exact`, under GGUF names, put in their place."""
    replaced = dict(weights)
    for name in weights:
        expert = re.fullmatch(r"model\.layers\.(\d+)\.mlp\.experts\.(\d+)\.(\w+)_proj\.weight", name)
        if expert is None:
            replaced[name] = exact.get(gguf_name(name), weights[name])
        elif (stack := exact.get(f"blk.{expert[1]}.ffn_{expert[3]}_exps.weight")) is not None:
            replaced[name] = stack[int(expert[2])]
    return replaced


def split(source: str, folder: str, count: int) -> None:
    """The shards of a file, as gguf-split makes them with --no-tensor-first-split: the first holds only metadata."""
    os.makedirs(folder, exist_ok=True)
    reader = gguf.GGUFReader(source)
    tensors = list(reader.tensors)
    each = -(-len(tensors) // (count - 1))
    for number in range(count):
        path = os.path.join(folder, f"model-{number + 1:05}-of-{count:05}.gguf")
        writer = gguf.GGUFWriter(path, "deepseek2")
        if number == 0:
            copy_keys(reader, writer)
        else:  # only split.* in the later shards
            writer.kv_data[0].clear()
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(tensors))
        start = (number - 1) * each
        for tensor in tensors[start : start + each] if number else []:
            copy_tensor(writer, tensor)
        finish(writer)


def copy_keys(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], inner)


def copy_tensor(writer: gguf.GGUFWriter, tensor) -> None:
    writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)


def add(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor, dtype: torch.dtype) -> None:
    """Vectors and the router in F32 and matrices in their own type, as the converter has it."""
    if tensor.dim() == 1 or "ffn_gate_inp" in name or dtype == torch.float32:
        writer.add_tensor(name, tensor.float().numpy())
    elif dtype == torch.bfloat16:
        raw = tensor.to(torch.bfloat16).contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, raw, raw_dtype=Type.BF16)
    else:
        writer.add_tensor(name, tensor.to(torch.float16).numpy())


def values_of(tensor) -> np.ndarray:
    return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape_of(tensor))


def shape_of(tensor) -> list[int]:
    return [int(extent) for extent in tensor.shape][::-1]


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
