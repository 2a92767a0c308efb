"""The same weights as releases wrap them: in shards, with a layer for multi-token prediction, inside a vision model.

A reader must skip what is added, by rule, and answer as it does for the plain folder.
"""

import os

import torch
from safetensors.torch import save_file

from score import write_json

VISION = {
    "vision_tower.patch_embed.proj.weight": (24, 3, 2, 2),
    "vision_tower.encoder.blocks.0.norm0.weight": (24,),
    "vision_tower.encoder.blocks.0.wqkv.weight": (72, 24),
    "mm_projector.proj.0.weight": (48, 96),
    "mm_projector.proj.2.bias": (64,),
}


def save_folder(folder: str, config: dict, tensors: dict[str, torch.Tensor]) -> None:
    """config.json, generation_config.json and one file of tensors."""
    save_configs(folder, config)
    save_shard(os.path.join(folder, "model.safetensors"), tensors)


def save_shards(folder: str, config: dict, tensors: dict[str, torch.Tensor], count: int) -> None:
    """As `save_folder`, in `count` files with an index. Tensors go in name order, so experts straddle files."""
    save_configs(folder, config)
    total = sum(tensor.nbytes for tensor in tensors.values())
    shards, filled = [{} for _ in range(count)], 0
    for name, tensor in sorted(tensors.items()):
        shards[min(filled * count // total, count - 1)][name] = tensor
        filled += tensor.nbytes
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for file, shard in zip(names, shards):
        save_shard(os.path.join(folder, file), shard)
    weight_map = {name: file for file, shard in zip(names, shards) for name in shard}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(os.path.join(folder, "model.safetensors.index.json"), index)


def save_configs(folder: str, config: dict) -> None:
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), config)
    text = config.get("text_config", config)
    ids = {"bos_token_id": text["bos_token_id"], "eos_token_id": text["eos_token_id"]}
    write_json(os.path.join(folder, "generation_config.json"), ids)


def save_shard(path: str, tensors: dict[str, torch.Tensor]) -> None:
    contiguous = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"format": "pt"})


def with_prediction_layer(tensors: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Adds `model.layers.<layers>`: a whole decoder layer, what joins it on, and its copies of embedding and head."""
    last, extra = f"model.layers.{layers - 1}.", f"model.layers.{layers}."
    added = {extra + name.removeprefix(last): tensor for name, tensor in tensors.items() if name.startswith(last)}
    hidden = len(tensors["model.norm.weight"])
    noise = torch.Generator().manual_seed(7)
    for name, shape in {"enorm.weight": (hidden,), "hnorm.weight": (hidden,), "shared_head.norm.weight": (hidden,),
                        "eh_proj.weight": (hidden, 2 * hidden)}.items():
        added[extra + name] = torch.randn(shape, generator=noise).to(torch.bfloat16)
    added[extra + "embed_tokens.weight"] = tensors["model.embed_tokens.weight"]
    added[extra + "shared_head.head.weight"] = tensors["lm_head.weight"]
    return tensors | added


def inside_vision_model(config: dict, tensors: dict[str, torch.Tensor]) -> tuple[dict, dict[str, torch.Tensor]]:
    """Kimi K2.5: the text model is a child, and `quantization_config` is the child's."""
    outer = dict(architectures=["KimiK25ForConditionalGeneration"], model_type="kimi_k25", text_config=config,
                 vision_config=dict(model_type="kimi_k25_vision", hidden_size=24), tie_word_embeddings=False,
                 bos_token_id=config["bos_token_id"], eos_token_id=config["eos_token_id"])
    noise = torch.Generator().manual_seed(8)
    vision = {name: torch.randn(shape, generator=noise).to(torch.bfloat16) for name, shape in VISION.items()}
    return outer, {"language_model." + name: tensor for name, tensor in tensors.items()} | vision
