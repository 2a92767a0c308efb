"""Makes fixtures/deepseek_v4: attention to a window and to compressed rows, hyper-connections, experts by token.

    python compressed.py LLAMA_CPP ../fixtures

Laid out as fixtures/deepseek_v3. Tensors have the names that DeepSeek publishes, which are not those that transformers
saves. Prompts go past the window many times, past two of the longer stretches that are compressed, and past what the
indexer may choose.
"""

import os
import re
import sys

import torch
from transformers import AutoModelForCausalLM
from transformers.models.deepseek_v4.modeling_deepseek_v4 import DeepseekV4TopKRouter

import to_gguf
import wrap
from make_fixtures import DIFFERENT, GREEDY_MARGIN, prompt, save_oracle, write_sums
from models import Tiny, old_yarn, transformers_config
from quantise import E2M1
from score import greedy, load
from sparse import INDEX_MARGIN, WatchedChoices

ROUTING_MARGIN = 1e-5

COMMON = dict(
    architectures=["DeepseekV4ForCausalLM"], model_type="deepseek_v4", hidden_act="silu", attention_bias=False,
    scoring_func="sqrtsoftplus", topk_method="noaux_tc", norm_topk_prob=True, tie_word_embeddings=False,
    bos_token_id=0, eos_token_id=1, initializer_range=0.02, torch_dtype="bfloat16", num_key_value_heads=1,
    n_shared_experts=1, rms_norm_eps=1e-6, hc_eps=1e-6, max_position_embeddings=2048, rope_theta=10000.0,
    compress_rope_theta=40000.0, expert_dtype="fp4")

YARN = {key: value for key, value in old_yarn(factor=16.0).items() if not key.startswith("mscale")}

FP8_CONFIG = dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", scale_fmt="ue8m0",
                  weight_block_size=[128, 128])

MODELS = {
    # Every kind of layer; three streams and not four; heads that share an answer's group by threes.
    "deepseek_v4/plain": Tiny(COMMON | dict(
        vocab_size=60, hidden_size=32, moe_intermediate_size=32, num_hidden_layers=4, num_nextn_predict_layers=1,
        num_attention_heads=6, head_dim=20, qk_rope_head_dim=8, q_lora_rank=20, o_groups=2, o_lora_rank=14,
        n_routed_experts=7, num_experts_per_tok=3, routed_scaling_factor=1.5, swiglu_limit=2.5, num_hash_layers=2,
        sliding_window=13, compress_ratios=[0, 4, 128, 4, 0], index_n_heads=12, index_head_dim=12, index_topk=11,
        hc_mult=3, hc_sinkhorn_iters=20, rope_scaling=YARN), tokens=270),
    # As DeepSeek publishes them: FP8 beside FP4, its squares past one and ragged.
    "deepseek_v4/native": Tiny(COMMON | dict(
        vocab_size=40, hidden_size=32, moe_intermediate_size=32, num_hidden_layers=2, num_nextn_predict_layers=0,
        num_attention_heads=4, head_dim=36, qk_rope_head_dim=4, q_lora_rank=12, o_groups=2, o_lora_rank=72,
        n_routed_experts=6, num_experts_per_tok=2, routed_scaling_factor=2.5, swiglu_limit=4.0, num_hash_layers=1,
        sliding_window=20, compress_ratios=[128, 4], index_n_heads=12, index_head_dim=16, index_topk=9,
        hc_mult=4, hc_sinkhorn_iters=20, rope_scaling=YARN), tokens=150, scheme="fp8"),
}

# What releases keep in FP8.
FP8_NAMES = r"attn\.(wq_a|wq_b|wkv|wo_a|wo_b|indexer\.wq_b)\.weight$|shared_experts\.w[123]\.weight$"
# What they keep in F32 whatever the rest is in.
F32_NAMES = r"hc_|attn_sink|\.ape$|gate\.bias$"


def main(llama_cpp: str, out: str) -> None:
    for name, tiny in MODELS.items():
        folder = os.path.join(out, name)
        stored = settle(folder, tiny)
        config = tiny.config | ({"quantization_config": FP8_CONFIG} if tiny.scheme else {})
        wrap.save_folder(os.path.join(folder, "hf"), config, with_prediction(stored, tiny.config))
        if not tiny.scheme:
            to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), os.path.join(folder, "model.gguf"), tiny.dtype)
    write_sums(os.path.join(out, "deepseek_v4"))


