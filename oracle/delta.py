"""Makes fixtures/qwen3_5_moe, fixtures/qwen3_5 and fixtures/qwen3_next: gated DeltaNet beside gated attention.

    python delta.py LLAMA_CPP ../fixtures [NAME...]

Laid out as fixtures/deepseek_v3: a folder holds one oracle, and checkpoints that must all answer with it.
"""

import os
import re
import sys

import torch

import to_gguf
import wrap
from grouped import score, settle
from make_fixtures import DIFFERENT, GREEDY_MARGIN, prompt, save_oracle, write_sums
from models import Tiny
from quantise import FP8_CONFIG, quantise
from score import load

COMMON = dict(hidden_act="silu", attention_bias=False, attention_dropout=0.0, tie_word_embeddings=False,
              bos_token_id=0, eos_token_id=1, initializer_range=0.02, max_position_embeddings=512, rms_norm_eps=1e-6,
              linear_conv_kernel_dim=4)


def rope(theta: float, partial: float, **more) -> dict:
    return dict(rope_parameters=dict(rope_type="default", rope_theta=theta, partial_rotary_factor=partial, **more),
                partial_rotary_factor=partial)


def layers(count: int, interval: int) -> dict:
    kinds = ["full_attention" if (index + 1) % interval == 0 else "linear_attention" for index in range(count)]
    return dict(num_hidden_layers=count, full_attention_interval=interval, layer_types=kinds)


# Of so many tokens and layers no choice of expert is closer.
ROUTING_MARGIN = 1e-5

# How far transformers may lie from itself: it computes a prompt in chunks of 64 tokens but what follows token by token,
# and a head whose answer is near 0 is normed to size 1, rounding and all. An oracle must not measure its own rounding,
# so embeddings are shaken by half a unit in the last place as well.
STRAY, SHAKEN = 4e-6, 6e-6

SECTIONS = dict(mrope_section=[2, 1, 1], mrope_interleaved=True)

MODELS = {
    # Three value heads to a key head, of other widths than the keys and no multiple of 16; past two chunks of 64.
    "qwen3_5_moe/plain": Tiny(COMMON | layers(4, 2) | rope(1e7, 0.25, **SECTIONS) | dict(
        architectures=["Qwen3_5MoeForCausalLM"], model_type="qwen3_5_moe_text", vocab_size=160, hidden_size=72,
        moe_intermediate_size=28, shared_expert_intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
        head_dim=32, num_experts=10, num_experts_per_tok=3, attn_output_gate=True, linear_num_key_heads=2,
        linear_num_value_heads=6, linear_key_head_dim=20, linear_value_head_dim=24), tokens=150, hidden=[1, 2]),
    # Twice as many value heads, wider than the keys, a kernel of three; past one chunk of 64. Queries, keys, values
    # and gates of a head side by side. (Not F16: the converter adds 1 to norms in the type it finds.)
    "qwen3_next/plain": Tiny(COMMON | layers(4, 4) | rope(1e6, 0.5) | dict(
        architectures=["Qwen3NextForCausalLM"], model_type="qwen3_next", vocab_size=140, hidden_size=64,
        intermediate_size=80, moe_intermediate_size=24, shared_expert_intermediate_size=20, num_attention_heads=3,
        num_key_value_heads=1, head_dim=16, num_experts=9, num_experts_per_tok=4, norm_topk_prob=True,
        decoder_sparse_step=1, mlp_only_layers=[], linear_num_key_heads=3, linear_num_value_heads=6,
        linear_key_head_dim=16, linear_value_head_dim=32, linear_conv_kernel_dim=3), tokens=100, hidden=[1, 3]),
    # Dense, a tied head, as many value heads as key heads.
    "qwen3_5/dense": Tiny(COMMON | layers(3, 3) | rope(1e4, 0.25, **SECTIONS) | dict(
        architectures=["Qwen3_5ForCausalLM"], model_type="qwen3_5_text", vocab_size=101, hidden_size=48,
        intermediate_size=64, num_attention_heads=2, num_key_value_heads=2, head_dim=32, attn_output_gate=True,
        linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=16, linear_value_head_dim=16,
        tie_word_embeddings=True), dtype=torch.float32, tokens=72, hidden=[1]),
}


def fair(oracle: dict[str, torch.Tensor], report: dict, model) -> bool:
    return (report["routing_margin"] > ROUTING_MARGIN and report["greedy_margin"] > GREEDY_MARGIN
            and report["decode_error"] < STRAY and len(oracle["gen_ids"].unique()) >= DIFFERENT
            and shaken(oracle, model) < SHAKEN)


