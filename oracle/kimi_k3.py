"""Makes fixtures/kimi_k3: transformers has no class for Kimi K3, so its oracle is `kimi_k3_reference.py`, in f64 on the
exact values of what is stored; and llama.cpp's converter makes the GGUF file.

    python kimi_k3.py LLAMA_CPP ../fixtures
"""

import os
import sys

import numpy as np
import torch

import to_gguf
import wrap
from kimi_k3_reference import forward
from make_fixtures import save_oracle, telling, write_sums
from quantise import E2M1
from score import GENERATED

# Of so many layers and tokens no choice of expert is closer, and how far logits may move when embeddings are rounded.
ROUTING_MARGIN, SHAKEN = 1e-5, 4e-6

QUANTISED = dict(
    quant_method="compressed-tensors", format="mxfp4-pack-quantized", quantization_status="compressed",
    ignore=["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"], config_groups=dict(group_0=dict(
        targets=["Linear"], input_activations=None, output_activations=None,
        weights=dict(num_bits=4, type="float", strategy="group", group_size=32, symmetric=True))))


def text(layers: int, attending: list[int], heads: int, width: int, kernel: int, **sizes) -> dict:
    """The text part of a configuration, in the published spelling."""
    return dict(
        model_type="kimi_linear", num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
        rms_norm_eps=1e-5, max_position_embeddings=512, hidden_act="situ", activation_situ_beta=4.0,
        activation_situ_linear_beta=25.0, mla_use_nope=True, mla_use_output_gate=True,
        moe_router_activation_func="sigmoid", moe_renormalize=True, routed_scaling_factor=1.0, moe_layer_freq=1,
        num_expert_group=1, topk_group=1, latent_moe_use_norm=True, tie_word_embeddings=False, bos_token_id=0,
        eos_token_id=1, quantization_config=QUANTISED, linear_attn_config=dict(
            kda_layers=[n for n in range(1, layers + 1) if n not in attending], full_attn_layers=attending,
            num_heads=heads, head_dim=width, short_conv_kernel_size=kernel, gate_lower_bound=-5.0,
            use_full_rank_gate=True)) | sizes


# Three blocks of the residual stream, of which the last holds one layer; the last layer attends, as in the real one.
PLAIN = text(
    layers=5, attending=[3, 5], heads=3, width=20, kernel=4, vocab_size=96, hidden_size=48, intermediate_size=56,
    attn_res_block_size=2, q_lora_rank=36, kv_lora_rank=28, qk_nope_head_dim=20, qk_rope_head_dim=8, v_head_dim=24,
    num_experts=7, num_experts_per_token=3, num_shared_experts=2, moe_intermediate_size=32, routed_expert_hidden_size=64,
    first_k_dense_replace=1)


def outer(config: dict) -> dict:
    """config.json, which holds a vision model as well."""
    return dict(architectures=["KimiK3ForConditionalGeneration"], model_type="kimi_k3", text_config=config,
                vision_config=dict(hidden_size=24), bos_token_id=0, eos_token_id=1)


