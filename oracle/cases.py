"""Small tables for unit tests, straight from transformers' classes: rotations of configurations, and routing.

`rope.json`: a list of {about, config, inv_freq, attention_factor, softmax_scale}.
`routing.safetensors`: for each case `<name>.logits` f32 [tokens, experts], `<name>.bias` f32 [experts] where there is
one, `<name>.experts` i64 [tokens, k] by falling choice score, `<name>.weights` f32 [tokens, k]; the settings are in
`routing.json`.
"""

import os

import torch
from safetensors.torch import save_file
from transformers.models.deepseek_v2.modeling_deepseek_v2 import (
    DeepseekV2RotaryEmbedding, DeepseekV2TopkRouter, yarn_apply_mscale as scale_v2)
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3RotaryEmbedding, DeepseekV3TopkRouter, yarn_apply_mscale as scale_v3)

from models import MODELS, old_yarn, transformers_config
from score import write_json

KIMI, V2 = MODELS["kimi"].config, MODELS["v2_greedy"].config


def new_yarn(**changes) -> dict:
    scaling = old_yarn(**changes)
    return {"rope_type": scaling.pop("type"), "rope_theta": 50000.0} | scaling


def without(scaling: dict, *keys: str) -> dict:
    return {key: value for key, value in scaling.items() if key not in keys}


WIDE = dict(qk_nope_head_dim=128, qk_rope_head_dim=64)

