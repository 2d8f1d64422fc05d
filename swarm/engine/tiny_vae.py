"""TAESD: a decoder of a megabyte or two that shows what a latent will look like (github.com/madebyollin/taesd, MIT)."""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny

from swarm.base.errors import BadInput
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.device import Device
from swarm.engine.preview import as_jpeg
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

_LONG_SIDE = 64
"""Latent cells of a preview's longer side at most: 512 pixels."""


class TinyVae:
    """Previews by a decoder file."""

    def __init__(self, decoder: torch.nn.Module, device: Device) -> None:
        self._decoder = decoder
        self._device = device

    @staticmethod
    def load(file: ModelFile, device: Device) -> TinyVae:
        """Read a published decoder: one sequence of layers, of which the first only clamps. Raises BadInput."""
        checkpoint = Checkpoint(file.path)
        shapes = checkpoint.shapes
        if "1.weight" not in shapes:
            raise BadInput(f"The file '{file.name}' is no TAESD decoder.")
        tiny = AutoencoderTiny(latent_channels=shapes["1.weight"][1])
        renamed = {}
        for name in shapes:
            number, _, rest = name.partition(".")
            renamed[f"layers.{int(number) - 1}.{rest}"] = checkpoint.tensor(name)
        try:
            tiny.decoder.load_state_dict(renamed)
        except RuntimeError:
            raise BadInput(f"The file '{file.name}' is a TAESD decoder of another shape.") from None
        decoder = tiny.decoder.to(device=device.place, dtype=device.compute).eval().requires_grad_(False)
        return TinyVae(decoder, device)

    def picture(self, latent: torch.Tensor) -> Picture:
        """A latent (1, C, h, w) in the model's scale as a JPEG of at most 512 pixels a side."""
        longest = max(latent.shape[-2:])
        if longest > _LONG_SIDE:
            latent = torch.nn.functional.interpolate(latent, scale_factor=_LONG_SIDE / longest, mode="area")
        rgb = self._decoder(latent.to(self._device.compute))[0].float().permute(1, 2, 0)
        return as_jpeg(rgb)
