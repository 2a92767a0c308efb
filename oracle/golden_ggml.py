"""Golden vectors for the crate `quant`: raw bytes and the floats the published implementations make of them.

    python golden_ggml.py BLOCKS.npz OUT.safetensors

BLOCKS.npz holds, for each GGML block type, random blocks with tame scales (`<type>_raw`, uint8 [n, bytes]) and their
floats (`<type>_f32`). They are checked against the installed gguf-py again before the first 16 of each type are
kept. F16 and BF16 are random bits, INT4_G32 is packed by compressed-tensors, FP8_B128 is torch's float8_e4m3fn.
For each format NAME: `NAME.values`, `NAME.scales` where it has any (uint8), and `NAME.f32` [rows, cols].
"""

import sys

import gguf
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.numpy import save_file

BLOCK_TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
ROWS = 16


def main(blocks_path, out_path):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    golden = {}
    for name, (values, scales, floats) in {**plain(rng), **two_planes(rng)}.items():
        put(golden, name, values, floats, scales)
    blocks = np.load(blocks_path)
    for name in BLOCK_TYPES:
        raw, floats = blocks[name + "_raw"], blocks[name + "_f32"]
        again = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
        assert np.array_equal(again.view(np.uint32), floats.view(np.uint32)), name
        put(golden, name, raw[:ROWS], floats[:ROWS])
    save_file(golden, out_path)


def put(golden, name, values, floats, scales=None):
    golden[name + ".values"] = as_bytes(values)
    golden[name + ".f32"] = np.ascontiguousarray(floats, dtype=np.float32)
    if scales is not None:
        golden[name + ".scales"] = as_bytes(scales)


def as_bytes(array):
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)


def plain(rng):
    f32 = rng.standard_normal((ROWS, 8)).astype(np.float32)
    bits = rng.integers(0, 0x10000, (ROWS, 32)).astype(np.uint16)
    f16 = np.where(bits & 0x7C00 == 0x7C00, bits & 0x83FF, bits).astype(np.uint16).view(np.float16)
    bf16 = np.where(bits & 0x7F80 == 0x7F80, bits & 0x807F, bits).astype(np.uint16)
    return {
        "F32": (f32, None, f32),
        "F16": (f16, None, f16.astype(np.float32)),
        "BF16": (bf16, None, (bf16.astype(np.uint32) << 16).view(np.float32)),
    }


def two_planes(rng):
    codes = torch.randint(-8, 8, (ROWS, 128), dtype=torch.int8)
    scales = torch.rand(ROWS, 4).mul(0.02).to(torch.bfloat16)
    int4 = codes.float() * scales.float().repeat_interleave(32, 1)

    rows, cols = 130, 140
    bits = torch.from_numpy(rng.integers(0, 256, (rows, cols), dtype=np.uint8))
    bits[bits & 0x7F == 0x7F] = 0
    blocks = torch.rand(2, 2) * 0.01
    spread = blocks.repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :cols]
    fp8 = bits.view(torch.float8_e4m3fn).float() * spread
    return {
        "INT4_G32": (pack_to_int32(codes, 4).numpy(), scales.view(torch.uint16).numpy(), int4.numpy()),
        "FP8_B128": (bits.numpy(), blocks.numpy(), fp8.numpy()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