ROTATIONS = [
    ("Kimi K2.5", KIMI | WIDE | dict(rope_scaling=old_yarn(
        factor=64.0, beta_fast=1.0, beta_slow=1.0, original_max_position_embeddings=4096))),
    ("DeepSeek-V3", KIMI | WIDE | dict(
        rope_theta=10000.0, rope_scaling=old_yarn(factor=40.0, original_max_position_embeddings=4096))),
    ("DeepSeek-V2-Lite", V2 | WIDE | dict(rope_scaling=old_yarn(
        factor=40.0, mscale=0.707, mscale_all_dim=0.707, original_max_position_embeddings=4096))),
    ("no scaling", KIMI | WIDE | dict(rope_scaling=None)),
    ("no scaling and no theta", without(KIMI | WIDE, "rope_theta", "rope_scaling")),
    ("the new spelling", without(KIMI | WIDE, "rope_theta", "rope_scaling") | dict(
        rope_parameters=new_yarn(factor=8.0, original_max_position_embeddings=4096))),
    ("the new spelling, default", without(KIMI | WIDE, "rope_theta", "rope_scaling") | dict(
        rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    ("both spellings: the old one is read", KIMI | WIDE | dict(
        rope_scaling=old_yarn(factor=8.0), rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    ("rope_type in rope_scaling", KIMI | WIDE | dict(rope_scaling=without(old_yarn(factor=8.0), "type") | dict(
        rope_type="yarn"))),
    ("no betas", KIMI | WIDE | dict(rope_scaling=without(old_yarn(factor=8.0), "beta_fast", "beta_slow"))),
    ("neither mscale", KIMI | WIDE | dict(rope_scaling=without(old_yarn(factor=8.0), "mscale", "mscale_all_dim"))),
    ("mscale alone is ignored", KIMI | WIDE | dict(
        rope_scaling=without(old_yarn(factor=8.0, mscale=0.5), "mscale_all_dim"))),
    ("mscale_all_dim alone", KIMI | WIDE | dict(
        rope_scaling=without(old_yarn(factor=8.0, mscale_all_dim=0.5), "mscale"))),
    ("mscales that differ", KIMI | WIDE | dict(rope_scaling=old_yarn(factor=8.0, mscale=1.0, mscale_all_dim=0.5))),
    ("an explicit attention_factor", KIMI | WIDE | dict(
        rope_scaling=old_yarn(factor=8.0, attention_factor=1.25))),
    ("betas that cover no dimension", KIMI | dict(qk_rope_head_dim=8, rope_scaling=old_yarn(
        factor=4.0, beta_fast=2.0, beta_slow=2.0, original_max_position_embeddings=8))),
    ("no original context: the context itself", KIMI | WIDE | dict(
        rope_scaling=without(old_yarn(factor=8.0), "original_max_position_embeddings"))),
]

# name, class, experts, top k, groups, groups kept, bias, renormalise, scale
ROUTINGS = [
    ("v3_plain", 3, 12, 4, 1, 1, "random", True, 2.5),
    ("v3_unscaled", 3, 12, 4, 1, 1, "random", False, 1.0),
    ("v3_groups", 3, 24, 4, 8, 4, "random", True, 2.5),
    ("v3_one_group", 3, 12, 3, 4, 1, "random", True, 2.827),
    ("v3_negative", 3, 12, 4, 4, 2, "negative", True, 2.5),
    ("v2_greedy", 2, 12, 3, 1, 1, None, False, 1.0),
    ("v2_groups", 2, 24, 4, 8, 3, None, False, 16.0),
]


def write(out: str) -> None:
    os.makedirs(out, exist_ok=True)
    write_json(os.path.join(out, "rope.json"), [rotation(about, config) for about, config in ROTATIONS])
    tensors, settings = {}, []
    for number, case in enumerate(ROUTINGS):
        found, setting = routing(number, *case)
        tensors |= found
        settings.append(setting)
    save_file(tensors, os.path.join(out, "routing.safetensors"))
    write_json(os.path.join(out, "routing.json"), settings)


def rotation(about: str, config: dict) -> dict:
    known = transformers_config(config)
    second = known.model_type == "deepseek_v2"
    embedding = (DeepseekV2RotaryEmbedding if second else DeepseekV3RotaryEmbedding)(known)
    scale = (scale_v2 if second else scale_v3)(known.rope_parameters, known.qk_head_dim**-0.5)
    keep = ("model_type", "max_position_embeddings", "qk_nope_head_dim", "qk_rope_head_dim", "rope_theta",
            "rope_scaling", "rope_parameters")
    return dict(about=about, config={key: config[key] for key in keep if key in config},
                inv_freq=embedding.inv_freq.tolist(), attention_factor=embedding.attention_scaling,
                softmax_scale=scale)


def routing(seed, name, version, count, top_k, groups, keep, bias, normalise, scale) -> tuple[dict, dict]:
    base = KIMI if version == 3 else V2
    known = transformers_config(base | dict(
        n_routed_experts=count, num_experts_per_tok=top_k, n_group=groups, topk_group=keep, hidden_size=count,
        norm_topk_prob=normalise, routed_scaling_factor=scale,
        topk_method="noaux_tc" if version == 3 else "group_limited_greedy" if groups > 1 else "greedy"))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((16, count), generator=generator) * 1.5
    router = (DeepseekV3TopkRouter if version == 3 else DeepseekV2TopkRouter)(known)
    tensors = {f"{name}.logits": logits}
    with torch.no_grad():
        router.weight.copy_(torch.eye(count))  # logits go in as the hidden state and come out unchanged
        if bias is not None:
            drawn = torch.randn(count, generator=generator) * 0.2 - (3.0 if bias == "negative" else 0.0)
            router.e_score_correction_bias.copy_(drawn)
            tensors[f"{name}.bias"] = drawn
        _, weights, chosen = router(logits)
    choice = logits.sigmoid() + tensors[f"{name}.bias"] if version == 3 else logits.softmax(-1)
    order = choice.gather(1, chosen).argsort(-1, descending=True)
    tensors[f"{name}.experts"] = chosen.gather(1, order).contiguous()
    tensors[f"{name}.weights"] = weights.gather(1, order).contiguous()
    return tensors, dict(name=name, score="sigmoid" if version == 3 else "softmax", top_k=top_k, groups=groups,
                         groups_kept=keep, group_score="top_two" if version == 3 else "best",
                         normalise=normalise, scale=scale)
