"""The tiny models of grouped-query attention: each one a config.json in the published spelling, and how it is stored."""

import torch

from models import Tiny

GPT_OSS = dict(
    architectures=["GptOssForCausalLM"], model_type="gpt_oss", attention_bias=True, rms_norm_eps=1e-5, swiglu_limit=7.0,
    rope_theta=150000.0, output_router_logits=False)

COMMON = dict(hidden_act="silu", attention_dropout=0.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
              initializer_range=0.02, max_position_embeddings=512)

GLM4 = dict(
    architectures=["Glm4MoeForCausalLM"], model_type="glm4_moe", rms_norm_eps=1e-5, rope_theta=1000000.0,
    partial_rotary_factor=0.5, norm_topk_prob=True, scoring_func="sigmoid", topk_method="noaux_tc", rope_scaling=None)

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
    # Llama 3.1: bands of frequencies, over a prompt past the original context.
    "llama/plain": Tiny(COMMON | dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=120, hidden_size=64, intermediate_size=92,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, attention_bias=False,
        mlp_bias=False, rms_norm_eps=1e-5, rope_theta=500000.0, rope_scaling=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64)), tokens=150, hidden=[1]),
    # Llama 3.2: a tied head; and biases, which nothing of Meta's has.
    "llama/tied": Tiny(COMMON | dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=100, hidden_size=48, intermediate_size=80,
        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, head_dim=24, attention_bias=True,
        mlp_bias=False, rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=True),
        dtype=torch.float16, hidden=[1]),
    "qwen3/plain": Tiny(COMMON | dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", vocab_size=120, hidden_size=72, intermediate_size=100,
        num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=20, attention_bias=False,
        rms_norm_eps=1e-6, rope_theta=1000000.0, rope_scaling=None, sliding_window=None, use_sliding_window=False,
        max_window_layers=2), hidden=[1]),
    # YaRN, as people stretch it.
    "qwen3/yarn": Tiny(COMMON | dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", vocab_size=110, hidden_size=48, intermediate_size=60,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=32, attention_bias=False,
        rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=None, use_sliding_window=False, max_window_layers=2,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
        tie_word_embeddings=True), tokens=150, hidden=[1]),
    # A window that a prompt outgrows many times, sinks, biases everywhere, YaRN between dimensions.
    "gpt_oss/plain": Tiny(COMMON | GPT_OSS | dict(
        vocab_size=120, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=16, num_local_experts=6, num_experts_per_tok=2, experts_per_token=2,
        sliding_window=20, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        max_position_embeddings=2048, rope_scaling=dict(
            rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=64)), tokens=150, hidden=[1, 2], scheme="mxfp4"),
    # Half of each head is rotated, a dense layer, groups; with the layer for multi-token prediction.
    "glm4_moe/plain": Tiny(COMMON | GLM4 | dict(
        vocab_size=120, hidden_size=56, intermediate_size=92, moe_intermediate_size=28, num_hidden_layers=3,
        first_k_dense_replace=1, num_attention_heads=6, num_key_value_heads=2, head_dim=20, attention_bias=True,
        use_qk_norm=True, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, n_group=2, topk_group=1,
        routed_scaling_factor=2.5, num_nextn_predict_layers=1), tokens=150, hidden=[1]),
    # GLM-4.5-Air, which has no norms of queries and keys, in FP8.
    "glm4_moe/air": Tiny(COMMON | GLM4 | dict(
        vocab_size=110, hidden_size=72, intermediate_size=132, moe_intermediate_size=24, num_hidden_layers=2,
        first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4, head_dim=16, attention_bias=True,
        use_qk_norm=False, n_routed_experts=7, num_experts_per_tok=2, n_shared_experts=2, n_group=1, topk_group=1,
        routed_scaling_factor=1.0, num_nextn_predict_layers=0), hidden=[1], scheme="fp8"),
    # GLM-4.7-Flash: latent attention.
    "glm4_moe_lite/plain": Tiny(COMMON | GLM4 | dict(
        architectures=["Glm4MoeLiteForCausalLM"], model_type="glm4_moe_lite", partial_rotary_factor=1.0,
        vocab_size=120, hidden_size=64, intermediate_size=80, moe_intermediate_size=24, num_hidden_layers=3, first_k_dense_replace=1,
        num_attention_heads=4, num_key_value_heads=4, q_lora_rank=36, kv_lora_rank=28, qk_nope_head_dim=20,
        qk_rope_head_dim=16, v_head_dim=24, attention_bias=False, n_routed_experts=8, num_experts_per_tok=3,
        n_shared_experts=1, n_group=1, topk_group=1, routed_scaling_factor=1.8, num_nextn_predict_layers=0),
        tokens=150, hidden=[1]),
    # Norms over whole rows, half of each head rotated, scores by sigmoid; in FP8, as published.
    "minimax_m2/plain": Tiny(COMMON | dict(
        architectures=["MiniMaxM2ForCausalLM"], model_type="minimax_m2", vocab_size=120, hidden_size=72,
        intermediate_size=36, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=20,
        num_local_experts=9, num_experts_per_tok=3, rms_norm_eps=1e-6, rope_theta=5000000.0, rotary_dim=10,
        partial_rotary_factor=0.5,
        scoring_func="sigmoid", use_routing_bias=True, use_qk_norm=True, qk_norm_type="per_layer",
        shared_intermediate_size=0, sliding_window=None), tokens=150, hidden=[1], scheme="fp8"),
}
