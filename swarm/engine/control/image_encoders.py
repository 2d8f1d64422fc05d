"""CLIP's eyes: what an image encoder says of pictures. Loaded for the moment, for what it says is remembered."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import init_empty_weights
from PIL import Image
from torch.nn.functional import interpolate
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import count
from swarm.engine.loader import fill, refuse_gaps, settle
from swarm.engine.words.encoders import from_folder
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

Colour = tuple[float, float, float]
_MEAN, _SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HEADS = 16
"""Of CLIP L, H and bigG alike."""
_SMALL_WIDTH = 1024
"""Up to this width (CLIP L) the activation is the quick one."""


class Sight(NamedTuple):
    """What is seen in pictures. `summary`: (n, projection). `places`: the last but one layer, (n, places, width)."""

    summary: torch.Tensor
    places: torch.Tensor


def load_image_encoder(file: ModelFile, device: Device) -> Any:
    """CLIP's image encoder from a file or folder in transformers' layout. Raises BadInput."""
    if file.path.is_dir():
        model: Any = from_folder(CLIPVisionModelWithProjection, file.path, device.compute)
    else:
        checkpoint = Checkpoint(file.path)
        with init_empty_weights(include_buffers=False):
            model = CLIPVisionModelWithProjection(CLIPVisionConfig(**_config(file, checkpoint)))
        fill(model, file.name, checkpoint.tensors_below(""), device.compute)
        refuse_gaps(file.name, model)
    settle(model, device.place, device.compute)
    return model


def _config(file: ModelFile, checkpoint: Checkpoint) -> dict[str, Any]:
    shapes = checkpoint.shapes
    try:
        width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
        places = shapes["vision_model.embeddings.position_embedding.weight"][0]
        inner = shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0]
        projection = shapes["visual_projection.weight"][0]
    except (KeyError, ValueError):
        raise BadInput(f"The file '{file.name}' holds no CLIP image encoder in the transformers layout.") from None
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": count(shapes, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": _HEADS,
        "image_size": round((places - 1) ** 0.5) * patch,
        "patch_size": patch,
        "projection_dim": projection,
        "hidden_act": "quick_gelu" if width <= _SMALL_WIDTH else "gelu",
    } | checkpoint.config().get("image_encoder", {})


def seen(model: Any, pixels: torch.Tensor) -> Sight:
    """What the encoder sees in `pixels` (n, 3, side, side), normalised."""
    place = next(model.parameters())
    with torch.inference_mode():
        out = model(pixels.to(place), output_hidden_states=True)
    return Sight(out.image_embeds, out.hidden_states[-2])


def prepared(pictures: Sequence[Picture], side: int, *, mean: Colour = _MEAN, spread: Colour = _SPREAD) -> torch.Tensor:
    """Pictures as an encoder was trained on them, CLIP unless told otherwise: scaled to a square, what is left over cut
    off around the middle, less the mean, by the spread: (n, 3, side, side). Raises BadInput."""
    squares = torch.cat([_square(picture, side) for picture in pictures])
    return (squares - torch.tensor(mean)[:, None, None]) / torch.tensor(spread)[:, None, None]


def black(side: int) -> torch.Tensor:
    """A black picture as CLIP is shown it: (1, 3, side, side)."""
    dark = -torch.tensor(_MEAN) / torch.tensor(_SPREAD)
    return dark[None, :, None, None].expand(1, 3, side, side)


def _square(picture: Picture, side: int) -> torch.Tensor:
    """(1, 3, side, side) from 0 to 1, in whole levels."""
    try:
        with Image.open(io.BytesIO(picture.data)) as opened:
            levels = np.array(opened.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"A prompt image cannot be read: {error}") from None
    image = torch.from_numpy(levels / 255.0).permute(2, 0, 1)[None]
    height, width = image.shape[-2:]
    if (height, width) != (side, side):
        scale = side / min(height, width)
        size = round(scale * height), round(scale * width)
        image = interpolate(image, size=size, mode="bicubic", antialias=True)
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        image = image[..., top : top + side, left : left + side]
    return (image * 255.0).clamp(0, 255).round() / 255.0
