"""OpenCLIP's image encoder in transformers' names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Named
from swarm.engine.words.encoders import renamed

_HEAD = 80
_TOP = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}


def eyes_config(shapes: Shapes) -> dict[str, Any]:
    """The config by its shapes; heads are 80 wide in ViT-H."""
    width, _colours, patch, _patch = shapes["conv1.weight"]
    return {
        "hidden_size": width,
        "intermediate_size": shapes["transformer.resblocks.0.mlp.c_fc.weight"][0],
        "num_hidden_layers": count(shapes, r"transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": max(1, width // _HEAD),
        "patch_size": patch,
        "image_size": round((shapes["positional_embedding"][0] - 1) ** 0.5) * patch,
        "projection_dim": shapes["proj"][1],
        "hidden_act": "gelu",
    }


def eyes_tensors(tensors: Named) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors below `visual.`, in the names of transformers' model with a projection."""
    layers = []
    for name, tensor in tensors:
        if name in _TOP:
            yield f"vision_model.{_TOP[name]}", tensor
        elif name == "proj":
            yield "visual_projection.weight", tensor.T.contiguous()
        else:
            layers.append((name, tensor))
    for name, tensor in renamed(layers):
        yield f"vision_model.{name}", tensor
