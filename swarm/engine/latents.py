"""Where a picture starts: noise from seeds, on the CPU; and the noise samplers add on the way (swarm-t2i 9.2)."""

from __future__ import annotations

from math import sqrt

import torch

Shape = tuple[int, int, int]


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
    """Noise for the way between two sigmas, as one path of Brownian motion over sigma, drawn from a seed on the CPU.

    Ways that do not overlap get independent noise; ways that do overlap (as in the SDE samplers of second order) get
    noise that agrees on the shared part. Each answer has unit variance.
    """

    def __init__(self, seed: int, shape: Shape, device: torch.device) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed % 2**63)
        self._shape = (1, *shape)
        self._device = device
        self._path: dict[float, torch.Tensor] = {}

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        start, end = self._at(sigma_from), self._at(sigma_to)
        self._forget_above(sigma_from)
        noise = (end - start) * (1.0 / sqrt(abs(sigma_from - sigma_to)))
        return noise.to(self._device)

    def _at(self, sigma: float) -> torch.Tensor:
        known = self._path.get(sigma)
        if known is None:
            known = self._path[sigma] = self._drawn(sigma)
        return known

    def _drawn(self, sigma: float) -> torch.Tensor:
        if not self._path:
            return torch.zeros(self._shape)
        fresh = torch.randn(self._shape, generator=self._generator)
        above = min((known for known in self._path if known > sigma), default=None)
        below = max((known for known in self._path if known < sigma), default=None)
        if above is None or below is None:
            edge = below if above is None else above
            assert edge is not None
            return self._path[edge] + fresh * sqrt(abs(edge - sigma))
        share = (sigma - below) / (above - below)
        spread = sqrt((sigma - below) * (above - sigma) / (above - below))
        return self._path[below] + (self._path[above] - self._path[below]) * share + fresh * spread

    def _forget_above(self, sigma: float) -> None:
        """Sigmas fall: what lies above the start of the present way will not be asked again."""
        for known in [known for known in self._path if known > sigma * 1.0001]:
            del self._path[known]
