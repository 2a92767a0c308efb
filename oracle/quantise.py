"""The two published quantised layouts of the family, and the exact values they stand for.

Each function takes a matrix [rows, cols] and returns the tensors to store beside what they decode to in f32.
"""

import re

import numpy as np
import torch

from models import is_expert

INT4_CONFIG = dict(
    quant_method="compressed-tensors", format="pack-quantized", quantization_status="compressed",
    kv_cache_scheme=None,
    ignore=["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"],
    config_groups=dict(group_0=dict(
        targets=["Linear"], input_activations=None, output_activations=None,
        weights=dict(num_bits=4, type="int", strategy="group", group_size=32, symmetric=True, dynamic=False,
                     actorder=None, block_structure=None, observer="minmax", observer_kwargs={}))))

FP8_CONFIG = dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[128, 128])


def int4(name: str, matrix: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """compressed-tensors `pack-quantized`: nibble minus eight, times a bf16 scale for each 32 along a row."""
    rows, cols = matrix.shape
    groups = matrix.float().reshape(rows, cols // 32, 32)
    scale = (groups.abs().amax(-1) / 7).clamp_min(1e-8).to(torch.bfloat16)
    value = (groups / scale.float()[..., None]).round().clamp(-8, 7)
    nibbles = (value.reshape(rows, cols) + 8).to(torch.uint8)
    packed = (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).contiguous()  # element 0 in the lowest four bits
    base = name.removesuffix(".weight")
    stored = {
        base + ".weight_packed": torch.from_numpy(packed.numpy().view(np.int32).copy()),
        base + ".weight_scale": scale,
        base + ".weight_shape": torch.tensor([rows, cols], dtype=torch.int32),
    }
    return stored, (value * scale.float()[..., None]).reshape(rows, cols)


def fp8(name: str, matrix: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """E4M3 with an f32 multiplier, called an inverse, for each 128 x 128 block; the last blocks may be ragged."""
    rows, cols = matrix.shape
    down, across = -(-rows // 128), -(-cols // 128)
    padded = torch.zeros(down * 128, across * 128)
    padded[:rows, :cols] = matrix.float()
    blocks = padded.reshape(down, 128, across, 128)
    scale = (blocks.abs().amax((1, 3)) / 448).clamp_min(1e-12)
    value = (blocks / scale[:, None, :, None]).reshape(padded.shape)[:rows, :cols].to(torch.float8_e4m3fn)
    spread = scale.repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :cols]
    return {name: value, name + "_scale_inv": scale}, value.float() * spread


def quantise(weights: dict[str, torch.Tensor], scheme: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A whole checkpoint: what to store, and the f32 weights it decodes to, both under the published names."""
    stored, exact = {}, {}
    for name, tensor in weights.items():
        if scheme == "int4" and is_expert(name):
            parts, exact[name] = int4(name, tensor)
            stored |= parts
        elif scheme == "fp8" and re.search(r"(_proj|_proj_with_mqa)\.weight$", name):
            parts, exact[name] = fp8(name, tensor)
            stored |= parts
        else:
            stored[name] = exact[name] = tensor
    return stored, exact
