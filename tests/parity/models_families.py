"""Tiny models of the other families, in the files that both programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxControlPipeline
from safetensors.torch import load_file

from swarm.jobs.job import ModelFile
from tests.support.tiny import auraflow, flux, inpainting, sdxl_refiner, stable_diffusion_2
from tests.support.tiny import stable_diffusion_3 as sd3
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Tensors, below, write
from tests.support.tiny_models import tiny_sdxl


@dataclass(frozen=True, kw_only=True)
class Written:
    """A model and the files that complete it, by slot."""

    file: ModelFile
    parts: Mapping[str, ModelFile] = field(default_factory=dict)


def _file(path: Path, family: str) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=family, stamp="1")


def whole(family: TinyFamily, folder: Path, name: str, more: Tensors | None = None) -> Written:
    """One file with everything. `more`: tensors beside."""
    assert family.extra is not None
    tensors = below(family.prefix, family.original()) | family.extra() | (more or {})
    config = {family.component: family.config()}
    return Written(file=_file(write(folder / f"{name}.safetensors", tensors, config, family.id), family.id))


def with_companions(family: TinyFamily, folder: Path, name: str) -> Written:
    path = family.make(folder, layout="bare", name=name)
    parts = {slot: _file(made, "") for slot, made in family.companions(folder / name).items()}
    return Written(file=_file(path, family.id), parts=parts)


@contextmanager
def wide_heads() -> Iterator[None]:
    """Stable Diffusion 3 with heads as wide as the true ones: ComfyUI knows no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sd3, "WIDTH", 128)
        patch.setattr(sd3, "HEAD", 64)
        yield


def write_sd3(folder: Path, name: str, id: str, *, normed: bool, dual: bool) -> Written:
    with wide_heads():
        family = sd3._family(id, normed=normed, dual=dual)
        return with_companions(family, folder, name)


def _led_by_edges() -> TinyFamily:
    return flux._family("Flux.1-dev/canny", FluxControlPipeline, inputs=128)


def scene(width: int, height: int) -> Any:
    """Pixels (height, width, 3) of uint8 in which no two neighbours are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 4, columns * 3, (rows + columns) * 2], axis=-1).astype(np.uint8)


def write_xl_v(folder: Path, *, zero: bool) -> Written:
    """SDXL that predicts v, as its marks say."""
    plain = load_file(tiny_sdxl(3).save_single_file(folder / "xl-plain.safetensors"))
    marks = {"v_pred": torch.zeros(1)} | ({"ztsnr": torch.zeros(1)} if zero else {})
    id = "stable-diffusion-xl-v1-base"
    return Written(file=_file(write(folder / f"xl-v{zero}.safetensors", plain | marks, None, id), id))


MAKERS: Mapping[str, Callable[[Path], Written]] = {
    "sd2 v": lambda folder: whole(stable_diffusion_2.V_MODEL, folder, "sd2"),
    "xl v": lambda folder: write_xl_v(folder, zero=False),
    "xl v zero": lambda folder: write_xl_v(folder, zero=True),
    "refiner": lambda folder: whole(sdxl_refiner.REFINER, folder, "refiner"),
    "sd inpaint": lambda folder: whole(inpainting.SD1, folder, "sd-inpaint"),
    "xl inpaint": lambda folder: whole(inpainting.SDXL, folder, "xl-inpaint"),
    "sd3": lambda folder: write_sd3(folder, "sd3", "stable-diffusion-v3-medium", normed=False, dual=False),
    "sd3.5 large": lambda folder: write_sd3(folder, "sd35l", "stable-diffusion-v3.5-large", normed=True, dual=False),
    "sd3.5 medium": lambda folder: write_sd3(folder, "sd35m", "stable-diffusion-v3.5-medium", normed=True, dual=True),
    "flux dev": lambda folder: with_companions(flux.DEV, folder, "dev"),
    "flux schnell": lambda folder: with_companions(flux.SCHNELL, folder, "schnell"),
    "flux fill": lambda folder: with_companions(flux.FILL, folder, "fill"),
    "flux canny": lambda folder: with_companions(_led_by_edges(), folder, "canny"),
    "auraflow": lambda folder: with_companions(auraflow.AURAFLOW, folder, "aura"),
}
"""Writers of models by the names that cases call them."""
