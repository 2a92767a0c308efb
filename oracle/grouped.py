"""Makes the fixtures of grouped-query attention: those of `grouped_models.py`, or only the families that are named.

    python grouped.py LLAMA_CPP ../fixtures [FAMILY ...]

Laid out as fixtures/deepseek_v3: a folder holds one oracle, and checkpoints that must all answer with it.
"""

import os
import sys

import gguf
import torch

import to_gguf
import wrap
from make_fixtures import prompt, save_oracle, telling, write_sums
from grouped_models import MODELS
from models import Tiny, draw
from quantise import CONFIGS, quantise
from score import greedy, load
from score import score as score_groups

def main(llama_cpp: str, out: str, *families: str) -> None:
    chosen = {name: tiny for name, tiny in MODELS.items() if not families or name.split("/")[0] in families}
    for name, tiny in chosen.items():
        folder = os.path.join(out, name)
        stored = settle(folder, tiny)
        quantised = {"quantization_config": CONFIGS[tiny.scheme]} if tiny.scheme else {}
        if tiny.config.get("num_nextn_predict_layers"):
            stored = wrap.with_prediction_layer(stored, tiny.config["num_hidden_layers"])
        wrap.save_folder(os.path.join(folder, "hf"), tiny.config | quantised, stored)
        if name == "mixtral/window":
            continue  # the converter does not tell of windows
        path = os.path.join(folder, "model.gguf")
        # The converter spells FP8 out, which only F32 holds exactly.
        dtype = torch.float32 if tiny.scheme == "fp8" else tiny.dtype
        to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), path, dtype)
        if name == "mixtral/plain":
            write_by_expert(os.path.join(folder, "by_expert.gguf"), path)
    for family in sorted({name.split("/")[0] for name in chosen}):
        write_sums(os.path.join(out, family))


def fair(oracle: dict[str, torch.Tensor], report: dict, _model) -> bool:
    return telling(oracle, report) and report["decode_error"] < 1e-5


def settle(folder: str, tiny: Tiny, fair=fair) -> dict[str, torch.Tensor]:
    """Draws weights until their oracle is a fair one, with no close choice, and writes it. Gives them as they are
    stored."""
    for seed in range(tiny.seed, tiny.seed + 200):
        stored, weights = quantise(draw(tiny, seed), tiny.scheme)
        by = score_groups if "n_group" in tiny.config else score
        oracle, report = by(tiny, weights, prompt(tiny, seed))
        if fair(oracle, report, load(tiny.config, weights)):
            save_oracle(folder, oracle, report | {"seed": seed})
            return stored
    raise SystemExit(f"{folder}: no seed keeps its distance from ties")


def score(tiny: Tiny, weights: dict[str, torch.Tensor], ids) -> tuple[dict[str, torch.Tensor], dict]:
    """As `score.score`, with the gaps between experts taken from what the model says of its routers."""
    model = load(tiny.config, weights)
    tokens = torch.from_numpy(ids)[None]
    routed = "num_experts_per_tok" in tiny.config
    with torch.no_grad():
        whole = model(tokens, use_cache=False, output_hidden_states=True)
        generated, steps = greedy(model, tokens)
        longer = torch.cat([tokens[0], generated])[None]
        again = model(longer, use_cache=False, **({"output_router_logits": True} if routed else {}))
    worst = float((again.logits[0, len(ids):] - steps).abs().max() / steps.abs().max())
    assert worst < 1e-4, f"cached decoding strays from the uncached pass by {worst}"
    gaps = [1.0]
    biases = [module.e_score_correction_bias for module in model.modules() if hasattr(module, "e_score_correction_bias")]
    for layer, logits in enumerate(again.router_logits if routed else []):
        top_k = tiny.config["num_experts_per_tok"]
        chosen_by = logits.sigmoid() + biases[layer] if biases else logits.softmax(-1) if logits.min() < 0 else logits
        ranked = chosen_by.sort(descending=True).values
        gaps.append(float((ranked[..., top_k - 1] - ranked[..., top_k]).min()))
    top = torch.cat([whole.logits[0, -1:], steps[:-1]]).topk(2, dim=-1).values
    oracle = {"input_ids": tokens[0], "logits": whole.logits[0], "gen_ids": generated, "step_logits": steps}
    oracle |= {f"hidden_{n}": whole.hidden_states[n][0] for n in tiny.hidden}
    report = {"routing_margin": min(gaps), "greedy_margin": float((top[:, 0] - top[:, 1]).min()),
              "decode_error": worst}
    return {name: tensor.contiguous().clone() for name, tensor in oracle.items()}, report


def write_by_expert(path: str, source: str) -> None:
    """As converters wrote Mixtral in 2023: a tensor for every expert."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    to_gguf.copy_keys(reader, writer)
    for tensor in reader.tensors:
        if "_exps." not in tensor.name:
            to_gguf.copy_tensor(writer, tensor)
            continue
        for expert, data in enumerate(tensor.data):
            name = tensor.name.replace("_exps.", f".{expert}.")
            writer.add_tensor(name, data.copy(), raw_dtype=tensor.tensor_type)
    to_gguf.finish(writer)


if __name__ == "__main__":
    main(*sys.argv[1:])
