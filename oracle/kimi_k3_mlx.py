"""Holds the oracle of Kimi K3 against mlx-lm on mlx's CPU backend, in f32, from what is on disk.

    python kimi_k3_mlx.py MLX_LM ../fixtures/kimi_k3/plain

in an environment with `mlx[cpu]` and numpy; MLX_LM is the folder of the unpacked wheel mlx_lm-0.32.2. Prints the largest
error over the largest logit, of the prompt and token by token, and the share of positions whose best token agrees.
"""

import importlib
import json
import os
import sys
import types

import mlx.core as mx
import numpy as np

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def model_of(source: str, folder: str):
    package = types.ModuleType("mlx_lm")
    package.__path__ = [os.path.join(source, "mlx_lm")]  # without its own imports
    sys.modules["mlx_lm"] = package
    module = importlib.import_module("mlx_lm.models.kimi_k3")
    with open(os.path.join(folder, "hf", "config.json")) as file:
        config = json.load(file)
    config["text_config"].pop("quantization_config")
    model = module.Model(module.ModelArgs.from_dict(config))
    weights = decoded(mx.load(os.path.join(folder, "hf", "model.safetensors")))
    model.load_weights(list(model.sanitize(weights).items()), strict=True)
    model.eval()
    return model


def decoded(stored: dict[str, mx.array]) -> dict[str, mx.array]:
    weights = {}
    for name, tensor in stored.items():
        if name.endswith(".weight_packed"):
            packed, base = np.array(tensor), name.removesuffix("_packed")
            values = E2M1[np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)]
            scale = np.exp2(np.array(stored[base + "_scale"]).astype(np.float32) - 127)
            weights[base] = mx.array(values * scale.repeat(32, 1))
        elif not name.endswith("_scale"):
            weights[name] = tensor.astype(mx.float32)
    return weights


def main(source: str, folder: str) -> None:
    mx.set_default_device(mx.cpu)
    model, oracle = model_of(source, folder), mx.load(os.path.join(folder, "oracle.safetensors"))
    expected, steps = np.array(oracle["logits"]), np.array(oracle["step_logits"])
    run = lambda tokens, cache: np.array(model(mx.array(tokens)[None], cache=cache)[0])
    cache = model.make_cache()
    found = run(np.array(oracle["input_ids"]), cache)
    fed = np.concatenate([run([int(token)], cache) for token in np.array(oracle["gen_ids"])])
    for what, got, known in (("prompt", found, expected), ("token by token", fed, steps)):
        error = np.abs(got - known).max() / np.abs(known).max()
        print(f"{what}: error {error:.1e}, same best token {(got.argmax(-1) == known.argmax(-1)).mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
