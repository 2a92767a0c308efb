"""NVFP4 as modelopt and compressed-tensors publish it: e2m1 nibbles, an e4m3 scale for 16 along a row, and one f32 for the
whole matrix, which the first multiplies by and the second divides by.
"""

import re

import torch

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])

MODELOPT_CONFIG = dict(quant_method="modelopt", quant_algo="NVFP4", group_size=16, ignore=["lm_head"])

COMPRESSED_CONFIG = dict(
    quant_method="compressed-tensors", format="nvfp4-pack-quantized", quantization_status="compressed",
    kv_cache_scheme=None, ignore=["lm_head"],
    config_groups=dict(group_0=dict(
        targets=["Linear"], output_activations=None,
        input_activations=dict(num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True,
                               dynamic="local"),
        weights=dict(num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True,
                     dynamic=False, actorder=None))))


def is_quantised(name: str) -> bool:
    """Matrices whose rows are whole blocks of GGML's, in the trunk and in the experts."""
    return re.search(r"\.(q_a_proj|gate_proj|up_proj|down_proj)\.weight$", name) is not None


def quantise(weights: dict[str, torch.Tensor]) -> tuple[dict, dict, dict]:
    """What modelopt stores, what compressed-tensors stores, and the f32 weights that both decode to."""
    modelopt, compressed, exact = {}, {}, {}
    for name, matrix in weights.items():
        if not is_quantised(name):
            modelopt[name] = compressed[name] = exact[name] = matrix
            continue
        packed, scale, factor, exact[name] = spell(matrix)
        base = name.removesuffix(".weight")
        modelopt |= {name: packed, base + ".weight_scale": scale, base + ".weight_scale_2": factor,
                     base + ".input_scale": torch.tensor(0.0123)}
        compressed |= {base + ".weight_packed": packed, base + ".weight_scale": scale,
                       base + ".weight_global_scale": (1 / factor)[None], base + ".input_global_scale": torch.ones(1)}
    return modelopt, compressed, exact


def spell(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, cols = matrix.shape
    groups = matrix.float().reshape(rows, cols // 16, 16)
    largest = groups.abs().amax(-1)
    # A power of two times three quarters, so that its inverse, too, is near exact, and it is not 1.
    factor = 0.75 * (largest.max() / (6 * 448)).log2().ceil().exp2()
    scale = (largest / 6 / factor).to(torch.float8_e4m3fn)
    step = (scale.float() * factor)[..., None]
    code = ((groups / step.clamp_min(1e-20)).clamp(-6, 6)[..., None] - E2M1).abs().argmin(-1).to(torch.uint8)
    nibbles = code.reshape(rows, cols)
    packed = (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).contiguous()  # the even element in the low half
    return packed, scale, factor, (E2M1[code.long()] * step).reshape(rows, cols)


def decode(packed: torch.Tensor, scale: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """By other code than wrote it."""
    code = torch.stack([packed & 15, packed >> 4], -1).flatten(1).int()
    magnitude = torch.where(code % 8 < 2, code % 8 * 0.5, (1 + code % 2 * 0.5) * 2.0 ** (code % 8 // 2 - 1))
    step = (scale.float() * factor).repeat_interleave(16, 1)
    return torch.where(code < 8, magnitude, -magnitude) * step
