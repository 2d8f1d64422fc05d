"""Where a picture starts: noise from seeds, on the CPU; and the noise samplers add on the way (swarm-t2i 9.2).

Both are drawn as ComfyUI draws them, so that a seed with the same settings is the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torchsde import BrownianTree

from swarm.diffusion.sampler import Noise, NoiseKind
from swarm.diffusion.space import Space

Shape = tuple[int, int, int]
_TREE_DIGITS = 6
_DRAWING = {"cuda", "mps", "xpu"}
"""Devices with generators of their own."""


def seeded_noise(seed: int, shape: Shape) -> torch.Tensor:
    """Standard normal noise (1, C, h, w) in float32, the same on every machine."""
    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    return torch.randn((1, *shape), generator=generator)


def varied(noise: torch.Tensor, other: torch.Tensor, strength: float) -> torch.Tensor:
    """A turn from `noise` towards `other` (both (1, C, h, w)), 0 to 1, along the height axis of each column.

    Spherical, so that the mix is as strong as either; where both point the same way (mean dot over 0.9995) straight.
    """
    low, high = noise[0], other[0]
    dot = ((low / low.norm(dim=1, keepdim=True)) * (high / high.norm(dim=1, keepdim=True))).sum(dim=1)
    if dot.mean() > 0.9995:
        return (low * (1 - strength) + high * strength)[None]
    omega = torch.acos(dot.clamp(-1.0, 1.0))
    sine = torch.sin(omega)
    first = (torch.sin((1.0 - strength) * omega) / sine).unsqueeze(1)
    second = (torch.sin(strength * omega) / sine).unsqueeze(1)
    return (first * low + second * high)[None]


class StepNoise:
    """A fresh draw for each call, in the order of the calls, from the generator that `step_generator` says."""

    def __init__(self, seed: int, shape: Shape, device: torch.device, space: Space) -> None:
        self.space = space
        drawn_on, begun = step_generator(device, seed)
        self._generator = torch.Generator(drawn_on).manual_seed(begun % 2**63)
        self._shape = (1, *shape)
        self._device = device

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        drawn_on = self._generator.device
        return torch.randn(self._shape, generator=self._generator, device=drawn_on).to(self._device)


def step_generator(device: torch.device, seed: int) -> tuple[torch.device, int]:
    """Where the noise of steps is drawn for a model on `device`, and the generator's seed: there, with the picture's.

    The CPU's generator has drawn the start with that seed already; there it is one past it.
    """
    return (device, seed) if device.type in _DRAWING else (torch.device("cpu"), seed + 1)


class BrownianNoise:
    """Noise for the way between two sigmas, as one path of Brownian motion over the sigmas a walk visits.

    Ways that do not overlap get independent noise; ways that do overlap (as in DPM++ SDE) agree on the shared part.
    Each answer has unit variance. The path is torchsde's tree, so that it is a function of the seed alone.
    """

    def __init__(
        self, seed: int, shape: Shape, device: torch.device, space: Space, sigmas: Sequence[float], *, drawn_on: str
    ) -> None:
        self.space = space
        self._device = device
        self._zero = torch.zeros((1, *shape), device=drawn_on)
        # The tree rounds its ends to its tolerance, and warns when it is asked beyond them.
        self._low = round(self._place(min(sigma for sigma in sigmas if sigma > 0)), _TREE_DIGITS)
        self._high = round(self._place(max(sigmas)), _TREE_DIGITS)
        self._seed = seed % 2**63
        self._tree: Callable[[float, float], torch.Tensor] | None = None

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        low, high = self._place(sigma_to), self._place(sigma_from)
        inside = (min(max(place, self._low), self._high) for place in (low, high))
        # The path is followed downwards, which turns its sign.
        return (self._known_tree()(*inside) * (-1.0 / sqrt(high - low))).to(self._device)

    def _known_tree(self) -> Callable[[float, float], torch.Tensor]:
        if self._tree is None:
            self._tree = BrownianTree(self._low, self._zero, self._high, entropy=self._seed)
        return self._tree

    @staticmethod
    def _place(sigma: float) -> float:
        """In 32 bits, as everybody's trees are asked."""
        return float(torch.tensor(sigma, dtype=torch.float32))


def noise_for(
    kind: NoiseKind, seed: int, shape: Shape, device: torch.device, space: Space, sigmas: Sequence[float]
) -> Noise:
    """What a sampler is handed as noise, for latents (1, *shape) on `device`. `sigmas`: those of the walk."""
    if kind.startswith("brownian") and any(sigma > 0 for sigma in sigmas):
        drawn_on = str(device) if kind == "brownian-device" else "cpu"
        return BrownianNoise(seed, shape, device, space, sigmas, drawn_on=drawn_on)
    return StepNoise(seed, shape, device, space)
