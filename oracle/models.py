"""The tiny models of the family deepseek_v3: each one a config.json in the published spelling, and how it is stored.

The widths of a model differ from each other, so a transposed or mixed-up matrix cannot pass. Weights are random; what
transformers initialises to a constant (norms, the routing bias) is drawn too, or half of the forward pass would go
untested.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import re
import tempfile
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

torch.set_num_threads(1)


@dataclass
class Tiny:
    """One model. `dtype` is that of the stored matrices; norms and the routing bias follow their own rule. `scheme` names
    the quantised layout, if it is stored in one (`quantise.py`)."""

    config: dict
    dtype: torch.dtype = torch.bfloat16
    tokens: int = 48
    seed: int = 1
    hidden: list[int] = field(default_factory=lambda: [1, 3])
    scheme: str = ""


def old_yarn(**changes) -> dict:
    """YaRN as the published configurations spell it: `rope_scaling`, with the theta beside it."""
    return dict(type="yarn", original_max_position_embeddings=64, beta_fast=32, beta_slow=1,
                mscale=1.0, mscale_all_dim=1.0) | changes


V3 = dict(architectures=["DeepseekV3ForCausalLM"], hidden_act="silu", attention_bias=False, moe_layer_freq=1,
          scoring_func="sigmoid", topk_method="noaux_tc", norm_topk_prob=True, tie_word_embeddings=False,
          bos_token_id=0, eos_token_id=1, initializer_range=0.02, torch_dtype="bfloat16")

V2 = V3 | dict(architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2", scoring_func="softmax",
               norm_topk_prob=False)

MODELS = {
    # Kimi K2: one dense layer, no groups, YaRN with both betas 1 (a step), an epsilon unlike the class's own.
    "kimi": Tiny(V3 | dict(
        model_type="kimi_k2", vocab_size=192, hidden_size=64, intermediate_size=80, moe_intermediate_size=32,
        num_hidden_layers=4, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4,
        q_lora_rank=52, kv_lora_rank=28, qk_nope_head_dim=20, qk_rope_head_dim=16, v_head_dim=24,
        n_routed_experts=9, num_experts_per_tok=4, n_shared_experts=1, n_group=1, topk_group=1,
        routed_scaling_factor=2.827, num_nextn_predict_layers=0, rms_norm_eps=1e-5, max_position_embeddings=2048,
        rope_theta=50000.0, rope_scaling=old_yarn(factor=32.0, beta_fast=1.0, beta_slow=1.0))),
    # DeepSeek-V3: three dense layers, groups, and widths past 128 that leave ragged 128 x 128 blocks.
    "grouped": Tiny(V3 | dict(
        model_type="deepseek_v3", vocab_size=128, hidden_size=136, intermediate_size=132, moe_intermediate_size=16,
        num_hidden_layers=5, first_k_dense_replace=3, num_attention_heads=4, num_key_value_heads=4,
        q_lora_rank=36, kv_lora_rank=24, qk_nope_head_dim=18, qk_rope_head_dim=8, v_head_dim=14,
        n_routed_experts=12, num_experts_per_tok=4, n_shared_experts=1, n_group=4, topk_group=2,
        routed_scaling_factor=2.5, num_nextn_predict_layers=1, rms_norm_eps=1e-6, max_position_embeddings=2560,
        rope_theta=10000.0, rope_scaling=old_yarn(factor=40.0))),
    # A shape nobody tunes on: odd counts, a tied head, the new spelling of the rotation, a prompt past YaRN's
    # original context, F16.
    "odd": Tiny(V3 | dict(
        model_type="deepseek_v3", vocab_size=131, hidden_size=96, intermediate_size=104, moe_intermediate_size=20,
        num_hidden_layers=4, first_k_dense_replace=2, num_attention_heads=3, num_key_value_heads=3,
        q_lora_rank=44, kv_lora_rank=48, qk_nope_head_dim=24, qk_rope_head_dim=16, v_head_dim=36,
        n_routed_experts=11, num_experts_per_tok=3, n_shared_experts=2, n_group=1, topk_group=1,
        routed_scaling_factor=1.7, num_nextn_predict_layers=0, rms_norm_eps=1e-6, max_position_embeddings=256,
        tie_word_embeddings=True, torch_dtype="float16",
        rope_parameters=dict(rope_type="yarn", rope_theta=8000.0, factor=4.0, original_max_position_embeddings=64,
                             beta_fast=24.0, beta_slow=2.0, mscale=1.0, mscale_all_dim=1.0)),
        dtype=torch.float16, tokens=150),
    # Moonlight: V3 routing without a low rank for queries, and without YaRN. F32.
    "lite": Tiny(V3 | dict(
        model_type="deepseek_v3", vocab_size=96, hidden_size=64, intermediate_size=80, moe_intermediate_size=24,
        num_hidden_layers=2, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4,
        q_lora_rank=None, kv_lora_rank=32, qk_nope_head_dim=20, qk_rope_head_dim=16, v_head_dim=14,
        n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2, n_group=1, topk_group=1,
        routed_scaling_factor=2.446, num_nextn_predict_layers=0, rms_norm_eps=1e-5, max_position_embeddings=512,
        rope_theta=50000.0, rope_scaling=None, torch_dtype="float32"),
        dtype=torch.float32, hidden=[1]),
    # DeepSeek-V2-Lite: softmax, greedy, no renormalisation, YaRN's two mscales both 0.707.
    "v2_greedy": Tiny(V2 | dict(
        vocab_size=112, hidden_size=64, intermediate_size=92, moe_intermediate_size=24,
        num_hidden_layers=2, first_k_dense_replace=1, num_attention_heads=2, num_key_value_heads=2,
        q_lora_rank=None, kv_lora_rank=40, qk_nope_head_dim=28, qk_rope_head_dim=16, v_head_dim=18,
        n_routed_experts=10, num_experts_per_tok=3, n_shared_experts=2, n_group=1, topk_group=1,
        topk_method="greedy", routed_scaling_factor=1.0, rms_norm_eps=1e-6, max_position_embeddings=2560,
        rope_theta=10000.0, rope_scaling=old_yarn(factor=40.0, mscale=0.707, mscale_all_dim=0.707)),
        tokens=72, hidden=[1]),
    # DeepSeek-V2: a group scores as its best expert, and the weights are scaled without being renormalised.
    "v2_grouped": Tiny(V2 | dict(
        vocab_size=112, hidden_size=64, intermediate_size=92, moe_intermediate_size=24,
        num_hidden_layers=2, first_k_dense_replace=1, num_attention_heads=2, num_key_value_heads=2,
        q_lora_rank=34, kv_lora_rank=40, qk_nope_head_dim=28, qk_rope_head_dim=16, v_head_dim=18,
        n_routed_experts=12, num_experts_per_tok=4, n_shared_experts=2, n_group=4, topk_group=2,
        topk_method="group_limited_greedy", routed_scaling_factor=16.0, rms_norm_eps=1e-6,
        max_position_embeddings=2560, rope_theta=10000.0,
        rope_scaling=old_yarn(factor=40.0, mscale=0.707, mscale_all_dim=0.707)),
        tokens=72, hidden=[1]),
}


def transformers_config(config: dict):
    """The configuration as transformers knows it: it has no class called kimi_k2, only the V3 one Kimi uses."""
    kind = config["model_type"].replace("kimi_k2", "deepseek_v3")
    return CONFIG_MAPPING[kind](**{key: value for key, value in config.items() if key != "model_type"})


def draw(tiny: Tiny, seed: int) -> dict[str, torch.Tensor]:
    """Random weights under the published names, rounded to the types they are stored in."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(transformers_config(tiny.config), dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not name.endswith("inv_freq"):
                spread, mean = spread_of(name, tensor, tiny.config["tie_word_embeddings"])
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread + mean)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)  # renames to the published names, one tensor per expert
        tensors = load_file(os.path.join(folder, "model.safetensors"))
    return {published(name): tensor.to(stored_dtype(name, tiny.dtype)) for name, tensor in tensors.items()}


