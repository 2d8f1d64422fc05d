"""CLIPSeg: where in a picture is what the words describe. Read from a file or a folder's weights, offline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.network import Network
from swarm.engine.networks.weights import filled, read_weights
from swarm.engine.words.tokenizer import clip_tokenizer
from swarm.jobs.job import ModelFile

SIDE = 352
"""The side of the square the network sees pictures as."""
_MEAN = (0.485, 0.456, 0.406)
_SPREAD = (0.229, 0.224, 0.225)
_HEAD = 64
_PATCHES = "clip.vision_model.embeddings.patch_embedding.weight"
_TOKENS = "clip.text_model.embeddings.token_embedding.weight"
_FILM = "decoder.film_mul.weight"


class Words:
    """Finds what words describe."""

    def __init__(self, net: Any, device: Device) -> None:
        self._net = net
        self._device = device
        self._tokenizer = clip_tokenizer()

    def __call__(self, image: Tensor, text: str) -> Tensor:
        """How surely each place of an image (1, 3, H, W), 0 to 1, is meant: (1, 1, SIDE, SIDE), 0 to 1, on the CPU."""
        small = _small(image)
        mean, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _SPREAD))
        seen = ((small - mean) / spread).to(self._device.place, self._device.compute)
        told = self._tokenizer(text, return_tensors="pt", truncation=True)
        told = {name: told[name].to(self._device.place) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            logits = self._net(pixel_values=seen, **told, interpolate_pos_encoding=True).logits
        return logits.float().sigmoid().cpu().reshape(1, 1, *logits.shape[-2:])


def _small(image: Tensor) -> Tensor:
    """The picture at the network's size, by its levels as bytes, as its own preparation does it."""
    levels = image[0, :3].float().mul(255.0).clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()
    small = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small, np.float32) / 255.0).permute(2, 0, 1)[None]


def load(file: ModelFile, device: Device) -> Words:
    """A CLIPSeg file; a `config.json` beside it is believed. Raises BadInput for any other file."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    weights = {name: tensor for name, tensor in read_weights(file).items() if not name.endswith("position_ids")}
    if not {_PATCHES, _TOKENS, _FILM} <= set(weights):
        raise BadInput(f"The file '{file.name}' is no CLIPSeg model.")
    config = CLIPSegConfig(**(_config_beside(file.path) or _config_of(weights)))
    config._attn_implementation = "eager"
    return Words(filled(CLIPSegForImageSegmentation(config), weights, file, device), device)


def _config_beside(path: Path) -> dict[str, Any] | None:
    beside = path.parent / "config.json"
    try:
        read = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise BadInput(f"The file '{beside.name}' beside '{path.name}' cannot be read.") from None
    return read if isinstance(read, dict) else None


def _config_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the shapes say; the layers that are looked into are always those of the published models."""
    patches, tokens = weights[_PATCHES], weights[_TOKENS]
    width, patch = patches.shape[0], patches.shape[-1]
    places = weights["clip.vision_model.embeddings.position_embedding.weight"].shape[0] - 1
    return {
        "vision_config": {
            **_tower(weights, "clip.vision_model.", width),
            "patch_size": patch,
            "image_size": round(places**0.5) * patch,
        },
        "text_config": {**_tower(weights, "clip.text_model.", tokens.shape[1]), "vocab_size": tokens.shape[0]},
        "projection_dim": weights["clip.text_projection.weight"].shape[0],
        "reduce_dim": weights[_FILM].shape[0],
        "decoder_intermediate_size": weights["decoder.layers.0.mlp.fc1.weight"].shape[0],
        "use_complex_transposed_convolution": "decoder.transposed_convolution.0.weight" in weights,
    }


def _tower(weights: Mapping[str, Tensor], prefix: str, width: int) -> dict[str, Any]:
    layers = {name[len(prefix) :].split(".")[2] for name in weights if name.startswith(prefix + "encoder.layers.")}
    return {
        "hidden_size": width,
        "intermediate_size": weights[prefix + "encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // _HEAD),
    }


WORDS = Network(id="words", load=load)
