"""A plain numpy forward pass of the arch deepseek2, straight from GGUF, in f64: a second opinion on the oracles.

    python gguf_reference.py FILE.gguf ORACLE.safetensors [--config-eps]

Attention is absorbed where the file holds the split latent projection, and plain where it holds it whole. The norms
inside the low-rank projections use 1e-6 as the published classes do; --config-eps gives them the file's epsilon, as
llama.cpp does.
"""

import glob
import math
import re
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file


class File:
    """A GGUF file, or all shards of the one given."""

    def __init__(self, path: str):
        paths = sorted(glob.glob(re.sub(r"-\d{5}-of-", "-?????-of-", path)))
        readers = [gguf.GGUFReader(path) for path in paths]
        self.keys = {key: field.contents() for key, field in readers[0].fields.items()}
        self.tensors = {tensor.name: tensor for reader in readers for tensor in reader.tensors}

    def key(self, name: str, default=None):
        return self.keys.get("deepseek2." + name, default)

    def weight(self, name: str) -> np.ndarray | None:
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        shape = [int(extent) for extent in tensor.shape][::-1]
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).reshape(shape)
        factor = self.tensors.get(name.removesuffix(".weight") + ".scale")  # NVFP4's, one for each expert of a stack
        return values if factor is None else values * factor.data.astype(np.float64).reshape(-1, *[1] * (len(shape) - 1))


class Block:
    """The tensors of one layer, by their names inside it."""

    def __init__(self, file: File, layer: int):
        self.file, self.prefix = file, f"blk.{layer}."

    def __getitem__(self, name: str) -> np.ndarray | None:
        name = name if "." in name else name + ".weight"
        return self.file.weight(self.prefix + name)

    def __contains__(self, name: str) -> bool:
        return self.prefix + name + ".weight" in self.file.tensors


