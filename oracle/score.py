"""What a model answers: transformers, eager attention, f32 arithmetic on the exact values of the stored weights."""

import json
import os
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from models import Tiny, transformers_config

GENERATED = 16


def score(tiny: Tiny, weights: dict[str, torch.Tensor], ids: np.ndarray) -> tuple[dict[str, torch.Tensor], dict]:
    """The oracle of these weights on these tokens, and the margins that say how far it is from a tie.

    `input_ids` i64 [S]; `logits` f32 [S, V] of one uncached pass; `hidden_n` f32 [S, H], the residual stream after n
    layers; `gen_ids` i64 [T] greedy continuation; `step_logits` f32 [T, V], those after each of `gen_ids` is fed.
    """
    model = load(tiny.config, weights)
    margins = watch_routing(model, tiny.config)
    prompt = torch.from_numpy(ids)[None]
    with torch.no_grad():
        whole = model(prompt, use_cache=False, output_hidden_states=True)
        generated, steps = greedy(model, prompt)
        again = model(torch.cat([prompt[0], generated])[None], use_cache=False).logits[0, len(ids):]
    worst = float((again - steps).abs().max() / again.abs().max())
    assert worst < 1e-5, f"cached decoding strays from the uncached pass by {worst}"
    top = torch.cat([whole.logits[0, -1:], steps[:-1]]).topk(2, dim=-1).values
    oracle = {"input_ids": prompt[0], "logits": whole.logits[0], "gen_ids": generated, "step_logits": steps}
    oracle |= {f"hidden_{n}": whole.hidden_states[n][0] for n in tiny.hidden}
    report = {"routing_margin": min(margins), "greedy_margin": float((top[:, 0] - top[:, 1]).min()),
              "decode_error": worst}
    return {name: tensor.contiguous().clone() for name, tensor in oracle.items()}, report


def load(config: dict, weights: dict[str, torch.Tensor]):
    """The weights as transformers loads them, through a folder, widened to f32."""
    with tempfile.TemporaryDirectory() as folder:
        transformers_config(config).save_pretrained(folder)
        save_file({name: tensor.float().contiguous() for name, tensor in weights.items()},
                  os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    wrong = report["missing_keys"] or report["unexpected_keys"] or report["mismatched_keys"]
    assert not wrong, report
    return model.eval()


def greedy(model, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    out = model(prompt, use_cache=True)
    generated, steps = [], []
    for _ in range(GENERATED):
        generated.append(int(out.logits[0, -1].argmax()))
        out = model(torch.tensor([[generated[-1]]]), past_key_values=out.past_key_values, use_cache=True)
        steps.append(out.logits[0, -1])
    return torch.tensor(generated), torch.stack(steps)


def watch_routing(model, config: dict) -> list[float]:
    """Collects, at each router, the gap between the last expert chosen and the first one left out.

    A gap near the rounding error of f32 would make the choice, and so the logits, a matter of summation order.
    """
    gaps = []

    def hook(router, _inputs, outputs):
        logits = outputs[0].reshape(-1, config["n_routed_experts"])
        softmax = config["scoring_func"] == "softmax"
        scores = logits.softmax(-1) if softmax else logits.sigmoid() + router.e_score_correction_bias
        count, keep = config["n_group"], config["topk_group"]
        if count > 1:
            groups = scores.view(len(scores), count, -1)
            ranked = (groups.amax(-1) if softmax else groups.topk(2).values.sum(-1)).sort(descending=True).values
            gaps.append(float((ranked[:, keep - 1] - ranked[:, keep]).min()))
            cut = ranked[:, keep - 1 : keep]
            whole = (groups.amax(-1) if softmax else groups.topk(2).values.sum(-1)) >= cut
            scores = groups.masked_fill(~whole[..., None], -torch.inf).flatten(1)
        ranked = scores.sort(descending=True).values
        chosen = config["num_experts_per_tok"]
        gaps.append(float((ranked[:, chosen - 1] - ranked[:, chosen]).min()))

    for module in model.modules():
        if type(module).__name__.endswith("TopkRouter"):
            module.register_forward_hook(hook)
    return gaps


def write_json(path: str, value) -> None:
    with open(path, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
