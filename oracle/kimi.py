"""Makes fixtures/kimi_linear: Kimi Delta Attention beside latent attention that is not rotated.

    python kimi.py LLAMA_CPP ../fixtures

Laid out as fixtures/deepseek_v3: a folder holds one oracle, and checkpoints that must all answer with it.
"""

import os
import sys
from dataclasses import replace

import to_gguf
import wrap
from delta import fair
from grouped import settle
from make_fixtures import write_sums
from models import Tiny

MODELS = {
    # Heads of no multiple of 16, past two chunks of 64.
    "kimi_linear/plain": Tiny(dict(
        architectures=["KimiLinearForCausalLM"], model_type="kimi_linear", vocab_size=110, hidden_size=56,
        intermediate_size=72, moe_intermediate_size=24, num_hidden_layers=4, num_attention_heads=3,
        num_key_value_heads=3, num_experts=8, num_experts_per_token=3, num_shared_experts=2, kv_lora_rank=28,
        q_lora_rank=None, qk_nope_head_dim=20, qk_rope_head_dim=8, v_head_dim=24, first_k_dense_replace=1,
        moe_layer_freq=1, moe_router_activation_func="sigmoid", moe_renormalize=True, num_expert_group=1,
        topk_group=1, use_grouped_topk=True, routed_scaling_factor=2.446, mla_use_nope=True, model_max_length=512,
        rms_norm_eps=1e-5, hidden_act="silu", tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
        pad_token_id=2, num_nextn_predict_layers=0, initializer_range=0.02,
        linear_attn_config=dict(kda_layers=[1, 3, 4], full_attn_layers=[2], num_heads=3, head_dim=20,
                                short_conv_kernel_size=4)), tokens=150, hidden=[1, 2]),
}


# The same under the names that `score.py` knows.
RENAMED = {"num_experts": "n_routed_experts", "num_experts_per_token": "num_experts_per_tok",
           "moe_router_activation_func": "scoring_func", "num_expert_group": "n_group"}


def main(llama_cpp: str, out: str) -> None:
    for name, tiny in MODELS.items():
        folder = os.path.join(out, name)
        renamed = {name: tiny.config[published] for published, name in RENAMED.items()}
        weights = settle(folder, replace(tiny, config=tiny.config | renamed), fair)
        wrap.save_folder(os.path.join(folder, "hf"), tiny.config, weights)
        to_gguf.convert(llama_cpp, os.path.join(folder, "hf"), os.path.join(folder, "model.gguf"), tiny.dtype)
    write_sums(os.path.join(out, "kimi_linear"))


if __name__ == "__main__":
    main(*sys.argv[1:])
