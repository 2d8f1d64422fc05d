"""Flux Redux: pictures as further tokens of the prompt, made of what SigLIP sees in them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from transformers import SiglipVisionConfig, SiglipVisionModel

from swarm.base.errors import BadInput
from swarm.engine.control.image_encoders import prepared
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import count
from swarm.engine.loader import built, fill, refuse_gaps, settle
from swarm.engine.words.encoders import from_folder
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

REMEMBERED = 64
_HEAD = 72
"""Channels of an attention head of SigLIP so400m."""
_EVEN = (0.5, 0.5, 0.5)
_PREFIXES = ("vision_model.", "")
_MARKER = "embeddings.patch_embedding.weight"


class StyleReader:
    """Makes prompt tokens of pictures, and remembers them by picture."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[Any, ...], torch.Tensor] = OrderedDict()

    def tokens(
        self, style: ModelFile, encoder: ModelFile, pictures: Sequence[Picture], width: int, device: Device
    ) -> torch.Tensor:
        """The tokens of pictures, one behind the other: (1, n, width). Raises BadInput."""
        digests = tuple(hashlib.sha256(picture.data).digest() for picture in pictures)
        key = (style.path, style.stamp, encoder.path, encoder.stamp, digests)
        if key not in self._made:
            self._made[key] = _tokens(style, encoder, pictures, width, device)
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]


def _tokens(
    style: ModelFile, encoder: ModelFile, pictures: Sequence[Picture], width: int, device: Device
) -> torch.Tensor:
    reader = _redux(style, width, device)
    eyes = siglip(encoder, device.compute)
    settle(eyes, device.place, device.compute)
    pixels = prepared(pictures, int(eyes.config.image_size), mean=_EVEN, spread=_EVEN)
    if int(eyes.config.hidden_size) != int(reader.config.redux_dim):
        raise BadInput(
            f"The image encoder '{encoder.name}' is not the one that the style model '{style.name}' was trained with."
        )
    with torch.inference_mode():
        seen = eyes(pixels.to(next(eyes.parameters()))).last_hidden_state
        words: torch.Tensor = reader(seen).image_embeds.float()
    return words.reshape(1, -1, width)


def _redux(style: ModelFile, width: int, device: Device) -> Any:
    checkpoint = Checkpoint(style.path)
    shapes = checkpoint.shapes
    if "redux_up.weight" not in shapes or "redux_down.weight" not in shapes:
        raise BadInput(f"The file '{style.name}' holds no style model (Flux Redux).")
    if shapes["redux_down.weight"][0] != width:
        raise BadInput(f"The style model '{style.name}' is for another kind of model. It works with Flux.1 only.")
    reader = built(ReduxImageEncoder, {"redux_dim": shapes["redux_up.weight"][1], "txt_in_features": width})
    fill(reader, style.name, checkpoint.tensors_below(""), device.compute)
    refuse_gaps(style.name, reader)
    settle(reader, device.place, device.compute)
    return reader


def siglip(file: ModelFile, dtype: torch.dtype) -> Any:
    """SigLIP's image encoder from a file or folder, in main memory. Raises BadInput."""
    if file.path.is_dir():
        model: Any = from_folder(SiglipVisionModel, file.path, dtype)
    else:
        checkpoint = Checkpoint(file.path)
        prefix = checkpoint.prefix(_PREFIXES, _MARKER)
        if prefix is None:
            raise BadInput(f"The file '{file.name}' holds no SigLIP image encoder.")
        shapes = checkpoint.below(prefix)
        config = _config(shapes) | checkpoint.config().get("image_encoder", {})
        with init_empty_weights(include_buffers=False):
            model = SiglipVisionModel(SiglipVisionConfig(**config))
        fill(model, file.name, checkpoint.tensors_below(prefix), dtype)
        refuse_gaps(file.name, model)
    return model


def _config(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    width, _, patch, _ = shapes[_MARKER]
    places = shapes["embeddings.position_embedding.weight"][0]
    return {
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, width // _HEAD),
        "image_size": patch * round(places**0.5),
        "patch_size": patch,
        "vision_use_head": "head.probe" in shapes,
    }