def settle(folder: str, tiny: Tiny) -> dict[str, torch.Tensor]:
    """Draws weights until no choice is close, and writes their oracle. Gives them as they are stored."""
    for seed in range(tiny.seed, tiny.seed + 400):
        stored, exact = quantise(draw(tiny, seed), tiny.scheme)
        with WatchedChoices(tiny.config["index_topk"]) as gaps:
            oracle, report = score(tiny.config, exact, prompt(tiny, seed))
        report["index_margin"] = min(gaps)
        print(folder, seed, report, flush=True)
        if (report["routing_margin"] > ROUTING_MARGIN and report["greedy_margin"] > GREEDY_MARGIN
                and report["index_margin"] > INDEX_MARGIN and report["decode_error"] < 1e-5
                and len(oracle["gen_ids"].unique()) >= DIFFERENT):
            save_oracle(folder, oracle, report | {"seed": seed})
            return stored
    raise SystemExit(f"{folder}: no seed keeps its distance from ties")


def draw(tiny: Tiny, seed: int) -> dict[str, torch.Tensor]:
    """Random weights under the published names, rounded to the types they are stored in but not quantised."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(transformers_config(tiny.config), dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("inv_freq"):
            continue
        if name.endswith("tid2eid"):
            rows = torch.rand(len(tensor), tiny.config["n_routed_experts"], generator=generator).argsort(-1)
            weights |= published(name, rows[:, : tensor.shape[1]].contiguous())
            continue
        spread, mean = spread_of(name, tensor)
        values = torch.randn(tensor.shape, generator=generator) * spread + mean
        for public, part in published(name, values).items():
            weights[public] = part.to(torch.float32 if re.search(F32_NAMES, public) else tiny.dtype)
    return weights


def spread_of(name: str, tensor: torch.Tensor) -> tuple[float, float]:
    """Standard deviation and mean: activations of order one, and choices that neither collapse nor are uniform."""
    if name.endswith("scale"):
        return 0.3, 1.0
    if name.endswith(("base", "position_bias")):
        return 0.5, 0.0
    if name.endswith("e_score_correction_bias"):
        return 0.1, 0.0
    if name.endswith(("sinks", "embed_tokens.weight")):
        return 1.0, 0.0
    if "norm" in name:
        return 0.2, 1.0
    if name.endswith(("lm_head.weight", "gate.weight")):
        return 0.2, 0.0
    return (2.0 if name.endswith("gate_up_proj") else 1.0) * tensor.shape[-1] ** -0.5, 0.0


# Names of transformers, and those of DeepSeek, inside a layer.
RENAMED = [
    (r"^self_attn\.compressor\.indexer\.(kv_proj|gate_proj|kv_norm|position_bias)", r"attn.indexer.compressor.\1"),
    (r"^self_attn\.compressor\.indexer\.q_b_proj", "attn.indexer.wq_b"),
    (r"^self_attn\.compressor\.indexer\.scorer\.weights_proj", "attn.indexer.weights_proj"),
    (r"^self_attn\.", "attn."), (r"compressor\.kv_proj", "compressor.wkv"), (r"compressor\.gate_proj", "compressor.wgate"),
    (r"compressor\.kv_norm", "compressor.norm"), (r"position_bias$", "ape"), (r"\.q_a_proj", ".wq_a"),
    (r"\.q_a_norm", ".q_norm"), (r"\.q_b_proj", ".wq_b"), (r"^attn\.kv_proj", "attn.wkv"), (r"\.o_a_proj", ".wo_a"),
    (r"\.o_b_proj", ".wo_b"), (r"\.sinks$", ".attn_sink"), (r"^(attn|ffn)_hc\.", r"hc_\1_"),
    (r"^input_layernorm", "attn_norm"), (r"^post_attention_layernorm", "ffn_norm"), (r"^mlp\.", "ffn."),
    (r"e_score_correction_bias$", "bias"), (r"shared_experts\.gate_proj", "shared_experts.w1"),
    (r"shared_experts\.up_proj", "shared_experts.w3"), (r"shared_experts\.down_proj", "shared_experts.w2"),
]
WHOLE = {"model.embed_tokens.weight": "embed.weight", "model.norm.weight": "norm.weight",
         "lm_head.weight": "head.weight", "model.hc_head.hc_fn": "hc_head_fn",
         "model.hc_head.hc_base": "hc_head_base", "model.hc_head.hc_scale": "hc_head_scale"}


def published(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """A weight of transformers as DeepSeek publishes it: one tensor, or those of every expert."""
    if name in WHOLE:
        return {WHOLE[name]: tensor}
    layer, inner = re.fullmatch(r"model\.(layers\.\d+)\.(.+)", name).groups()
    if inner == "mlp.experts.gate_up_proj":
        half = tensor.shape[1] // 2
        return {f"{layer}.ffn.experts.{e}.{part}.weight": matrix for e, both in enumerate(tensor)
                for part, matrix in (("w1", both[:half]), ("w3", both[half:]))}
    if inner == "mlp.experts.down_proj":
        return {f"{layer}.ffn.experts.{e}.w2.weight": matrix for e, matrix in enumerate(tensor)}
    for pattern, replacement in RENAMED:
        inner = re.sub(pattern, replacement, inner)
    return {f"{layer}.{inner}": tensor}


def quantise(weights: dict[str, torch.Tensor], scheme: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What to store, and the values it decodes to: experts in FP4, and with the scheme the trunk in FP8."""
    stored, exact = {}, {}
    for name, tensor in weights.items():
        if ".experts." in name:
            parts, exact[name] = fp4(name, tensor)
            stored |= parts
        elif scheme and re.search(FP8_NAMES, name):
            parts, exact[name] = fp8(name, tensor)
            stored |= parts
        else:
            stored[name] = exact[name] = tensor
    return stored, exact


