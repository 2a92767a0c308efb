"""Checks that every checkpoint of a folder of fixtures answers with its oracle, reading only what is on disk.

    python check.py ../fixtures/deepseek_v3

GGUF files go through the numpy reference. Folders of safetensors are decoded here, by other code than wrote them,
stripped of what a reader skips, and must give the oracle's logits to the bit.
"""

import glob
import json
import os
import re
import sys

import numpy as np
import torch
from safetensors.torch import load_file

import nvfp4
from gguf_reference import compare
from score import load


def check(out: str) -> None:
    for oracle in sorted(glob.glob(os.path.join(out, "*", "oracle.safetensors"))):
        home = os.path.dirname(oracle)
        files = glob.glob(os.path.join(home, "*.gguf")) + glob.glob(os.path.join(home, "*", "*-00001-of-*.gguf"))
        for path in sorted(files):
            (error, agree), (other, _) = compare(path, oracle), compare(path, oracle, config_eps=True)
            assert error < 1e-5 and agree == 1, (path, error, agree)
            print(f"{os.path.relpath(path, out)}: {error:.1e}, with the file's epsilon in every norm {other:.1e}")
        for config in sorted(glob.glob(os.path.join(home, "*", "config.json"))):
            folder = os.path.dirname(config)
            assert torch.equal(answer(folder, load_file(oracle)), load_file(oracle)["logits"]), folder
            print(f"{os.path.relpath(folder, out)}: equal")


def answer(folder: str, oracle: dict[str, torch.Tensor]) -> torch.Tensor:
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    config = config.get("text_config", config)
    stored = {}
    for path in glob.glob(os.path.join(folder, "*.safetensors")):
        stored |= load_file(path)
    config.pop("quantization_config", None)
    model = load(config, decode(kept(stored, config["num_hidden_layers"])))
    with torch.no_grad():
        return model(oracle["input_ids"][None], use_cache=False).logits[0]


def kept(stored: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Without the vision model and the layers past the last, and without the prefix of a child model."""
    named = {name.removeprefix("language_model."): tensor for name, tensor in stored.items()
             if not name.startswith(("vision_tower.", "mm_projector."))}
    return {name: tensor for name, tensor in named.items()
            if not ((layer := re.match(r"model\.layers\.(\d+)\.", name)) and int(layer[1]) >= layers)}


def decode(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights = {}
    for name, tensor in stored.items():
        base = name.removesuffix("_packed")
        if base + "_scale_2" in stored:
            weights[base] = nvfp4.decode(tensor, stored[base + "_scale"], stored[base + "_scale_2"])
        elif base + "_global_scale" in stored:
            weights[base] = nvfp4.decode(tensor, stored[base + "_scale"], 1 / stored[base + "_global_scale"])
        elif name.endswith(".weight_packed"):
            rows, cols = stored[base + "_shape"].tolist()
            words = tensor.numpy().view(np.uint32)
            nibbles = np.stack([(words >> 4 * at) & 15 for at in range(8)], -1).reshape(rows, cols).astype(np.float32)
            weights[base] = torch.from_numpy(nibbles - 8) * stored[base + "_scale"].float().repeat_interleave(32, 1)
        elif tensor.dtype == torch.float8_e4m3fn and name + "_scale_inv" in stored:
            scale, values = stored[name + "_scale_inv"], tensor.float()
            for row in range(scale.shape[0]):
                for col in range(scale.shape[1]):
                    values[row * 128 : row * 128 + 128, col * 128 : col * 128 + 128] *= scale[row, col]
            weights[name] = values
        elif not name.endswith(("_scale", "_shape", "_scale_inv", "_scale_2")):
            weights[name] = tensor
    return weights


if __name__ == "__main__":
    check(sys.argv[1])
