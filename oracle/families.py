"""Every family again, with weights and shapes that no fixture has: makes tiny models from a seed, in each layout they are
published in, and holds `tidemill logits` against transformers; Kimi K3, which that does not know, against numpy in f64.

    python families.py TIDEMILL SEED [--llama-cpp DIR] [--only NAME ...]

TIDEMILL is the binary. With a source tree of llama.cpp each model goes through its converter as well. Prints a table, and
exits with 1 when a best token differs or an error exceeds the bound, of a whole prompt or of one token at a time.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import torch

import delta
import grouped
import grouped_models
import kimi
import kimi_k3
import models
import nvfp4
import score
import sparse
import to_gguf
import wrap
from make_fixtures import prompt
from models import Tiny, draw
from quantise import CONFIGS, quantise

# Largest error over largest logit.
BOUND = 1e-4
# A choice of expert is not close that is no closer than this; and how far transformers may lie from itself.
FAR, STRAY = 2e-5, 4e-6

MODELS = ({f"deepseek_v3/{name}": tiny for name, tiny in models.MODELS.items()} | sparse.MODELS | grouped_models.MODELS
          | delta.MODELS | kimi.MODELS | {"kimi_k3/plain": Tiny(kimi_k3.PLAIN)})
# In what else a model is published, beside the type of its weights.
SCHEMES = {
    "deepseek_v3/kimi": ["int4", "nvfp4", "nvfp4_compressed"], "deepseek_v3/grouped": ["fp8"], "qwen3_moe/plain": ["fp8"],
    "glm4_moe/plain": ["fp8"], "glm4_moe_lite/plain": ["fp8"], "minimax_m2/plain": [], "qwen3_next/plain": ["fp8"],
    "qwen3_5_moe/plain": ["fp8", "int4", "nvfp4", "nvfp4_compressed"], "qwen3_5/dense": ["fp8"], "qwen3/plain": ["fp8"],
}


def other_shapes(tiny: Tiny, chance: random.Random) -> Tiny:
    """The same kind of model in other widths, counts and lengths. Widths are multiples of 32, as published layouts want."""
    config = dict(tiny.config)
    latent = "kv_lora_rank" in config
    linear = "linear_num_key_heads" in config
    config |= dict(hidden_size=chance.choice([96, 192]), vocab_size=chance.randrange(90, 260))
    for width in ("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size"):
        if config.get(width):
            config[width] = chance.choice([32, 64, 96, 160])
    config["num_attention_heads"] = chance.choice([2, 3, 6])
    keys = [count for count in (1, 2, 3) if config["num_attention_heads"] % count == 0]
    config["num_key_value_heads"] = config["num_attention_heads"] if latent else chance.choice(keys)
    if "head_dim" in config:
        config["head_dim"] = chance.choice([32, 64])
    if "rotary_dim" in config:
        config["rotary_dim"] = config["head_dim"] // 2
    if latent:
        config |= dict(kv_lora_rank=chance.choice([32, 64]), qk_nope_head_dim=chance.choice([16, 32, 48]),
                       qk_rope_head_dim=chance.choice([8, 16, 32]), v_head_dim=chance.choice([16, 32, 48]))
        if config.get("q_lora_rank"):
            config["q_lora_rank"] = chance.choice([32, 64, 96])
    if "index_head_dim" in config:
        config |= dict(index_head_dim=chance.choice([32, 48]), index_topk=chance.randrange(20, 50))
    if "linear_attn_config" in config:
        config["linear_attn_config"] = config["linear_attn_config"] | dict(
            num_heads=config["num_attention_heads"], head_dim=chance.choice([16, 24, 32]),
            short_conv_kernel_size=chance.choice([3, 4]))
    if linear:
        keys = chance.choice([1, 2, 3])
        config |= dict(linear_num_key_heads=keys, linear_num_value_heads=keys * chance.choice([1, 2, 3]),
                       linear_key_head_dim=chance.choice([16, 32]), linear_value_head_dim=chance.choice([16, 32, 48]),
                       linear_conv_kernel_dim=chance.choice([3, 4, 5]))
    if "mrope_section" in config.get("rope_parameters", {}):
        part = config["head_dim"] // 8
        sections = [part - 2 * (part // 3 or 1), part // 3 or 1, part // 3 or 1]
        config["rope_parameters"] = config["rope_parameters"] | {"mrope_section": sections}
    for count in ("n_routed_experts", "num_local_experts", "num_experts"):
        if count in config:
            config[count] = config.get("n_group", 1) * chance.randrange(4, 7) + (config.get("n_group", 1) == 1) * 3
            chosen = "num_experts_per_token" if "num_experts_per_token" in config else "num_experts_per_tok"
            config[chosen] = chance.randrange(2, 5)
    for same in ("experts_per_token", "num_nextn_predict_layers"):
        if same in config:
            config[same] = config["num_experts_per_tok"] if same == "experts_per_token" else 0
    if config.get("routed_expert_hidden_size"):
        config |= dict(routed_expert_hidden_size=chance.choice([32, 64, 128]), attn_res_block_size=chance.randrange(1, 5))
    if config.get("sliding_window"):
        config["sliding_window"] = chance.randrange(5, 40)
    return replace(tiny, config=config, tokens=chance.randrange(70, 170), hidden=[],
                   dtype=chance.choice([torch.bfloat16, torch.float32]))


def settle(tiny: Tiny, scheme: str, seed: int) -> tuple[dict, dict, dict]:
    """What to store, what it decodes to, and the oracle of that: of the first weights with no close choice on which
    transformers agrees with itself, prompt and token by token; or of those that come nearest to it."""
    if tiny.config["model_type"] == "kimi_linear":
        renamed = {name: tiny.config[published] for published, name in kimi.RENAMED.items()}
        tiny = replace(tiny, config=tiny.config | renamed)
    by = score.score if "n_group" in tiny.config else grouped.score
    top_k = tiny.config.get("index_topk", 0)
    most, found = 0.0, None
    for attempt in range(seed * 1000, seed * 1000 + 24):
        weights = draw(tiny, attempt)
        if scheme.startswith("nvfp4"):
            modelopt, compressed, exact = nvfp4.quantise(weights)
            stored = compressed if scheme.endswith("compressed") else modelopt
        else:
            stored, exact = quantise(weights, scheme)
        try:
            with sparse.WatchedChoices(top_k) as gaps:
                oracle, report = by(tiny, exact, prompt(tiny, attempt))
        except AssertionError as strays:
            print(strays, file=sys.stderr)
            continue
        margin = min(report["routing_margin"], report["greedy_margin"] / 10, FAR)
        margin = min([margin, *(gap * FAR / sparse.INDEX_MARGIN for gap in gaps)])
        worth = margin / max(report["decode_error"], STRAY)
        if worth > most:
            most, found = worth, (stored, exact, oracle)
        if worth >= FAR / STRAY:
            break
    return found


def quantisation(scheme: str, stored: dict, exact: dict) -> dict:
    if not scheme:
        return {}
    config = {"nvfp4": nvfp4.MODELOPT_CONFIG, "nvfp4_compressed": nvfp4.COMPRESSED_CONFIG}.get(scheme) or CONFIGS[scheme]
    if scheme == "fp8":
        kept = [name.removesuffix(".weight") for name in exact if stored.get(name) is exact[name]]
        config = config | {"modules_to_not_convert": sorted(kept)}
    return {"quantization_config": config}


def compare(tidemill: str, path: str, oracle: dict) -> tuple[bool, float, float]:
    """Whether every best token agrees, and the largest error over the largest logit: of a prompt, and token by token."""
    tokens = ",".join(str(int(token)) for token in torch.cat([oracle["input_ids"], oracle["gen_ids"]]))
    expected = torch.cat([oracle["logits"], oracle["step_logits"]]).numpy()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for options in ([], ["--decode"]):
            out = os.path.join(folder, "logits.npy")
            command = [tidemill, "logits", path, "--tokens", tokens, "--out", out, "--kv", "f32", "--quiet", *options]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                print(ran.stderr.strip(), file=sys.stderr)
                return False, float("inf"), float("inf")
            found.append(np.load(out))
    best = all((logits.argmax(1) == expected.argmax(1)).all() for logits in found)
    return best, *(float(np.abs(logits - expected).max() / np.abs(expected).max()) for logits in found)


def shape(tiny: Tiny) -> str:
    config = tiny.config
    experts = next((config[key] for key in ("n_routed_experts", "num_local_experts", "num_experts") if key in config), "-")
    heads = f"{config['num_attention_heads']}/{config['num_key_value_heads']}"
    return f"{config['hidden_size']} | {heads} | {experts} | {tiny.tokens}"


def third(tiny: Tiny, seed: int, llama_cpp: str | None, folder: str):
    """Kimi K3, in the one layout it is published in."""
    tiny = other_shapes(tiny, random.Random(f"{seed} kimi_k3"))
    stored, oracle, _ = kimi_k3.settle(tiny.config, tiny.tokens, range(seed * 1000, seed * 1000 + 48))
    wrap.save_configs(folder, kimi_k3.outer(tiny.config))
    wrap.save_shard(os.path.join(folder, "model.safetensors"), stored)
    yield tiny, "MXFP4", folder, oracle
    if llama_cpp:
        path = os.path.join(folder, "model.gguf")
        to_gguf.convert(llama_cpp, folder, path, torch.bfloat16)
        yield tiny, "GGUF of MXFP4", path, oracle


def rows(name: str, seed: int, llama_cpp: str | None, work: str):
    """A row for each layout of one model: its name, where it lies, and its oracle."""
    base = MODELS[name]
    if name == "kimi_k3/plain":
        yield from third(base, seed, llama_cpp, os.path.join(work, "kimi_k3"))
        return
    for number, scheme in enumerate([base.scheme, *SCHEMES.get(name, [])]):
        tiny = replace(other_shapes(base, random.Random(f"{seed} {name} {number}")), scheme=scheme)
        stored, exact, oracle = settle(tiny, scheme, seed)
        folder = os.path.join(work, f"{name.replace('/', '-')}-{number}")
        wrap.save_folder(folder, tiny.config | quantisation(scheme, stored, exact), stored)
        layout = scheme or str(tiny.dtype).removeprefix("torch.")
        yield tiny, layout, folder, oracle
        # The converter tells of no window, and joins no NVFP4 of compressed-tensors.
        if llama_cpp and not (name == "mixtral/window" or scheme in ("nvfp4_compressed", "nvfp4")):
            path = os.path.join(folder, "model.gguf")
            options = ["--no-mtp"] if name.startswith(("qwen3_5", "qwen3_next")) else []
            dtype = torch.float32 if scheme in ("fp8", "int4") else tiny.dtype
            try:
                to_gguf.convert(llama_cpp, folder, path, dtype, *options)
                yield tiny, f"GGUF of {layout}", path, oracle
            except subprocess.CalledProcessError:
                print(f"{name}: the converter does not take {layout}", file=sys.stderr)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("tidemill")
    options.add_argument("seed", type=int)
    options.add_argument("--llama-cpp")
    options.add_argument("--only", nargs="*", default=list(MODELS))
    given = options.parse_args()
    wrong = 0
    print(f"seed {given.seed}\n\n| model | layout | hidden | heads/keys | experts | tokens | best tokens | error | by token |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in given.only:
        with tempfile.TemporaryDirectory() as work:
            for tiny, layout, path, oracle in rows(name, given.seed, given.llama_cpp, work):
                best, whole, single = compare(given.tidemill, path, oracle)
                wrong += not (best and max(whole, single) < BOUND)
                said = f"{'all' if best else 'not all'} | {whole:.1e} | {single:.1e}"
                print(f"| `{name}` | {layout} | {shape(tiny)} | {said} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
