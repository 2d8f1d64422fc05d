"""Resizes and masks by themselves: the numbers are ComfyUI's, and those of SwarmUI's own nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from swarm.engine.tiling import in_tiles
from swarm.features.colour_match import matched
from swarm.features.mask_images import at_size, blurred, bounds, dilated, grown, resized
from swarm.features.resize import bislerp, scaled
from swarm.media.stretched import stretched
from tests.parity.recorded import expected

pytestmark = pytest.mark.torch


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Values from 0 to 1 that are the same everywhere."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def latent() -> torch.Tensor:
    """Some of it parallel, opposite or nothing, which turning one vector to another must bear."""
    made = drawn(1, 4, 13, 17) * 2 - 1
    made[..., 3:6, 3:9] = made[..., 3:4, 3:4]
    made[..., 8, 8] = -made[..., 8, 7]
    made[..., 0, 0] = 0
    return made


def spots() -> torch.Tensor:
    mask = torch.zeros(1, 1, 24, 30)
    mask[..., 9:13, 7:10] = 1.0
    mask[..., 15, 19] = 0.4
    return mask


def levels(bands: int) -> Image.Image:
    return Image.fromarray(drawn(23, 31, bands, seed=bands).mul(255.99).byte().numpy())


def box(margin: int, aspect: float | None) -> torch.Tensor:
    found = bounds(spots(), margin, aspect)
    return torch.tensor([found.x, found.y, found.width, found.height])


def mean_of(piece: torch.Tensor) -> torch.Tensor:
    """Halves the sides; what lies at a border counts for what is missing behind it, so that tiles differ there."""
    return torch.nn.functional.avg_pool2d(piece, 4, 2, 1)


def corrected(behavior: str) -> torch.Tensor:
    original, mask = 0.2 + 0.5 * drawn(1, 3, 20, 20), torch.zeros(1, 1, 20, 20)
    mask[..., 12:] = 1.0
    faded = (original * 0.8 + 0.1 * drawn(1, 3, 20, 20, seed=5)).clamp(0, 1)
    made: torch.Tensor = matched(faded, original, mask, behavior)
    return made


CASES: dict[str, Callable[[], Any]] = {
    "lanczos, larger": lambda: resized(drawn(1, 3, 13, 17) * 1.1 - 0.05, 40, 25),
    "lanczos, smaller": lambda: resized(drawn(1, 3, 33, 37), 16, 11),
    "bicubic": lambda: scaled(drawn(1, 3, 13, 17), "bicubic", 40, 25),
    "area": lambda: scaled(drawn(1, 3, 33, 37), "area", 16, 11),
    "bislerp": lambda: bislerp(latent(), 53, 37),
    "bislerp, smaller": lambda: bislerp(latent(), 10, 9),
    "crop at size": lambda: at_size(drawn(1, 3, 13, 17), 24, 16),
    "stretched": lambda: torch.from_numpy(np.array(stretched(levels(3), 48, 16))),
    "stretched, with alpha": lambda: torch.from_numpy(np.array(stretched(levels(4), 20, 40))[..., :3]),
    "grown": lambda: grown(spots(), 5),
    "dilated": lambda: dilated(spots(), 5),
    "blurred": lambda: blurred(spots(), 4),
    "bounds": lambda: box(3, None),
    "bounds, wide": lambda: box(2, 2.0),
    "bounds, high": lambda: box(2, 0.5),
    "colours, evenly": lambda: corrected("Uniform"),
    "colours, by lines": lambda: corrected("Linear"),
    "tiles": lambda: in_tiles(drawn(1, 2, 50, 42), mean_of, 24, 16, 8, 0.5),
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("image_arrays")


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_comfyuis(case: str) -> None:
    found, wanted = CASES[case](), torch.from_numpy(recorded()[case])
    assert found.shape == wanted.shape
    off = (found.float() - wanted.float()).abs()
    if case.startswith("stretched"):
        # Halves may be rounded either way.
        assert off.max() <= 1
        assert off.mean() < 0.001
    else:
        assert off.max() <= 2e-6
