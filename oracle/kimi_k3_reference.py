"""Kimi K3's text part in numpy, in f64, from weights under their published names: transformers has no class for it.

`kimi_k3_mlx.py` holds it against mlx-lm, which has one. All tokens go through one pass without a cache.
"""

import numpy as np


class Layer:
    """The weights of one layer, by their names inside it."""

    def __init__(self, weights: dict[str, np.ndarray], index: int):
        self.weights, self.home = weights, f"language_model.model.layers.{index}."

    def __getitem__(self, name: str) -> np.ndarray:
        whole = self.home + name
        return self.weights[whole if whole in self.weights else whole + ".weight"]

    def project(self, x, name: str):
        return x @ self[name].T


def rms(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


def gated(config, x, gate, up, down):
    """SiTU: gate and up are bent towards bounds of their own."""
    bound, linear = config["activation_situ_beta"], config["activation_situ_linear_beta"]
    g, u = x @ gate.T, x @ up.T
    return (bound * np.tanh(g / bound) * sigmoid(g) * linear * np.tanh(u / linear)) @ down.T


def convolved(x, weight):
    """A causal convolution of each channel, then SiLU. `x` [tokens, channels], `weight` [channels, 1, kernel]."""
    kernel = weight.shape[-1]
    padded = np.concatenate([np.zeros((kernel - 1, x.shape[1])), x])
    out = sum(padded[at : at + len(x)] * weight[:, 0, at] for at in range(kernel))
    return out * sigmoid(out)


def delta_attention(config, layer: Layer, x):
    linear = config["linear_attn_config"]
    heads, width = linear["num_heads"], linear["head_dim"]
    split = lambda rows: rows.reshape(len(x), heads, width)
    q, k, v = (split(convolved(layer.project(x, f"self_attn.{part}_proj"), layer[f"self_attn.{part}_conv1d"]))
               for part in "qkv")
    unit = lambda rows: rows / np.sqrt((rows * rows).sum(-1, keepdims=True) + 1e-6)
    q, k = unit(q) * width**-0.5, unit(k)

    rates = np.exp(layer["self_attn.A_log"][:heads])[:, None]
    shift = layer.project(layer.project(x, "self_attn.f_a_proj"), "self_attn.f_b_proj") + layer["self_attn.dt_bias"]
    if linear.get("gate_lower_bound") is None:
        decay = np.exp(-rates * np.logaddexp(0, split(shift)))
    else:
        decay = np.exp(linear["gate_lower_bound"] * sigmoid(rates * split(shift)))
    strength = sigmoid(layer.project(x, "self_attn.b_proj"))[..., None]

    state, out = np.zeros((heads, width, width)), np.empty(q.shape)
    for token in range(len(x)):
        state = state * decay[token][..., None]
        missing = strength[token] * (v[token] - np.einsum("hkv,hk->hv", state, k[token]))
        state = state + k[token][..., None] * missing[:, None]
        out[token] = np.einsum("hkv,hk->hv", state, q[token])

    if linear.get("use_full_rank_gate"):
        gate = layer.project(x, "self_attn.g_proj")
    else:
        gate = layer.project(layer.project(x, "self_attn.g_a_proj"), "self_attn.g_b_proj")
    out = rms(out, layer["self_attn.o_norm"], config["rms_norm_eps"]) * sigmoid(split(gate))
    return layer.project(out.reshape(len(x), -1), "self_attn.o_proj")


def latent_attention(config, layer: Layer, x):
    """Not rotated: the columns called so are plain ones that all heads share. The norms of low ranks have epsilon 1e-6."""
    heads, latent = config["num_attention_heads"], config["kv_lora_rank"]
    nope, value = config["qk_nope_head_dim"], config["v_head_dim"]
    low = rms(layer.project(x, "self_attn.q_a_proj"), layer["self_attn.q_a_layernorm"], 1e-6)
    q = layer.project(low, "self_attn.q_b_proj").reshape(len(x), heads, -1)
    rows = layer.project(x, "self_attn.kv_a_proj_with_mqa")
    spelled = layer.project(rms(rows[:, :latent], layer["self_attn.kv_a_layernorm"], 1e-6), "self_attn.kv_b_proj")
    spelled = spelled.reshape(len(x), heads, nope + value)
    scores = np.einsum("shn,thn->hst", q[..., :nope], spelled[..., :nope])
    scores = (scores + np.einsum("shd,td->hst", q[..., nope:], rows[:, latent:])) * q.shape[-1] ** -0.5
    weights = softmax(np.where(np.tri(len(x), dtype=bool), scores, -np.inf))
    out = np.einsum("hst,thv->shv", weights, spelled[..., nope:]).reshape(len(x), -1)
    if config["mla_use_output_gate"]:
        out = out * sigmoid(layer.project(x, "self_attn.g_proj"))
    return layer.project(out, "self_attn.o_proj")


def experts(config, layer: Layer, x, gaps: list[float]):
    """Routed by the whole row, computed in a width of their own; beside them what all tokens share."""
    home, count, top_k = "block_sparse_moe.", config["num_experts"], config["num_experts_per_token"]
    scores = sigmoid(layer.project(x, home + "gate"))
    choice = scores + layer[home + "gate.e_score_correction_bias"]
    order = np.argsort(-choice, -1, kind="stable")
    ranked = np.take_along_axis(choice, order, -1)
    gaps.append(float((ranked[:, top_k - 1] - ranked[:, top_k]).min()))
    chosen = np.zeros((len(x), count), bool)
    np.put_along_axis(chosen, order[:, :top_k], True, -1)
    weights = np.where(chosen, scores, 0)
    if config["moe_renormalize"]:
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    weights = weights * config["routed_scaling_factor"]

    narrow = layer.project(x, home + "routed_expert_down_proj")
    total = np.zeros_like(narrow)
    for expert in range(count):
        of = chosen[:, expert]
        matrices = (layer[f"{home}experts.{expert}.{part}"] for part in ("w1", "w3", "w2"))
        total[of] += weights[of, expert, None] * gated(config, narrow[of], *matrices)
    total = rms(total, layer[home + "routed_expert_norm"], config["rms_norm_eps"])
    shared = (layer[f"{home}shared_experts.{part}_proj"] for part in ("gate", "up", "down"))
    return layer.project(total, home + "routed_expert_up_proj") + gated(config, x, *shared)


def mixed(config, blocks: list, present, projection, norm):
    """What blocks began with and the present stream, each as it is, by the softmax of how they score when normed."""
    if not blocks:
        return present
    sources = np.stack([*blocks, present])
    shares = softmax(rms(sources, norm, config["rms_norm_eps"]) @ projection[0], 0)
    return (shares[..., None] * sources).sum(0)


def forward(config: dict, weights: dict[str, np.ndarray], ids, gaps: list[float] | None = None) -> np.ndarray:
    """Logits [tokens, vocab]. `config` is the text's; `gaps` receives how close choices of experts came to a tie."""
    gaps, eps = [] if gaps is None else gaps, config["rms_norm_eps"]
    x, blocks = weights["language_model.model.embed_tokens.weight"][ids], []
    for index in range(config["num_hidden_layers"]):
        layer = Layer(weights, index)
        seen = mixed(config, blocks, x, layer["self_attention_res_proj"], layer["self_attention_res_norm"])
        attends = index + 1 in config["linear_attn_config"]["full_attn_layers"]
        mixer = latent_attention if attends else delta_attention
        answer = mixer(config, layer, rms(seen, layer["input_layernorm"], eps))
        if index % config["attn_res_block_size"] == 0:
            blocks.append(x)
            x = answer
        else:
            x = x + answer
        seen = mixed(config, blocks, x, layer["mlp_res_proj"], layer["mlp_res_norm"])
        h = rms(seen, layer["post_attention_layernorm"], eps)
        if index < config["first_k_dense_replace"]:
            x = x + gated(config, h, *(layer[f"mlp.{part}_proj"] for part in ("gate", "up", "down")))
        else:
            x = x + experts(config, layer, h, gaps)
    model = "language_model.model."
    x = mixed(config, blocks, x, weights[model + "output_attn_res_proj.weight"], weights[model + "output_attn_res_norm.weight"])
    return rms(x, weights[model + "norm.weight"], eps) @ weights["language_model.lm_head.weight"].T
