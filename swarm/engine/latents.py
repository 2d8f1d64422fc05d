"""Where a picture starts: noise from seeds, on the CPU (swarm-t2i 9.2).

It is drawn as SwarmUI draws it, each picture from its own seed, so that a seed with the same settings is the same
picture. What samplers add on the way: engine/step_noise.py.
"""

from __future__ import annotations

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
