"""TAEHV's decoder: convolutions over frames, some of which see the frame before too (github.com/madebyollin/taehv)."""

from __future__ import annotations

from math import isqrt

import torch
from torch import nn

from swarm.engine.files.checkpoint import Checkpoint

FILM_MARKER = "decoder.1.weight"
_PREFIX = "decoder."
_BLOCKS, _GROWN, _NARROWED = (3, 4, 5), 7, 8
"""Places of a level's layers, counted from the begin of the decoder for the first level."""
_LEVELS, _PER_LEVEL = 3, 6
_LAST = 22
_LEAKY_CHANNELS = 32
"""The latents of Hunyuan Video 1.5; the decoder made for them leaks."""


class FilmDecoder(nn.Module):
    """A latent frame (1, C, h, w) as the last picture (1, 3, H, W) that is made of it, about -1 to 1."""

    def __init__(self, layers: nn.Sequential, patch: int) -> None:
        super().__init__()
        self._layers = layers
        self._patch = patch

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._layers(torch.tanh(latent / 3) * 3)[-1:]
        if self._patch > 1:
            made = nn.functional.pixel_shuffle(made, self._patch)
        return made.clamp(0, 1).mul(2).sub(1)


class Following(nn.Module):
    """A residual block over frames (n, C, h, w) that sees with each the one before, the first one with nothing."""

    def __init__(self, width: int, act: nn.Module) -> None:
        super().__init__()
        first = nn.Conv2d(width * 2, width, 3, padding=1)
        self.conv = nn.Sequential(first, act, nn.Conv2d(width, width, 3, padding=1), act,
                                  nn.Conv2d(width, width, 3, padding=1))  # fmt: skip
        self.act = act

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        before = torch.cat([torch.zeros_like(frames[:1]), frames[:-1]])
        found: torch.Tensor = self.act(self.conv(torch.cat([frames, before], dim=1)) + frames)
        return found


class Growing(nn.Module):
    """Several frames of each."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)
        self._width = width

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.conv(frames)
        return made.reshape(-1, self._width, *made.shape[2:])


def film_decoder(checkpoint: Checkpoint) -> tuple[int, FilmDecoder]:
    """The channels of its latents, and the decoder. Raises RuntimeError or KeyError for a file of another shape."""
    shapes = checkpoint.below(_PREFIX)
    channels = shapes["1.weight"][1]
    act = nn.LeakyReLU(0.2) if channels == _LEAKY_CHANNELS else nn.ReLU()
    # Clamping is done by the decoder itself, so that the numbers are those of the file.
    layers = nn.Sequential(nn.Identity(), nn.Conv2d(channels, shapes["1.weight"][0], 3, padding=1), act)
    for level in range(_LEVELS):
        at = level * _PER_LEVEL
        width = shapes[f"{_BLOCKS[0] + at}.conv.4.weight"][0]
        layers.extend([Following(width, act) for _ in _BLOCKS])
        layers.append(nn.Upsample(scale_factor=2))
        layers.append(Growing(width, shapes[f"{_GROWN + at}.conv.weight"][0] // width))
        layers.append(nn.Conv2d(width, shapes[f"{_NARROWED + at}.weight"][0], 3, padding=1, bias=False))
    out, last = shapes[f"{_LAST}.weight"][:2]
    layers.extend([act, nn.Conv2d(last, out, 3, padding=1)])
    layers.load_state_dict({name: checkpoint.tensor(_PREFIX + name) for name in shapes})
    return channels, FilmDecoder(layers, isqrt(out // 3))
