"""What acts inside a UNet's attention or beside its model stays on the model's device (see far.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.engine.start import methods
from swarm.features.gligen import GLIGEN_FILE
from swarm.features.refiner_hypertile import REFINER_HYPERTILE_PATCH
from swarm.features.unsampler import unsampling_pass
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Patched
from tests.engine.conftest import SD, XL
from tests.engine.far import far, pass_of, walk
from tests.engine.test_features import picture_of
from tests.engine.test_gligen import REGIONS, gated, published
from tests.engine.test_joint_attention import NAMES, Held, holding
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
PICTURE = picture_of((200, 30, 30))
WISHES: Mapping[str, dict[str, Any]] = {
    "nag": {"normalizedattentionguidancescale": 5.0, "negativeprompt": "rain"},
    "reference": {"promptimages": (PICTURE,), "usereferenceonly": True},
}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return holding(tmp_path_factory)


@pytest.mark.parametrize("family", [SD, XL])
@pytest.mark.parametrize("wish", WISHES)
def test_attention(files: Mapping[str, ModelFile], family: str, wish: str) -> None:
    walk(far(files[family]), methods(), pass_of(files[family], steps=2, **WISHES[wish]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_attention_to_words_and_picture(held: Held, name: str, scale: float) -> None:
    file, parts = held(name)
    walk(far(file, parts), methods(), pass_of(file, **WISHES["nag"], cfgscale=scale))


def test_boxes(files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], tmp_path: Path) -> None:
    boxes = published(gated(tiny[SD]), tmp_path / "boxes.safetensors")
    of = pass_of(files[SD], prompt=REGIONS, files={GLIGEN_FILE: boxes}, cfgscale=4.0)
    walk(far(files[SD]), methods(), of)


def test_a_second_model(files: Mapping[str, ModelFile]) -> None:
    found = replace(far(files[SD]), second=far(files[SD]))
    walk(found, methods(), pass_of(files[SD], steps=2, cfgscale=4.0))


def test_walking_back_and_forth(files: Mapping[str, ModelFile]) -> None:
    found, known = far(files[SD]), methods()
    base = pass_of(files[SD], steps=3, initimage=PICTURE, initimagecreativity=1.0, unsamplerprompt="a dog")
    walk(found, known, replace(base, latent=walk(found, known, unsampling_pass(base)), adds_noise=False))


def test_tiles(files: Mapping[str, ModelFile]) -> None:
    found = far(files[SD])

    def nothing(*_numbers: int) -> None:
        return None

    modules = Patched(denoiser=found.components.denoiser, vae=None, text=(), tiles=nothing, untile=nothing)
    undo = REFINER_HYPERTILE_PATCH.apply(modules, 32)
    walk(found, methods(), pass_of(files[SD], steps=2))
    undo()
