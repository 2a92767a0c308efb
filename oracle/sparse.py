"""Makes the fixtures of latent attention that chooses its keys: deepseek_v32 and glm_moe_dsa.

    python sparse.py LLAMA_CPP ../fixtures [FAMILY ...]

Laid out as fixtures/deepseek_v3. A token attends to fewer keys than half of the prompt, so the choice tells; and there
are heads enough in the indexer that a key which none of them likes, of which all score 0, is never near the last one
chosen.
"""

import os
import sys

import torch

import to_gguf
import wrap
from make_fixtures import prompt, save_oracle, telling, write_sums
from models import V3, Tiny, draw, old_yarn
from quantise import CONFIGS, quantise
from score import score

# A choice of keys closer than this could hang on summation order.
INDEX_MARGIN = 5e-6

SPARSE = V3 | dict(
    vocab_size=96, moe_intermediate_size=20, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4,
    q_lora_rank=36, kv_lora_rank=28, qk_nope_head_dim=20, qk_rope_head_dim=16, v_head_dim=24, num_experts_per_tok=3,
    n_shared_experts=1, routed_scaling_factor=2.5, num_nextn_predict_layers=0, max_position_embeddings=2048,
    index_head_dim=20, index_n_heads=16, index_topk=40)

GLM = SPARSE | dict(
    architectures=["GlmMoeDsaForCausalLM"], model_type="glm_moe_dsa", n_group=1, topk_group=1, n_routed_experts=6,
    rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=1000000.0), rope_interleave=True,
    indexer_rope_interleave=True)

MODELS = {
    # DeepSeek-V3.2: an indexer in every layer, which rotates halves; YaRN; with the layer for multi-token prediction.
    "deepseek_v32/plain": Tiny(SPARSE | dict(
        architectures=["DeepseekV32ForCausalLM"], model_type="deepseek_v32", hidden_size=48, intermediate_size=64,
        num_hidden_layers=3, n_routed_experts=6, n_group=3, topk_group=2, rms_norm_eps=1e-6, rope_theta=10000.0,
        rope_scaling=old_yarn(factor=40.0), num_nextn_predict_layers=1), tokens=150, hidden=[1, 2]),
    # GLM-5: an indexer in every layer, which rotates pairs; in FP8, as published.
    "glm_moe_dsa/full": Tiny(GLM | dict(
        hidden_size=56, intermediate_size=76, num_hidden_layers=2), tokens=150, hidden=[1], scheme="fp8"),
    # GLM-5.2: most layers attend to what the one before them chose.
    "glm_moe_dsa/shared": Tiny(GLM | dict(
        hidden_size=40, intermediate_size=64, num_hidden_layers=4, max_position_embeddings=1048576,
        rope_parameters=dict(rope_type="default", rope_theta=8000000.0), index_topk_freq=3, index_skip_topk_offset=1,
        indexer_types=["full", "shared", "shared", "full"]), tokens=150, hidden=[1, 3]),
}


def main(llama_cpp: str, out: str, *families: str) -> None:
    chosen = {name: tiny for name, tiny in MODELS.items() if not families or name.split("/")[0] in families}
    for name, tiny in chosen.items():
        folder = os.path.join(out, name)
        stored = settle(folder, tiny)
        quantised = {"quantization_config": CONFIGS[tiny.scheme]} if tiny.scheme else {}
        if tiny.config["num_nextn_predict_layers"]:
            stored = wrap.with_prediction_layer(stored, tiny.config["num_hidden_layers"])
        wrap.save_folder(os.path.join(folder, "hf"), tiny.config | quantised, stored)
        if not tiny.scheme:
            to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), os.path.join(folder, "model.gguf"), tiny.dtype)
    for family in sorted({name.split("/")[0] for name in chosen}):
        write_sums(os.path.join(out, family))


def settle(folder: str, tiny: Tiny) -> dict[str, torch.Tensor]:
    """Draws weights until no choice is close, and writes their oracle. Gives them as they are stored."""
    for seed in range(tiny.seed, tiny.seed + 200):
        stored, weights = quantise(draw(tiny, seed), tiny.scheme)
        with WatchedChoices(tiny.config["index_topk"]) as gaps:
            try:
                oracle, report = score(tiny, weights, prompt(tiny, seed))
            except AssertionError:
                continue  # a choice of keys that hung on the order of sums
        report["index_margin"] = min(gaps)
        if telling(oracle, report) and report["index_margin"] > INDEX_MARGIN:
            save_oracle(folder, oracle, report | {"seed": seed})
            return stored
    raise SystemExit(f"{folder}: no seed keeps its distance from ties")


class WatchedChoices:
    """Collects, at each choice of `top_k` keys, the gap between the last one chosen and the first one left out."""

    def __init__(self, top_k: int):
        self.top_k, self.gaps = top_k, []

    def __enter__(self) -> list[float]:
        self.original = torch.Tensor.topk
        torch.Tensor.topk = self.watched(self.original)
        return self.gaps

    def __exit__(self, *_failure) -> None:
        torch.Tensor.topk = self.original

    def watched(self, original):
        def topk(scores, k, *rest, **named):
            if k == self.top_k < scores.shape[-1]:
                ranked = scores.sort(descending=True).values
                gaps = ranked[..., k - 1] - ranked[..., k]
                self.gaps.append(float(gaps[ranked[..., k] > -1e30].min()))  # hidden keys come after
            return original(scores, k, *rest, **named)
        return topk


if __name__ == "__main__":
    main(*sys.argv[1:])
