"""Pictures another program made with the same settings, and the tiny models both programs drew them with.

The arrays in `expected/` come from the sampling, text and model code of ComfyUI, called on files that the functions
below write. It was a copy packaged by somebody else, its files dated November 2024, changed where tiny models need
other sizes. Where later releases are known to differ, the later behaviour was recorded: the noise of ancestral
steps is drawn from a generator seeded with the seed plus one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tests.support.tiny_models as tiny_models  # noqa: E402
from tests.support.tiny_models import Tiny, tiny_sd, tiny_sdxl  # noqa: E402

EXPECTED = Path(__file__).parent / "expected"
DETERMINISTIC = 2
"""The largest difference of a channel (0 to 255) that a picture without drawn noise may have."""
SAME_DRAW = 40.0
"""The least PSNR (dB) of a picture whose sampler draws noise as it goes."""


def tiny(make: Any, seed: int = 0) -> Tiny:
    """A tiny model whose text encoders have three layers: ComfyUI reads the last but one only where one precedes it."""
    with pytest.MonkeyPatch.context() as patch:
        narrow = tiny_models._clip
        patch.setattr(tiny_models, "_clip", lambda width, _layers, *rest: narrow(width, 3, *rest))
        made: Tiny = make(seed)
    return made


def write_sd(folder: Path, seed: int = 0) -> Path:
    return tiny(tiny_sd, seed).save_single_file(folder / "sd.safetensors")


def write_xl(folder: Path, seed: int = 0) -> Path:
    return tiny(tiny_sdxl, seed).save_single_file(folder / "xl.safetensors")


def expected(group: str) -> Mapping[str, Any]:
    """Arrays (height, width, 3) of uint8 by the name of their case."""
    with np.load(EXPECTED / f"{group}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def largest_difference(found: Any, wanted: Any) -> float:
    return float(np.abs(np.asarray(found, np.float32) - np.asarray(wanted, np.float32)).max())


def psnr(found: Any, wanted: Any) -> float:
    """Peak signal-to-noise ratio in dB of two pictures from 0 to 255; infinite when they are the same."""
    mean = float(np.square(np.asarray(found, np.float32) - np.asarray(wanted, np.float32)).mean())
    return float("inf") if mean == 0 else 10 * float(np.log10(255.0**2 / mean))