def fp4(name: str, matrix: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Two e2m1 a byte, the first in the lower bits, and a power of two for each 32 along a row."""
    groups = matrix.float().reshape(len(matrix), -1, 32)
    power = groups.abs().amax(-1).clamp_min(2.0**-100).log2().floor() - 2
    code = ((groups / power.exp2()[..., None]).clamp(-6, 6)[..., None] - E2M1).abs().argmin(-1)
    codes = code.reshape(matrix.shape).to(torch.uint8)
    stored = {name: (codes[:, 0::2] | (codes[:, 1::2] << 4)).contiguous().view(torch.int8),
              name.replace(".weight", ".scale"): (power + 127).to(torch.uint8).view(torch.float8_e8m0fnu)}
    return stored, (E2M1[code] * power.exp2()[..., None]).reshape(matrix.shape)


def fp8(name: str, matrix: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """E4M3 with a power of two for each 128 x 128 square; the last squares may be ragged."""
    rows, cols = matrix.shape
    down, across = -(-rows // 128), -(-cols // 128)
    padded = torch.zeros(down * 128, across * 128)
    padded[:rows, :cols] = matrix.float()
    squares = padded.reshape(down, 128, across, 128)
    power = (squares.abs().amax((1, 3)) / 448).clamp_min(2.0**-100).log2().ceil()
    value = (squares / power.exp2()[:, None, :, None]).reshape(padded.shape)[:rows, :cols].to(torch.float8_e4m3fn)
    spread = power.exp2().repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :cols]
    scale = (power + 127).to(torch.uint8).view(torch.float8_e8m0fnu)
    return {name: value, name.replace(".weight", ".scale"): scale}, value.float() * spread


def with_prediction(stored: dict[str, torch.Tensor], config: dict) -> dict[str, torch.Tensor]:
    """Adds a little of what predicts several tokens ahead, which readers leave out."""
    hidden = config["hidden_size"]
    extra = {"mtp.0.enorm.weight": torch.ones(hidden, dtype=torch.bfloat16),
             "mtp.0.e_proj.weight": torch.ones(hidden, hidden, dtype=torch.bfloat16),
             "mtp.0.hc_attn_base": torch.ones(3)}
    return stored | (extra if config["num_nextn_predict_layers"] else {})


def score(config: dict, weights: dict[str, torch.Tensor], ids) -> tuple[dict[str, torch.Tensor], dict]:
    """As `score.score`, with the gaps of these routers."""
    model = load(config, weights)
    gaps = watch(model)
    tokens = torch.from_numpy(ids)[None]
    with torch.no_grad():
        whole = model(tokens, use_cache=False)
        generated, steps = greedy(model, tokens)
        again = model(torch.cat([tokens[0], generated])[None], use_cache=False).logits[0, len(ids):]
    worst = float((again - steps).abs().max() / again.abs().max())
    top = torch.cat([whole.logits[0, -1:], steps[:-1]]).topk(2, dim=-1).values
    oracle = {"input_ids": tokens[0], "logits": whole.logits[0], "gen_ids": generated, "step_logits": steps}
    report = {"routing_margin": min(gaps + [1.0]), "greedy_margin": float((top[:, 0] - top[:, 1]).min()),
              "decode_error": worst}
    return {name: tensor.contiguous().clone() for name, tensor in oracle.items()}, report


def watch(model) -> list[float]:
    """Collects, at each router that chooses, the gap between the last expert chosen and the first one left out."""
    gaps = []

    def hook(router, _inputs, outputs):
        ranked = (router.score_fn(outputs[0]) + router.e_score_correction_bias).sort(descending=True).values
        gaps.append(float((ranked[:, router.top_k - 1] - ranked[:, router.top_k]).min()))

    for module in model.modules():
        if isinstance(module, DeepseekV4TopKRouter):
            module.register_forward_hook(hook)
    return gaps


if __name__ == "__main__":
    main(*sys.argv[1:])
