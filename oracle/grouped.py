"""Makes fixtures/qwen3_moe, fixtures/mixtral and fixtures/olmoe: grouped-query attention.

    python grouped.py LLAMA_CPP ../fixtures

Laid out as fixtures/deepseek_v3: a folder holds one oracle, and checkpoints that must all answer with it.
"""

import os
import sys

import gguf
import torch

import to_gguf
import wrap
from make_fixtures import DIFFERENT, GREEDY_MARGIN, ROUTING_MARGIN, prompt, save_oracle, write_sums
from models import Tiny, draw
from score import greedy, load

COMMON = dict(hidden_act="silu", attention_dropout=0.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
              initializer_range=0.02, max_position_embeddings=512)

MODELS = {
    # Heads wider than the model's width over their number, three queries to a key, past one tile of 128.
    "qwen3_moe/plain": Tiny(COMMON | dict(
        architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", vocab_size=160, hidden_size=72,
        intermediate_size=96, moe_intermediate_size=28, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=20, num_experts=10, num_experts_per_tok=3, norm_topk_prob=True,
        decoder_sparse_step=1, mlp_only_layers=[], attention_bias=False, rms_norm_eps=1e-6, rope_theta=1000000.0,
        rope_scaling=None, sliding_window=None, use_sliding_window=False), tokens=150, hidden=[1, 2]),
    # A tied head, and as many keys as queries.
    "qwen3_moe/tied": Tiny(COMMON | dict(
        architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", vocab_size=101, hidden_size=48,
        intermediate_size=64, moe_intermediate_size=36, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=3, head_dim=32, num_experts=7, num_experts_per_tok=2, norm_topk_prob=True,
        decoder_sparse_step=1, mlp_only_layers=[], attention_bias=False, rms_norm_eps=1e-6, rope_theta=10000.0,
        rope_scaling=None, sliding_window=None, use_sliding_window=False, tie_word_embeddings=True),
        dtype=torch.float16, hidden=[1]),
    "mixtral/plain": Tiny(COMMON | dict(
        architectures=["MixtralForCausalLM"], model_type="mixtral", vocab_size=120, hidden_size=64,
        intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        num_local_experts=5, num_experts_per_tok=2, rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None),
        hidden=[1]),
    # A window, which a prompt outgrows.
    "mixtral/window": Tiny(COMMON | dict(
        architectures=["MixtralForCausalLM"], model_type="mixtral", vocab_size=120, hidden_size=64,
        intermediate_size=40, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=2,
        num_local_experts=6, num_experts_per_tok=2, rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=20),
        dtype=torch.float32, tokens=150, hidden=[1]),
    "olmoe/plain": Tiny(COMMON | dict(
        architectures=["OlmoeForCausalLM"], model_type="olmoe", vocab_size=112, hidden_size=64, intermediate_size=24,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, num_experts=9, num_experts_per_tok=4,
        norm_topk_prob=False, attention_bias=False, clip_qkv=None, rms_norm_eps=1e-5, rope_theta=10000.0,
        rope_scaling=None), dtype=torch.float16, tokens=72, hidden=[1]),
}


def main(llama_cpp: str, out: str) -> None:
    for name, tiny in MODELS.items():
        folder = os.path.join(out, name)
        weights = settle(folder, tiny)
        wrap.save_folder(os.path.join(folder, "hf"), tiny.config, weights)
        if name == "mixtral/window":
            continue  # the converter does not tell of windows
        path = os.path.join(folder, "model.gguf")
        to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), path, tiny.dtype)
        if name == "mixtral/plain":
            write_by_expert(os.path.join(folder, "by_expert.gguf"), path)
    for family in sorted({name.split("/")[0] for name in MODELS}):
        write_sums(os.path.join(out, family))


def settle(folder: str, tiny: Tiny) -> dict[str, torch.Tensor]:
    """Draws weights until no choice is close, and writes their oracle."""
    for seed in range(tiny.seed, tiny.seed + 200):
        weights = draw(tiny, seed)
        oracle, report = score(tiny, weights, prompt(tiny, seed))
        if (report["routing_margin"] > ROUTING_MARGIN and report["greedy_margin"] > GREEDY_MARGIN
                and len(oracle["gen_ids"].unique()) >= DIFFERENT):
            save_oracle(folder, oracle, report | {"seed": seed})
            return weights
    raise SystemExit(f"{folder}: no seed keeps its distance from ties")


def score(tiny: Tiny, weights: dict[str, torch.Tensor], ids) -> tuple[dict[str, torch.Tensor], dict]:
    """As `score.score`, with the gaps between experts taken from what the model says of its routers."""
    model = load(tiny.config, weights)
    tokens = torch.from_numpy(ids)[None]
    with torch.no_grad():
        whole = model(tokens, use_cache=False, output_hidden_states=True)
        generated, steps = greedy(model, tokens)
        longer = torch.cat([tokens[0], generated])[None]
        again = model(longer, use_cache=False, output_router_logits=True)
    worst = float((again.logits[0, len(ids):] - steps).abs().max() / steps.abs().max())
    assert worst < 1e-5, f"cached decoding strays from the uncached pass by {worst}"
    top_k, gaps = tiny.config["num_experts_per_tok"], []
    for logits in again.router_logits:
        ranked = (logits.softmax(-1) if logits.min() < 0 else logits).sort(descending=True).values
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
