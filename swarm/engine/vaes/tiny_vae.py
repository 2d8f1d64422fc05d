"""Tiny decoders, a megabyte or ten, that show what a latent will look like (github.com/madebyollin/taesd and taehv).

TAESD's kind is for pictures. TAEHV's is for videos: it remembers the frame before, and makes several of a latent one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch
from diffusers import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import nn

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.preview import as_jpeg
from swarm.engine.vaes.tiny_film import FILM_MARKER, film_decoder
from swarm.features.previews import reads_bare
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

_LONG_SIDE = 64
"""Latent cells of a preview's longer side at most: 512 pixels, or 1024."""
_PATCH = 2
_NUMBERED, _NAMED = ("", "1.weight"), ("decoder.layers.", "decoder.layers.0.weight")
"""The layouts of pictures' decoders: what their names begin with, and their first layer, which tells them."""
_POOL = "pool.0.weight"
_GROUPS = 4

logger = logging.getLogger(__name__)


class TinyVae:
    """Previews by a decoder file. `channels`: of the latents it sees. `reads_bare`: in the scale of the VAE itself,
    not in the models'."""

    def __init__(self, decoder: nn.Module, channels: int, device: Device, *, reads_bare: bool = False) -> None:
        self.channels = channels
        self.reads_bare = reads_bare
        self._decoder = decoder
        self._device = device

    @staticmethod
    def load(file: ModelFile, device: Device) -> TinyVae:
        """Read a published decoder. Raises BadInput."""
        checkpoint = Checkpoint(file.path)
        make = next((make for marker, make in _KINDS.items() if marker in checkpoint.shapes), None)
        if make is None:
            raise BadInput(f"The file '{file.name}' is no tiny decoder of TAESD's or TAEHV's kind.")
        try:
            channels, decoder = make(checkpoint)
        except (RuntimeError, KeyError, ValueError, IndexError):
            raise BadInput(f"The file '{file.name}' is a tiny decoder of another shape.") from None
        decoder = decoder.to(device=device.place, dtype=device.compute).eval().requires_grad_(False)
        return TinyVae(decoder, channels, device, reads_bare=reads_bare(file))

    def sees(self, latent: torch.Tensor) -> bool:
        """Whether it is made for latents of as many channels, (n, C, h, w), which may be patches of two by two."""
        return latent.shape[1] in (self.channels, self.channels * _PATCH**2)

    def rgb(self, latent: torch.Tensor) -> torch.Tensor:
        """A latent (1, C, h, w) as (H, W, 3), about -1 to 1, of at most 512 pixels a side (1024 for some)."""
        if latent.shape[1] != self.channels:
            latent = nn.functional.pixel_shuffle(latent, _PATCH)
        longest = max(latent.shape[-2:])
        if longest > _LONG_SIDE:
            latent = nn.functional.interpolate(latent, scale_factor=_LONG_SIDE / longest, mode="area")
        made: torch.Tensor = self._decoder(latent.to(self._device.compute))
        return made[0].float().permute(1, 2, 0)

    def picture(self, latent: torch.Tensor) -> Picture:
        """A latent (1, C, h, w) as a JPEG."""
        return as_jpeg(self.rgb(latent))


def readable(file: ModelFile, device: Device) -> TinyVae | None:
    """The decoder of a file; None, and a line in the log, where it is none: previews do without it."""
    try:
        return TinyVae.load(file, device)
    except BadInput as error:
        logger.warning("Previews are made without a tiny decoder. %s", error)
        return None


class _Pooled(AutoencoderTinyBlock):
    """A block of Flux.2's decoder, which also looks at the whole picture."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, "relu")
        wide = width * _GROUPS
        self.pool = nn.Sequential(
            nn.Conv2d(width, wide, 1, bias=False),
            nn.GroupNorm(_GROUPS, wide),
            nn.ReLU(),
            nn.Conv2d(wide, width, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = super().forward(x + self.pool(x))
        return found


def _picture_decoder(checkpoint: Checkpoint, prefix: str, first: str) -> tuple[int, nn.Module]:
    """One sequence of layers; where it is numbered only, the first one clamps and has no tensors."""
    shapes = checkpoint.below(prefix)
    channels, begin = checkpoint.shapes[first][1], 0 if prefix else 1
    tiny = AutoencoderTiny(latent_channels=channels)
    layers = tiny.decoder.layers
    renamed: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        number, _, rest = name.partition(".")
        index = int(number) - begin
        renamed[f"layers.{index}.{rest}"] = checkpoint.tensor(prefix + name)
        if rest == _POOL:
            layers[index] = _Pooled(shape[1])
    tiny.decoder.load_state_dict(renamed)
    return channels, tiny.decoder


_KINDS: Mapping[str, Callable[[Checkpoint], tuple[int, nn.Module]]] = {
    FILM_MARKER: film_decoder,
    _NUMBERED[1]: lambda checkpoint: _picture_decoder(checkpoint, *_NUMBERED),
    _NAMED[1]: lambda checkpoint: _picture_decoder(checkpoint, *_NAMED),
}
"""How the kinds of decoders are told, and made: their latents' channels, and (1, C, h, w) to (1, 3, H, W)."""
