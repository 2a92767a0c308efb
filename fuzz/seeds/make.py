#!/usr/bin/env python3
"""Makes the seed files beside it. They are committed; this is kept to say where they come from.

    pip install gguf==0.19.0 safetensors==0.8.0 numpy && python fuzz/seeds/make.py

Files written by the reference libraries bear their names; the others are spelled out byte by byte.
"""
import json, struct
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent


def gguf_py(path):
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_float32("t.f32", 1e-6)
    writer.add_uint64("t.u64", 2**63)
    writer.add_int64("t.i64", -(2**62))
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "Grüße, 世界")
    writer.add_array("t.array.i32", [1, -2, 3])
    writer.add_array("t.array.f32", [0.5, 1.5])
    writer.add_array("t.array.bool", [True, False])
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "", "Ġa"])
    writer.add_custom_alignment(64)
    rng = np.random.default_rng(0)
    writer.add_tensor("token_embd.weight", rng.standard_normal((3, 64)).astype(np.float32))
    writer.add_tensor("norm.weight", np.ones(5, np.float16))
    q8_0 = gguf.quants.quantize(rng.standard_normal((2, 3, 32)).astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.ffn_up_exps.weight", q8_0, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def string(text):
    return struct.pack("<Q", len(text)) + text


def plain_gguf(keys, tensors, data, version=3, order="<"):
    head = b"GGUF" + struct.pack(order + "IQQ", version, len(tensors), len(keys))
    head += b"".join(string(key) + value for key, value in keys)
    for name, sizes, kind, offset in tensors:
        head += string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)
    return head + b"\0" * (-len(head) % 32) + b"\0" * data


def array(item, count, items):
    return struct.pack("<IIQ", 9, item, count) + items


def plain_safetensors(header, data):
    header = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * data


def tokenizer_json(**changes):
    letters = {letter: id for id, letter in enumerate("abĠ<>|")}
    model = {"type": "BPE", "vocab": {**letters, "ab": 6, "Ġa": 7, "<|e|>": 8}, "merges": [["a", "b"], "Ġ a"]}
    file = {"added_tokens": [{"id": 8, "content": "<|e|>", "special": True}, {"id": 9, "content": "  "}],
            "normalizer": {"type": "NFC"}, "model": model,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}}
    return json.dumps({**file, **changes}, ensure_ascii=False).encode()


def tokenizer_seeds():
    split = {"type": "Split", "pattern": {"Regex": r"\p{L}+|\s+(?!\S)|\s+"}, "behavior": "Isolated", "invert": False}
    removed = {"type": "Split", "pattern": {"String": "<"}, "behavior": "Removed", "invert": True}
    steps = [split, {"type": "Digits", "individual_digits": True}, removed,
             {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]
    strings = lambda items: array(8, len(items), b"".join(string(item.encode()) for item in items))
    keys = [(b"tokenizer.ggml.model", struct.pack("<I", 8) + string(b"gpt2")),
            (b"tokenizer.ggml.pre", struct.pack("<I", 8) + string(b"qwen2")),
            (b"tokenizer.ggml.tokens", strings(["a", "b", "Ġ", "ab", "Ġa", "<|e|>", "<0x63>"])),
            (b"tokenizer.ggml.token_type", array(5, 7, struct.pack("<7i", 1, 1, 1, 1, 1, 3, 6))),
            (b"tokenizer.ggml.merges", strings(["a b", "Ġ a"])),
            (b"tokenizer.ggml.eos_token_id", struct.pack("<II", 4, 5))]
    return {
        "tokenizer/letters.json": tokenizer_json(),
        "tokenizer/splits.json": tokenizer_json(pre_tokenizer={"type": "Sequence", "pretokenizers": steps}),
        "tokenizer/letters.model": b"YQ== 0\nYg== 1\nIA== 2\nYWI= 3\n/w== 4\n",
        "tokenizer/letters.gguf": plain_gguf(keys, [], 0),
    }


def main():
    gguf_py(str(HERE / "gguf/gguf_py.gguf"))
    inner = struct.pack("<IQ", 4, 2) + struct.pack("<II", 7, 8)
    files = {
        "gguf/empty.gguf": plain_gguf([], [], 0),
        "gguf/nested.gguf": plain_gguf([(b"nested", array(9, 2, inner + inner))], [], 0),
        "gguf/scalar.gguf": plain_gguf([], [(b"x", [], 0, 0), (b"none", [0, 4], 12, 32)], 32),
        "gguf/iquant.gguf": plain_gguf([], [(b"w", [256, 2], 16, 0)], 132),
        "gguf/ik_llama.gguf": plain_gguf([], [(b"w", [256], 144, 0)], 136),
        "gguf/version_2.gguf": plain_gguf([], [], 0, version=2),
        "gguf/big_endian.gguf": plain_gguf([], [], 0, order=">"),
        "gguf/truncated.gguf": plain_gguf([(b"a", array(8, 3, string(b"x")))], [], 0),
        "gguf/overlap.gguf": plain_gguf([], [(b"a", [16], 0, 0), (b"b", [16], 0, 32)], 96),
        "safetensors/empty.safetensors": plain_safetensors({}, 0),
        "safetensors/hole.safetensors": plain_safetensors(
            {"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, 8),
        "safetensors/unknown_dtype.safetensors": plain_safetensors(
            {"a": {"dtype": "P7", "shape": [4], "data_offsets": [0, 8]}}, 8),
        "safetensors/scalar.safetensors": plain_safetensors(
            {"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
             "b": {"dtype": "F4", "shape": [2, 3], "data_offsets": [4, 7]},
             "c": {"dtype": "I64", "shape": [0, 9], "data_offsets": [7, 7]}}, 7),
    }
    files |= tokenizer_seeds()
    for name, content in files.items():
        (HERE / name).write_bytes(content)
    tensors = {"experts.0.weight_packed": np.arange(8, dtype=np.int32).reshape(2, 4),
               "experts.0.weight_scale": np.ones((2, 1), np.float16),
               "norm": np.linspace(0, 1, 5, dtype=np.float32), "mask": np.ones(3, np.bool_)}
    save_file(tensors, HERE / "safetensors/safetensors_py.safetensors", metadata={"format": "np"})


main()