class Weights:
    """What is stored, under the published names, and the f64 that it stands for."""

    def __init__(self, seed: int):
        self.random, self.stored, self.exact = np.random.default_rng(seed), {}, {}

    def draw(self, *shape, spread=None, mean=0.0) -> np.ndarray:
        spread = shape[-1] ** -0.5 if spread is None else spread
        return (self.random.standard_normal(shape) * spread + mean).astype(np.float32)

    def store(self, name: str, value: np.ndarray, dtype=torch.bfloat16) -> None:
        self.stored[name] = torch.from_numpy(value).to(dtype)
        self.exact[name] = self.stored[name].double().numpy()

    def bf16(self, name: str, *shape, **how) -> None:
        self.store(name, self.draw(*shape, **how))

    def norm(self, name: str, width: int) -> None:
        self.bf16(name, width, spread=0.3, mean=1.0)

    def mxfp4(self, name: str, rows: int, cols: int) -> None:
        groups = torch.from_numpy(self.draw(rows, cols)).reshape(rows, cols // 32, 32)
        power = groups.abs().amax(-1).log2().floor() - 2
        scaled = (groups / power.exp2()[..., None]).clamp(-6, 6)
        code = (scaled[..., None] - E2M1).abs().argmin(-1).to(torch.uint8)
        base = name.removesuffix(".weight")
        self.stored[base + ".weight_packed"] = (code[..., 0::2] | (code[..., 1::2] << 4)).reshape(rows, cols // 2)
        self.stored[base + ".weight_scale"] = (power + 127).to(torch.uint8)
        self.exact[name] = (E2M1[code.long()] * power.exp2()[..., None]).reshape(rows, cols).double().numpy()


def draw(config: dict, seed: int) -> Weights:
    w, hidden = Weights(seed), config["hidden_size"]
    model = "language_model.model."
    w.bf16(model + "embed_tokens.weight", config["vocab_size"], hidden, spread=1.0)
    w.bf16("language_model.lm_head.weight", config["vocab_size"], hidden, spread=0.15)
    w.norm(model + "norm.weight", hidden)
    w.bf16(model + "output_attn_res_proj.weight", 1, hidden)
    w.norm(model + "output_attn_res_norm.weight", hidden)
    for layer in range(config["num_hidden_layers"]):
        home = f"{model}layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm", "self_attention_res_norm", "mlp_res_norm"):
            w.norm(f"{home}{name}.weight", hidden)
        for name in ("self_attention_res_proj", "mlp_res_proj"):
            w.bf16(f"{home}{name}.weight", 1, hidden)
        attends = layer + 1 in config["linear_attn_config"]["full_attn_layers"]
        (draw_attention if attends else draw_delta)(w, config, home + "self_attn.")
        if layer < config["first_k_dense_replace"]:
            gated(w, home + "mlp.", config["intermediate_size"], hidden)
        else:
            draw_experts(w, config, home + "block_sparse_moe.")
    w.stored["vision_tower.patch_embed.proj.weight"] = torch.zeros(24, 3, dtype=torch.bfloat16)
    w.stored["mm_projector.proj.0.weight"] = torch.zeros(24, 24, dtype=torch.bfloat16)
    return w


def draw_delta(w: Weights, config: dict, home: str) -> None:
    hidden, linear = config["hidden_size"], config["linear_attn_config"]
    heads, width = linear["num_heads"], linear["head_dim"]
    for part in "qkv":
        w.bf16(f"{home}{part}_proj.weight", heads * width, hidden)
        w.bf16(f"{home}{part}_conv1d.weight", heads * width, 1, linear["short_conv_kernel_size"], spread=0.5)
    w.bf16(home + "f_a_proj.weight", width, hidden)
    w.bf16(home + "f_b_proj.weight", heads * width, width)
    w.bf16(home + "b_proj.weight", heads, hidden)
    w.bf16(home + "g_proj.weight", heads * width, hidden)
    rates = np.zeros(128, np.float32)  # padded, as published
    rates[:heads] = w.draw(heads, spread=0.5)
    w.store(home + "A_log", rates, torch.float32)
    w.store(home + "dt_bias", w.draw(heads * width, spread=1.0, mean=-2.0), torch.float32)
    w.norm(home + "o_norm.weight", width)
    w.bf16(home + "o_proj.weight", hidden, heads * width)


def draw_attention(w: Weights, config: dict, home: str) -> None:
    hidden, heads, value = config["hidden_size"], config["num_attention_heads"], config["v_head_dim"]
    rank, latent = config["q_lora_rank"], config["kv_lora_rank"]
    nope, shared_key = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    w.bf16(home + "q_a_proj.weight", rank, hidden)
    w.norm(home + "q_a_layernorm.weight", rank)
    w.bf16(home + "q_b_proj.weight", heads * (nope + shared_key), rank)
    w.bf16(home + "kv_a_proj_with_mqa.weight", latent + shared_key, hidden)
    w.norm(home + "kv_a_layernorm.weight", latent)
    w.bf16(home + "kv_b_proj.weight", heads * (nope + value), latent)
    w.bf16(home + "g_proj.weight", heads * value, hidden)
    w.bf16(home + "o_proj.weight", hidden, heads * value)


def draw_experts(w: Weights, config: dict, home: str) -> None:
    hidden, narrow, inner = config["hidden_size"], config["routed_expert_hidden_size"], config["moe_intermediate_size"]
    w.bf16(home + "gate.weight", config["num_experts"], hidden, spread=0.35)
    w.store(home + "gate.e_score_correction_bias", w.draw(config["num_experts"], spread=0.2), torch.float32)
    w.bf16(home + "routed_expert_down_proj.weight", narrow, hidden)
    w.norm(home + "routed_expert_norm.weight", narrow)
    w.bf16(home + "routed_expert_up_proj.weight", hidden, narrow)
    gated(w, home + "shared_experts.", config["num_shared_experts"] * inner, hidden)
    for expert in range(config["num_experts"]):
        for name, rows, cols in (("w1", inner, narrow), ("w3", inner, narrow), ("w2", narrow, inner)):
            w.mxfp4(f"{home}experts.{expert}.{name}.weight", rows, cols)


def gated(w: Weights, home: str, inner: int, hidden: int) -> None:
    for name, rows, cols in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
        w.bf16(f"{home}{name}_proj.weight", rows, cols)


def score(config: dict, exact: dict[str, np.ndarray], ids: np.ndarray) -> tuple[dict[str, torch.Tensor], dict]:
    """The oracle as `score.score` lays it out, without the residual stream, and how far it is from a tie."""
    tokens, tops = ids, []
    for _ in range(GENERATED):
        tops.append(forward(config, exact, tokens)[-1])
        tokens = np.append(tokens, tops[-1].argmax())
    gaps: list[float] = []
    logits = forward(config, exact, tokens, gaps)
    top = -np.sort(-np.array(tops), -1)
    report = {"routing_margin": min(gaps), "greedy_margin": float((top[:, 0] - top[:, 1]).min()),
              "shaken": shaken(config, exact, tokens, logits)}
    f32 = torch.from_numpy(logits).float()
    return {"input_ids": torch.from_numpy(ids), "logits": f32[: len(ids)], "gen_ids": torch.from_numpy(tokens[len(ids):]),
            "step_logits": f32[len(ids):]}, report


def shaken(config: dict, exact: dict[str, np.ndarray], tokens: np.ndarray, logits: np.ndarray) -> float:
    """How far logits move, over the largest, when embeddings are rounded to f32 otherwise."""
    noise, name = np.random.default_rng(1), "language_model.model.embed_tokens.weight"
    rows = exact[name] * (1 + 6e-8 * noise.standard_normal(exact[name].shape))
    return float(np.abs(forward(config, exact | {name: rows}, tokens) - logits).max() / np.abs(logits).max())


def settle(config: dict, tokens: int, seeds: range) -> tuple[dict, dict, dict]:
    """Of the first weights with no close choice: what to store, the oracle, and what is said of it."""
    for seed in seeds:
        weights = draw(config, seed)
        ids = np.random.default_rng(seed).integers(3, config["vocab_size"], tokens)
        oracle, report = score(config, weights.exact, ids)
        easy = report | {"routing_margin": 1.0}
        if telling(oracle, easy) and report["routing_margin"] > ROUTING_MARGIN and report["shaken"] < SHAKEN:
            return weights.stored, oracle, report | {"seed": seed}
    raise SystemExit("kimi_k3: no seed keeps its distance from ties")


def main(llama_cpp: str, out: str) -> None:
    folder = os.path.join(out, "kimi_k3", "plain")
    stored, oracle, report = settle(PLAIN, 110, range(1, 200))
    save_oracle(folder, oracle, report)
    wrap.save_configs(os.path.join(folder, "hf"), outer(PLAIN))
    wrap.save_shard(os.path.join(folder, "hf", "model.safetensors"), stored)
    to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), os.path.join(folder, "model.gguf"), torch.bfloat16)
    write_sums(os.path.join(out, "kimi_k3"))


if __name__ == "__main__":
    main(*sys.argv[1:])
