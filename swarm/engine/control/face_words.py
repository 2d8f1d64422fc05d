"""IP-Adapters for faces: whose face it is, as words; the larger ones also look at it through CLIP's eyes."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from swarm.base.errors import BadInput
from swarm.engine.control.image_encoders import black, load_image_encoder, prepared, seen
from swarm.engine.control.image_words import read_layers
from swarm.engine.decode import as_tensor
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.networks.faces import Faces, Identity, cut_out
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from swarm.media.stretched import opened

REMEMBERED = 64
NO_FACE = "No face was found in a prompt image. Give one in which the face is larger or clearer."
_WITH_EYES = "perceiver_resampler.proj_in.weight"
_SIDE, _SIDE_XL, _WIDTH_XL = 224, 256, 2048
"""Of faces that CLIP is shown, for Stable Diffusion 1 and XL; what tells them apart is the width of words."""


class FaceWordMaker:
    """Makes words of faces, and remembers them by picture."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor]] = OrderedDict()

    def words(
        self,
        adapter: ModelFile,
        encoder: ModelFile | None,
        nets: tuple[Faces, Identity],
        pictures: Sequence[Picture],
        shortcut: float | None,
        unet: Any,
        device: Device,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The words of the surest face of each picture, one behind the other, and those of nobody, as many: (1, n,
        width). `shortcut`: see StageTools. Raises BadInput."""
        files = [file and (file.path, file.stamp) for file in (adapter, encoder)]
        key = (*files, shortcut, *(hashlib.sha256(picture.data).digest() for picture in pictures))
        if key not in self._made:
            self._made[key] = _words(adapter, encoder, nets, pictures, shortcut, unet, device)
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]


def _words(
    adapter: ModelFile,
    encoder: ModelFile | None,
    nets: tuple[Faces, Identity],
    pictures: Sequence[Picture],
    shortcut: float | None,
    unet: Any,
    device: Device,
) -> tuple[torch.Tensor, torch.Tensor]:
    read_layers(adapter, unet, device)
    state = {name: tensor.to(device.compute) for name, tensor in Checkpoint(adapter.path).tensors_below("image_proj.")}
    if "proj.2.weight" not in state or "norm.weight" not in state:
        raise BadInput(f"The file '{adapter.name}' is no IP-Adapter for faces.")
    images = [as_tensor(opened(picture, 0, 0, "RGB")) for picture in pictures]
    points = [_points(nets[0], image) for image in images]
    who = torch.cat([nets[1](image, point) for image, point in zip(images, points, strict=True)])
    who = who.to(device=device.place, dtype=device.compute)
    reader = unet._convert_ip_adapter_image_proj_to_diffusers(state).to(device=device.place, dtype=device.compute)
    sights: list[torch.Tensor | None] = [None, None]
    if _WITH_EYES in state:
        side = _SIDE_XL if unet.config.cross_attention_dim == _WIDTH_XL else _SIDE
        cut = [_as_picture(cut_out(image, point, side)) for image, point in zip(images, points, strict=True)]
        sights = list(_sights(adapter, encoder, cut, device))
        reader.shortcut, reader.shortcut_scale = shortcut is not None, shortcut
    try:
        words = [_read(reader, one, sight) for one, sight in zip((who, torch.zeros_like(who)), sights, strict=True)]
    except RuntimeError:
        raise BadInput(
            f"The IP-Adapter '{adapter.name}' was not trained with these networks: it needs w600k_r50.onnx of buffalo_l"
            + (f", and another image encoder than '{encoder.name}'." if encoder else ".")
        ) from None
    one, other = (each.reshape(1, -1, each.shape[-1]).float() for each in words)
    return one, other


def _points(faces: Faces, image: torch.Tensor) -> torch.Tensor:
    found = faces(image)
    if found is None:
        raise BadInput(NO_FACE)
    return found


def _read(reader: Any, who: torch.Tensor, sight: torch.Tensor | None) -> torch.Tensor:
    if sight is not None:
        reader.clip_embeds = sight[:, None]
    with torch.inference_mode():
        made: torch.Tensor = reader(who)
    return made


def _sights(
    adapter: ModelFile, encoder: ModelFile | None, faces: Sequence[Picture], device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """What CLIP sees in faces, and in as many black pictures."""
    if encoder is None:
        raise BadInput(f"The IP-Adapter '{adapter.name}' needs an image encoder.")
    eyes = load_image_encoder(encoder, device)
    pixels = prepared(faces, int(eyes.config.image_size))
    return seen(eyes, pixels).places, seen(eyes, black(pixels.shape[-1]).repeat(len(pixels), 1, 1, 1)).places


def _as_picture(image: torch.Tensor) -> Picture:
    levels = (image[0].permute(1, 2, 0) * 255.0).round().numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")