def published(name: str) -> str:
    """transformers saves the dense layers of Kimi-Linear under another name than Moonshot does."""
    return re.sub(r"\.block_sparse_moe\.(gate|up|down)_proj\.", r".mlp.\1_proj.", name)


def spread_of(name: str, tensor: torch.Tensor, tied: bool) -> tuple[float, float]:
    """Standard deviation and mean: activations of order one, and routing that neither collapses nor is uniform."""
    if name.endswith("e_score_correction_bias"):
        return 0.2, 0.0
    if name.endswith("bias"):
        return 0.1, 0.0
    if name.endswith("sinks"):
        return 1.0, 0.0
    if "norm" in name:
        return 0.2, (0.0 if not tensor.any() else 1.0)  # some norms are stored as what they differ from 1 by
    if name.endswith("A_log"):
        return 1.0, 0.5
    if name.endswith("dt_bias"):
        return 0.5, 0.0
    if "conv1d" in name:
        return 0.4, 0.0
    if "embed_tokens" in name:
        return (0.1 if tied else 1.0), 0.0  # a tied head would otherwise answer every token with itself
    if "lm_head" in name:
        return 0.15, 0.0
    if name.endswith("experts.gate_up_proj"):
        return 0.5, 0.0  # past the limits of gpt-oss's gates, now and then
    if name.endswith(("gate.weight", "router.weight")):
        return 0.35, 0.0
    return tensor.shape[-1] ** -0.5, 0.0


def stored_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """The published files keep the routing bias in F32 and everything else in one type."""
    return torch.float32 if name.endswith("e_score_correction_bias") else dtype


def is_expert(name: str) -> bool:
    return re.search(r"\.experts\.\d+\.", name) is not None