def rms(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gated(x, gate, up, down):
    g = x @ gate.T
    return (g * sigmoid(g) * (x @ up.T)) @ down.T


def rotation(file: File, tokens: int):
    """Cosines and sines [tokens, dims / 2], and the factor YaRN puts on attention scores."""
    dims, theta = file.key("rope.dimension_count"), file.key("rope.freq_base", 1e4)
    inverse = theta ** (-np.arange(0, dims, 2) / dims)
    score = 1.0
    if file.key("rope.scaling.type") == "yarn":
        factor, original = file.key("rope.scaling.factor"), file.key("rope.scaling.original_context_length")

        def turns(beta):
            return dims * math.log(original / (beta * 2 * math.pi)) / (2 * math.log(theta))

        low = max(math.floor(turns(file.key("rope.scaling.yarn_beta_fast", 32.0))), 0)
        high = min(math.ceil(turns(file.key("rope.scaling.yarn_beta_slow", 1.0))), dims - 1)
        ramp = np.clip((np.arange(dims // 2) - low) / (max(high - low, 0.001)), 0, 1)
        inverse = inverse / factor * ramp + inverse * (1 - ramp)
        score = (file.key("rope.scaling.yarn_log_multiplier") * math.log(factor) + 1) ** 2
    angle = np.arange(tokens)[:, None] * inverse
    return np.cos(angle), np.sin(angle), score


def rotate(x, cos, sin):
    """x [tokens, heads, dims], adjacent pairs."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[:, None], sin[:, None]
    return np.stack([even * cos - odd * sin, odd * cos + even * sin], -1).reshape(x.shape)


def attention(file: File, block: Block, x, rank_eps, turn):
    heads, latent, dims = file.key("attention.head_count"), file.key("attention.kv_lora_rank"), turn[0].shape[-1] * 2
    cos, sin, score = turn
    key_length = file.key("attention.key_length_mla", file.key("attention.key_length"))
    value_length = file.key("attention.value_length_mla", file.key("attention.value_length"))
    nope, tokens = key_length - dims, len(x)
    if "attn_q_a" in block:
        query = rms(x @ block["attn_q_a"].T, block["attn_q_a_norm"], rank_eps) @ block["attn_q_b"].T
    else:
        query = x @ block["attn_q"].T
    query = query.reshape(tokens, heads, key_length)
    joined = x @ block["attn_kv_a_mqa"].T
    c = rms(joined[:, :latent], block["attn_kv_a_norm"], rank_eps)
    q_rotated, k_rotated = rotate(query[..., nope:], cos, sin), rotate(joined[:, None, latent:], cos, sin)[:, 0]

    if "attn_k_b" in block:
        absorbed = np.einsum("shn,hrn->shr", query[..., :nope], block["attn_k_b"])
        scores = np.einsum("shr,tr->hst", absorbed, c)
    else:
        both = (c @ block["attn_kv_b"].T).reshape(tokens, heads, nope + value_length)
        scores = np.einsum("shn,thn->hst", query[..., :nope], both[..., :nope])
    scores = (scores + np.einsum("shd,td->hst", q_rotated, k_rotated)) * score * key_length**-0.5
    weights = softmax(np.where(np.tri(tokens, dtype=bool), scores, -np.inf))
    if "attn_k_b" in block:
        out = np.einsum("hst,tr,hvr->shv", weights, c, block["attn_v_b"], optimize=True)
    else:
        out = np.einsum("hst,thv->shv", weights, both[..., nope:])
    return out.reshape(tokens, -1) @ block["attn_output"].T


def route(file: File, logits, bias):
    """Experts [tokens, k] and their weights. Ties go to the lower index."""
    sigmoids = file.key("expert_gating_func", 1) == 2
    scores = sigmoid(logits) if sigmoids else softmax(logits)
    choice = scores if bias is None else scores + bias
    groups, keep = file.key("expert_group_count", 1), file.key("expert_group_used_count", 1)
    if groups > 1:
        within = choice.reshape(len(choice), groups, -1)
        # DeepSeek-V2 ranks a group by its best expert, V3 by the sum of its best two.
        rank = np.sort(within, -1)[..., -2:].sum(-1) if sigmoids else within.max(-1)
        kept = np.zeros((len(choice), groups), bool)
        np.put_along_axis(kept, np.argsort(-rank, -1, kind="stable")[:, :keep], True, -1)
        choice = np.where(kept[..., None], within, -np.inf).reshape(choice.shape)
    chosen = np.argsort(-choice, -1, kind="stable")[:, : file.key("expert_used_count")]
    weights = np.take_along_axis(scores, chosen, -1)
    if file.key("expert_weights_norm", False):
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    return chosen, weights * file.key("expert_weights_scale", 1.0)


def experts(file: File, block: Block, x):
    gate, up, down = (block[f"ffn_{part}_exps"] for part in ("gate", "up", "down"))
    out = gated(x, block["ffn_gate_shexp"], block["ffn_up_shexp"], block["ffn_down_shexp"])
    chosen, weights = route(file, x @ block["ffn_gate_inp"].T, block["exp_probs_b.bias"])
    for token in range(len(x)):
        for expert, weight in zip(chosen[token], weights[token]):
            out[token] += weight * gated(x[token], gate[expert], up[expert], down[expert])
    return out


def forward(file: File, ids, config_eps: bool):
    """Logits [tokens, vocab]."""
    eps = file.key("attention.layer_norm_rms_epsilon")
    rank_eps = eps if config_eps else 1e-6
    turn = rotation(file, len(ids))
    x = file.weight("token_embd.weight")[ids]
    for layer in range(file.key("block_count")):
        block = Block(file, layer)
        x = x + attention(file, block, rms(x, block["attn_norm"], eps), rank_eps, turn)
        h = rms(x, block["ffn_norm"], eps)
        if "ffn_gate_inp" in block:
            x = x + experts(file, block, h)
        else:
            x = x + gated(h, block["ffn_gate"], block["ffn_up"], block["ffn_down"])
    head = file.weight("output.weight" if "output.weight" in file.tensors else "token_embd.weight")
    return rms(x, file.weight("output_norm.weight"), eps) @ head.T


def compare(path: str, oracle: str, config_eps: bool = False) -> tuple[float, float]:
    """Largest error over the largest logit, and the share of positions whose best token agrees."""
    known = load_file(oracle)
    found, expected = forward(File(path), known["input_ids"], config_eps), known["logits"]
    return float(np.abs(found - expected).max() / np.abs(expected).max()), \
        float((found.argmax(-1) == expected.argmax(-1)).mean())


if __name__ == "__main__":
    error, agree = compare(sys.argv[1], sys.argv[2], "--config-eps" in sys.argv)
    print(f"{sys.argv[1]}: relative error {error:.2e}, same best token {agree:.3f}")
