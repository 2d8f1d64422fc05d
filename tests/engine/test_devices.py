"""Everything a walk touches is on the model's device and in its number format, for every family (see far.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.decode import decode, encode
from swarm.engine.residency import Residency
from swarm.engine.runner import Methods
from swarm.engine.start import families, methods
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL
from tests.engine.far import ELSEWHERE, FAR, SIDE, far, pass_of, walk
from tests.engine.flow_oracle import companions, model
from tests.support.tiny.flux import DEV

pytestmark = pytest.mark.torch
KINDS = (
    "stable_diffusion_2", "sdxl_refiner", "inpainting", "flux", "chroma", "stable_diffusion_3", "qwen_image", "z_image",
    "flux_2", "auraflow", "lumina_2", "pixart", "sana",
)  # fmt: skip


def every_family() -> Iterator[Any]:
    for kind in KINDS:
        for family in import_module(f"tests.support.tiny.{kind}").FAMILIES:
            yield pytest.param(family, id=f"{kind}-{family.id}".replace("/", "-"))


@pytest.fixture(scope="module")
def known() -> Methods:
    return methods()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("far")


def check(file: ModelFile, known: Methods, parts: Mapping[str, ModelFile]) -> None:
    found = far(file, parts)
    latent = walk(found, known, pass_of(file))
    with torch.inference_mode():
        image = decode(found.components, FAR, [latent])
        again = encode(found.components, FAR, torch.rand(1, 3, SIDE, SIDE))
    assert (image.device, image.dtype, tuple(image.shape)) == (ELSEWHERE, torch.float32, (1, 3, SIDE, SIDE))
    assert (again.device, again.dtype, again.shape) == (ELSEWHERE, torch.float32, latent.shape)


@pytest.mark.parametrize("name", [SD, XL])
def test_the_first_families(files: Mapping[str, ModelFile], known: Methods, name: str) -> None:
    check(files[name], known, {})


@pytest.mark.parametrize("family", list(every_family()))
def test_a_family(family: Any, folder: Path, known: Methods) -> None:
    layout = "single" if "single" in family.layouts else "bare"
    file = model(family, family.make(folder, layout=layout))
    check(file, known, companions(family, folder) if layout == "bare" else {})


@pytest.mark.parametrize("family", [SD, DEV.id])
def test_weights_that_rest_in_eight_bits(
    files: Mapping[str, ModelFile], folder: Path, known: Methods, family: str
) -> None:
    file = files[SD] if family == SD else model(DEV, DEV.make(folder, layout="single", name="eight"))
    found = far(file, device=replace(FAR, store=torch.float8_e4m3fn))
    kinds = {weight.dtype for weight in found.components.denoiser.parameters()}
    assert torch.float8_e4m3fn in kinds
    walk(found, known, pass_of(file))


def test_encoders_and_vae_that_come_and_go(files: Mapping[str, ModelFile], known: Methods) -> None:
    """They leave their weights at home and find them there again: nothing could come back from this device."""
    found = far(files[SD], from_=families("balanced"))
    parts = found.components
    assert parts.residency is Residency.BALANCED
    assert {weight.device for weight in parts.denoiser.parameters()} == {ELSEWHERE}
    visitors = (parts.vae.module, *parts.text_modules)
    before = [tensor.data_ptr() for module in visitors for tensor in module.state_dict().values()]
    latent = walk(found, known, pass_of(files[SD], steps=2))
    with torch.inference_mode():
        assert decode(parts, FAR, [latent]).device == ELSEWHERE
    after = [tensor for module in visitors for tensor in module.state_dict().values()]
    assert [tensor.data_ptr() for tensor in after] == before
    assert {tensor.device.type for tensor in after} == {"cpu"}