def shaken(oracle: dict[str, torch.Tensor], model) -> float:
    """How far logits move, over the largest, when embeddings are rounded otherwise."""
    noise, worst = torch.Generator().manual_seed(1), 0.0
    def shake(_module, _inputs, out):
        return out * (1 + 6e-8 * torch.randn(out.shape, generator=noise))
    hook = model.get_input_embeddings().register_forward_hook(shake)
    for _ in range(4):
        with torch.no_grad():
            logits = model(oracle["input_ids"][None], use_cache=False).logits[0]
        worst = max(worst, float((logits - oracle["logits"]).abs().max() / oracle["logits"].abs().max()))
    hook.remove()
    return worst


def main(llama_cpp: str, out: str, *names: str) -> None:
    for name in names or MODELS:
        tiny, folder = MODELS[name], os.path.join(out, name)
        weights = settle(folder, tiny, fair)
        wrap.save_folder(os.path.join(folder, "hf"), tiny.config, weights)
        path = os.path.join(folder, "model.gguf")
        to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), path, tiny.dtype, "--no-mtp")
        if name == "qwen3_5_moe/plain":
            make_vision(os.path.join(folder, "vision"), tiny.config, weights)
            make_fp8(os.path.join(out, "qwen3_5_moe", "fp8"), tiny, weights)
    for family in sorted({name.split("/")[0] for name in names or MODELS}):
        write_sums(os.path.join(out, family))


def make_vision(folder: str, config: dict, weights: dict[str, torch.Tensor]) -> None:
    """As published: inside a vision model, experts stacked and their gates joined to their ups, a layer ahead."""
    named = {}
    for name, tensor in fused(weights, config).items():
        named[re.sub(r"^model\.", "model.language_model.", name)] = tensor
    noise = torch.Generator().manual_seed(9)
    for name, shape in {"model.visual.patch_embed.proj.weight": (24, 3, 2, 4, 4), "model.visual.pos_embed.weight": (9, 24),
                        "model.visual.blocks.0.attn.qkv.bias": (72,), "mtp.fc.weight": (72, 144), "mtp.norm.weight": (72,),
                        "mtp.layers.0.mlp.experts.gate_up_proj": (10, 56, 72)}.items():
        named[name] = torch.randn(shape, generator=noise).to(torch.bfloat16)
    outer = dict(architectures=["Qwen3_5MoeForConditionalGeneration"], model_type="qwen3_5_moe",
                 text_config=config | {"mtp_num_hidden_layers": 1}, tie_word_embeddings=False, image_token_id=150,
                 vision_config=dict(model_type="qwen3_5_moe", hidden_size=24, depth=1))
    wrap.save_folder(folder, outer, named)


def fused(weights: dict[str, torch.Tensor], config: dict) -> dict[str, torch.Tensor]:
    """Experts stacked, `[experts, gate rows and then up rows, hidden]`, without the ending `.weight`."""
    named = {name: tensor for name, tensor in weights.items() if ".experts." not in name}
    for layer in range(config["num_hidden_layers"]):
        home = f"model.layers.{layer}.mlp.experts."
        def part(kind):
            return torch.stack([weights[f"{home}{e}.{kind}_proj.weight"] for e in range(config["num_experts"])])
        named[home + "gate_up_proj"] = torch.cat([part("gate"), part("up")], 1)
        named[home + "down_proj"] = part("down")
    return named


def make_fp8(folder: str, tiny: Tiny, weights: dict[str, torch.Tensor]) -> None:
    """FP8 with a tensor for every expert, as released; what must stay exact is named."""
    stored, exact = quantise(weights, "fp8")
    for seed in range(1000, 1200):
        oracle, report = score(tiny, exact, prompt(tiny, seed))
        if fair(oracle, report, load(tiny.config, exact)):
            save_oracle(folder, oracle, report | {"seed": seed})
            break
    else:
        raise SystemExit(f"{folder}: no prompt keeps its distance from ties")
    kept = [name.removesuffix(".weight") for name in weights if name not in exact or stored.get(name) is exact[name]]
    quantized = FP8_CONFIG | {"modules_to_not_convert": sorted(kept)}
    wrap.save_folder(os.path.join(folder, "hf"), tiny.config | {"quantization_config": quantized}, stored)


if __name__ == "__main__":
    main(*sys.argv[1:])
