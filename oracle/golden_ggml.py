"""Golden vectors for the crate `quant`: raw bytes and the floats the published implementations make of them.

    python golden_ggml.py BLOCKS.npz OUT.safetensors

BLOCKS.npz holds, for each GGML block type, random blocks with tame scales (`<type>_raw`, uint8 [n, bytes]) and their
floats (`<type>_f32`). They are checked against the installed gguf-py again before the first 16 of each type are
kept; of the types with a codebook as many as it takes to meet each of its entries, in order. F16 and BF16 are random bits,
INT4_G32 is packed by compressed-tensors, its four-bit floats are unpacked by it, fp8 and e8m0 are torch's. Q1_0 and
Q2_0, which gguf-py does not know, follow llama.cpp's definition. No float is -0: a code of zero has no sign in GGML.
For each format NAME: `NAME.values`, `NAME.scales` where it has any (uint8), and `NAME.f32` [rows, cols].
"""

import sys

import gguf
import numpy as np
import torch
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.numpy import save_file

BLOCK_TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
SMALL_TYPES = ["Q2_K", "Q3_K", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "IQ4_NL", "IQ4_XS", "IQ1_M"]
CODEBOOK_TYPES = ["IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]
ROWS = 16
FEW_ROWS = 8


def main(blocks_path, out_path):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    golden = {}
    for name, (values, scales, floats) in {**plain(rng), **two_planes(rng)}.items():
        put(golden, name, values, floats, scales)
    for name, (values, scales, floats) in {**small_floats(rng), **bits_in_order(rng)}.items():
        put(golden, name, values, floats, scales)
    blocks = np.load(blocks_path)
    for name in BLOCK_TYPES:
        raw, floats = blocks[name + "_raw"], blocks[name + "_f32"]
        again = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
        assert np.array_equal(again.view(np.uint32), floats.view(np.uint32)), name
        put(golden, name, raw[:ROWS], floats[:ROWS])
    for name in SMALL_TYPES + CODEBOOK_TYPES:
        raw = blocks[name + "_raw"].copy()
        raw = in_order(name, raw) if name in CODEBOOK_TYPES else raw[:FEW_ROWS]
        put(golden, name, raw, gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name]))
    save_file(golden, out_path)


def put(golden, name, values, floats, scales=None):
    golden[name + ".values"] = as_bytes(values)
    golden[name + ".f32"] = np.ascontiguousarray(floats, dtype=np.float32)
    assert np.isfinite(golden[name + ".f32"]).all(), name
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


def in_order(name, raw):
    """As many of the blocks as meet every entry of the codebook, their indices counting up."""
    entries = getattr(gguf.quants, name).grid_shape[0]
    each = 64 if name.startswith("IQ3") else 32
    raw = raw[: max(entries // each, FEW_ROWS)]
    index = np.arange(len(raw) * each).reshape(len(raw), each) % entries
    low, high = (index & 255).astype(np.uint8), (index >> 8).astype(np.uint8)
    if name == "IQ2_XXS":
        raw[:, 2:].reshape(len(raw), 8, 8)[:, :, :4] = low.reshape(len(raw), 8, 4)
    elif name == "IQ2_XS":
        raw[:, 2:66:2] = low
        raw[:, 3:67:2] = raw[:, 3:67:2] & 0xFE | high
    else:
        raw[:, 2 : 2 + each] = low
    if name == "IQ2_S":
        raw[:, 66:74] = sum(high.reshape(-1, 8, 4)[:, :, k] << (2 * k) for k in range(4))
    if name == "IQ3_S":
        raw[:, 66:74] = np.packbits(high.reshape(-1, 8, 8), axis=-1, bitorder="little")[:, :, 0]
    if name == "IQ1_S":
        words = sum(high.reshape(-1, 8, 4)[:, :, k].astype(np.uint16) << (3 * k) for k in range(4))
        old = np.ascontiguousarray(raw[:, 34:]).view(np.uint16) & 0xF000
        raw[:, 34:] = (old | words).astype(np.uint16).view(np.uint8)
    return raw


def small_floats(rng):
    packed = rng.integers(0, 256, (FEW_ROWS, 64), dtype=np.uint8)
    codes = unpack_fp4_from_uint8(torch.from_numpy(packed), FEW_ROWS, 128).float() + 0.0

    mx_bits = torch.from_numpy(rng.integers(100, 150, (FEW_ROWS, 4), dtype=np.uint8))
    mx_bits[0, :3] = torch.tensor([0, 1, 2], dtype=torch.uint8)
    mx = codes * mx_bits.view(torch.float8_e8m0fnu).float().repeat_interleave(32, 1)

    nv_bits = torch.from_numpy(rng.integers(0, 0x7F, (FEW_ROWS, 8), dtype=np.uint8))
    nv = codes * nv_bits.view(torch.float8_e4m3fn).float().repeat_interleave(16, 1)
    found = {"MXFP4_G32": (packed, mx_bits.numpy(), mx.numpy()), "NVFP4_G16": (packed, nv_bits.numpy(), nv.numpy())}

    for side, rows, cols in [(128, 130, 140), (32, 33, 70)]:
        bits = torch.from_numpy(rng.integers(0, 256, (rows, cols), dtype=np.uint8))
        bits[bits & 0x7F == 0x7F] = 0
        scales = torch.from_numpy(rng.integers(100, 150, (-(-rows // side), -(-cols // side)), dtype=np.uint8))
        spread = scales.view(torch.float8_e8m0fnu).float().repeat_interleave(side, 0).repeat_interleave(side, 1)
        fp8 = bits.view(torch.float8_e4m3fn).float() * spread[:rows, :cols]
        found[f"FP8_B{side}_E8M0"] = (bits.numpy(), scales.numpy(), fp8.numpy())
    return found


def bits_in_order(rng):
    found = {}
    for name, bits, values in [("Q1_0", 1, np.array([-1, 1])), ("Q2_0", 2, np.array([-1, 0, 1, 2]))]:
        d = (rng.standard_normal((FEW_ROWS, 1)) * 0.01).astype(np.float16)
        packed = rng.integers(0, 256, (FEW_ROWS, 16), dtype=np.uint8)
        codes = packed[:, :, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (1 << bits) - 1
        floats = values[codes].reshape(FEW_ROWS, -1).astype(np.float32) * d.astype(np.float32)
        found[name] = (np.concatenate([d.view(np.uint8), packed], 1), None, floats)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
