"""gpt-oss as OpenAI's own folder `original` has it: other names, and queries, keys and values one after another.

    python original.py ../fixtures/gpt_oss/plain/hf ../fixtures/gpt_oss/plain/original
"""

import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

WHOLE = {"model.embed_tokens.weight": "embedding.weight", "model.norm.weight": "norm.scale", "lm_head.weight": "unembedding.weight"}
LAYER = {
    "input_layernorm.weight": "attn.norm.scale", "self_attn.sinks": "attn.sinks", "self_attn.o_proj.weight": "attn.out.weight",
    "self_attn.o_proj.bias": "attn.out.bias", "post_attention_layernorm.weight": "mlp.norm.scale",
    "mlp.router.weight": "mlp.gate.weight", "mlp.router.bias": "mlp.gate.bias",
    "mlp.experts.gate_up_proj_blocks": "mlp.mlp1_weight.blocks", "mlp.experts.gate_up_proj_scales": "mlp.mlp1_weight.scales",
    "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias", "mlp.experts.down_proj_blocks": "mlp.mlp2_weight.blocks",
    "mlp.experts.down_proj_scales": "mlp.mlp2_weight.scales", "mlp.experts.down_proj_bias": "mlp.mlp2_bias",
}


def main(source: str, out: str) -> None:
    with open(os.path.join(source, "config.json")) as file:
        told = json.load(file)
    held = load_file(os.path.join(source, "model.safetensors"))
    named = {WHOLE[name]: held.pop(name) for name in list(held) if name in WHOLE}
    for layer in range(told["num_hidden_layers"]):
        there, here = f"model.layers.{layer}.", f"block.{layer}."
        for name, ours in LAYER.items():
            named[here + ours] = held.pop(there + name)
        for kind in ("weight", "bias"):
            parts = [held.pop(f"{there}self_attn.{part}_proj.{kind}") for part in "qkv"]
            named[f"{here}attn.qkv.{kind}"] = torch.cat(parts)
    assert not held, held.keys()
    same = ["num_hidden_layers", "experts_per_token", "vocab_size", "hidden_size", "intermediate_size", "swiglu_limit", "head_dim",
            "num_attention_heads", "num_key_value_heads", "sliding_window", "rope_theta"]
    scaling = told["rope_scaling"]
    config = {key: told[key] for key in same} | dict(
        num_experts=told["num_local_experts"], initial_context_length=scaling["original_max_position_embeddings"],
        rope_scaling_factor=scaling["factor"], rope_ntk_alpha=scaling["beta_slow"], rope_ntk_beta=scaling["beta_fast"])
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    save_file({name: tensor.contiguous() for name, tensor in named.items()}, os.path.join(out, "model.safetensors"))


if __name__ == "__main__":
    main(*sys.argv[1:])
