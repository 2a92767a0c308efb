"""The published quantised layouts, and the exact values they stand for.

Each function takes a matrix [rows, cols], or a stack of them, and returns the tensors to store beside what they decode to in f32.
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

# What releases keep in FP8: neither norms nor routers, and of an indexer not what weighs its heads.
FP8_NAMES = r"((?<!weights)_proj|_proj_with_mqa|\.w[123]|in_proj_qkvz?|in_proj_z|indexer\.wq_b|indexer\.wk)\.weight$"
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


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])

MXFP4_CONFIG = dict(quant_method="mxfp4", modules_to_not_convert=[
    "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])


def mxfp4(name: str, stack: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """gpt-oss's blocks: e2m1 times a power of two for each 32 along a row. `stack` is [experts, in, out], and is stored
    the other way round."""
    turned = stack.float().transpose(1, 2)
    groups = turned.reshape(*turned.shape[:2], -1, 32)
    power = groups.abs().amax(-1).clamp_min(2.0**-100).log2().floor() - 2
    code = ((groups / power.exp2()[..., None]).clamp(-6, 6)[..., None] - E2M1).abs().argmin(-1).to(torch.uint8)
    stored = {name + "_blocks": (code[..., 0::2] | (code[..., 1::2] << 4)).contiguous(),
              name + "_scales": (power + 127).to(torch.uint8)}
    exact = (E2M1[code.long()] * power.exp2()[..., None]).reshape(turned.shape)
    return stored, exact.transpose(1, 2).contiguous()


CONFIGS = {"int4": INT4_CONFIG, "fp8": FP8_CONFIG, "mxfp4": MXFP4_CONFIG}


def quantise(weights: dict[str, torch.Tensor], scheme: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A whole checkpoint: what to store, and the f32 weights it decodes to, both under the published names."""
    stored, exact = {}, {}
    for name, tensor in weights.items():
        if scheme == "int4" and is_expert(name):
            parts, exact[name] = int4(name, tensor)
            stored |= parts
        elif scheme == "mxfp4" and re.search(r"\.experts\.(gate_up|down)_proj$", name):
            parts, exact[name] = mxfp4(name, tensor)
            stored |= parts
        elif scheme == "fp8" and re.search(FP8_NAMES, name):
            parts, exact[name] = fp8(name, tensor)
            stored |= parts
        else:
            stored[name] = exact[name] = tensor
    return stored, exact
