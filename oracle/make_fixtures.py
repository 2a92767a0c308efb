"""Makes fixtures/deepseek_v3.

    python make_fixtures.py LLAMA_CPP ../fixtures/deepseek_v3

LLAMA_CPP is a source tree of llama.cpp, for its converter. A folder holds one oracle, and checkpoints that must all
answer with it.
"""

import hashlib
import os
import sys
from dataclasses import replace

import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file

import cases
import check
import nvfp4
import to_gguf
import wrap
from models import MODELS, Tiny, draw
from quantise import FP8_CONFIG, INT4_CONFIG, quantise
from score import score

# A choice of expert or token closer than this could hang on summation order, and a continuation of fewer different
# tokens could hide a wrong cache: such a seed is passed over.
ROUTING_MARGIN, GREEDY_MARGIN, DIFFERENT = 5e-5, 1e-3, 6

MIXED = {"attn_q_a": Type.Q8_0, "attn_kv_a_mqa": Type.Q8_0, "attn_output": Type.Q5_1, "ffn_gate_exps": Type.Q4_0,
         "ffn_up_exps": Type.Q4_1, "ffn_down_exps": Type.Q5_0, "token_embd": Type.Q8_0, "output": Type.Q8_0}


def main(llama_cpp: str, out: str) -> None:
    drawn = {}
    for name, tiny in MODELS.items():
        weights = drawn[name] = settle(os.path.join(out, name), tiny)
        wrap.save_folder(os.path.join(out, name, "hf"), tiny.config, weights)
        to_gguf.convert(llama_cpp, os.path.join(out, name, "hf"), os.path.join(out, name, "model.gguf"), tiny.dtype)
    for name in ("kimi", "v2_greedy"):
        path = os.path.join(out, name, "legacy.gguf")
        to_gguf.write_legacy(path, MODELS[name].config, drawn[name], MODELS[name].dtype)
    to_gguf.split(os.path.join(out, "lite", "model.gguf"), os.path.join(out, "lite", "split"), 3)
    make_int4(os.path.join(out, "kimi_int4"), drawn["kimi"])
    make_mixed(os.path.join(out, "kimi_mixed"), os.path.join(out, "kimi", "model.gguf"), drawn["kimi"])
    make_fp8(os.path.join(out, "grouped_fp8"), drawn["grouped"])
    make_nvfp4(llama_cpp, os.path.join(out, "kimi_nvfp4"))
    cases.write(out)
    check.check(out)
    write_sums(out)


def settle(folder: str, tiny: Tiny) -> dict[str, torch.Tensor]:
    """Draws weights until no choice is close, and writes their oracle."""
    for seed in range(tiny.seed, tiny.seed + 200):
        weights = draw(tiny, seed)
        oracle, report = score(tiny, weights, prompt(tiny, seed))
        if telling(oracle, report):
            save_oracle(folder, oracle, report | {"seed": seed})
            return weights
    raise SystemExit(f"{folder}: no seed keeps its distance from ties")


def telling(oracle: dict[str, torch.Tensor], report: dict) -> bool:
    return (report["routing_margin"] > ROUTING_MARGIN and report["greedy_margin"] > GREEDY_MARGIN
            and len(oracle["gen_ids"].unique()) >= DIFFERENT)


def prompt(tiny: Tiny, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, tiny.config["vocab_size"], size=tiny.tokens)


def settled_prompt(tiny: Tiny, exact: dict[str, torch.Tensor], folder: str) -> None:
    """The oracle of given weights, on the first prompt that keeps its distance from ties."""
    for seed in range(1000, 1200):
        oracle, report = score(tiny, exact, prompt(tiny, seed))
        if telling(oracle, report):
            return save_oracle(folder, oracle, report | {"seed": seed})
    raise SystemExit(f"{folder}: no prompt keeps its distance from ties")


def save_oracle(folder: str, oracle: dict[str, torch.Tensor], report: dict) -> None:
    os.makedirs(folder, exist_ok=True)
    notes = ", ".join(f"{key} {value if key == 'seed' else format(value, '.2e')}" for key, value in report.items())
    save_file(oracle, os.path.join(folder, "oracle.safetensors"), metadata={"notes": notes})
    print(f"{folder}: {notes}", flush=True)


def make_int4(folder: str, weights: dict[str, torch.Tensor]) -> None:
    """Kimi K2 Thinking, and Kimi K2.5, which wraps the same in a vision model."""
    tiny = MODELS["kimi"]
    stored, exact = quantise(weights, "int4")
    settled_prompt(tiny, exact, folder)
    config = tiny.config | {"quantization_config": INT4_CONFIG}
    wrap.save_folder(os.path.join(folder, "hf"), config, stored)
    outer, wrapped = wrap.inside_vision_model(config, stored)
    wrap.save_folder(os.path.join(folder, "vision"), outer, wrapped)


def make_mixed(folder: str, source: str, weights: dict[str, torch.Tensor]) -> None:
    """A GGUF with a type for each kind of tensor."""
    exact = to_gguf.write_mixed(os.path.join(folder, "model.gguf"), source, MIXED)
    settled_prompt(MODELS["kimi"], to_gguf.published_tensors(exact, weights), folder)


def make_fp8(folder: str, weights: dict[str, torch.Tensor]) -> None:
    """DeepSeek-V3 as released, plain, and in shards with its layer for multi-token prediction."""
    tiny = MODELS["grouped"]
    stored, exact = quantise(weights, "fp8")
    settled_prompt(tiny, exact, folder)
    config = tiny.config | {"quantization_config": FP8_CONFIG}
    wrap.save_folder(os.path.join(folder, "hf"), config, stored)
    longer = wrap.with_prediction_layer(stored, tiny.config["num_hidden_layers"])
    wrap.save_shards(os.path.join(folder, "sharded"), config, longer, 3)


def make_nvfp4(llama_cpp: str, folder: str) -> None:
    """NVFP4 as modelopt publishes it, as compressed-tensors does, and as llama.cpp converts the first."""
    # GGML's blocks are 64 wide, so the inner widths are, too.
    tiny = replace(MODELS["kimi"], hidden=[1], config=MODELS["kimi"].config | dict(
        num_hidden_layers=2, n_routed_experts=5, moe_intermediate_size=64, intermediate_size=128))
    modelopt, compressed, exact = nvfp4.quantise(draw(tiny, 1))
    settled_prompt(tiny, exact, folder)
    wrap.save_folder(os.path.join(folder, "hf"), tiny.config | {"quantization_config": nvfp4.MODELOPT_CONFIG}, modelopt)
    wrap.save_folder(os.path.join(folder, "compressed"),
                     tiny.config | {"quantization_config": nvfp4.COMPRESSED_CONFIG}, compressed)
    to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), os.path.join(folder, "model.gguf"), tiny.dtype)


def write_sums(out: str) -> None:
    """SHA256SUMS, as sha256sum -c reads it."""
    paths = sorted(os.path.relpath(os.path.join(folder, file), out)
                   for folder, _, files in os.walk(out) for file in files if file != "SHA256SUMS")
    with open(os.path.join(out, "SHA256SUMS"), "w") as sums:
        for path in paths:
            with open(os.path.join(out, path), "rb") as file:
                sums.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
