"""Every family of the recorded release draws ComfyUI's picture.

What its prompts are encoded to was taken from here: text encoders are compared by tests of their own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from PIL import Image

import swarm.architectures
from swarm.architectures.architecture import Architecture
from swarm.base.registry import collect
from swarm.engine.preview import Colours
from swarm.media.image import Picture
from tests.engine.conftest import Bench
from tests.parity.models_families import MAKERS, Written, scene
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference

pytestmark = pytest.mark.torch

SETTINGS = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 8, "seed": 7, "width": 72}
FIRST = {"cfgscale": 5.0, "sampler": "euler", "scheduler": "normal", "height": 56}
SECOND = {"cfgscale": 1.0, "sampler": "dpmpp_2m", "scheduler": "simple", "height": 64}
CASES: dict[str, dict[str, Any]] = {
    f"{name} {number}": {"model": name, **SETTINGS, **values}
    for name in MAKERS
    for number, values in enumerate((FIRST, SECOND), 1)
}
CASES["flux canny led"] = {"model": "flux canny", **SETTINGS, **FIRST, "led": True}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("families")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Written]:
    folder = tmp_path_factory.mktemp("families")
    return {name: make(folder) for name, make in MAKERS.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_comfyuis(bench: Bench, written: Mapping[str, Written], case: str) -> None:
    values = dict(CASES[case])
    model, seed = written[values.pop("model")], values.pop("seed")
    if values.pop("led", False):
        file = io.BytesIO()
        Image.fromarray(scene(values["width"], values["height"])).save(file, "PNG")
        values["initimage"] = Picture(data=file.getvalue(), mime="image/png")
    found = bench.picture(model.file, seed, parts=dict(model.parts), modelspecificenhancements=False, **values)
    wanted = recorded()[case]
    assert wanted.std() > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC


def test_pictures_that_shall_differ_do() -> None:
    """Otherwise those of models that predict v, and of those led by a picture, would prove nothing."""
    pictures = recorded()
    assert largest_difference(pictures["xl v 1"], pictures["xl v zero 1"]) > DETERMINISTIC
    assert largest_difference(pictures["flux canny led"], pictures["flux canny 1"]) > 10
    assert largest_difference(pictures["sd3.5 large 1"], pictures["sd3.5 medium 1"]) > DETERMINISTIC


def test_previews_have_the_published_colours() -> None:
    """Sana's autoencoder has none, and is asked."""
    families = [
        each for each in collect(swarm.architectures, Architecture).values() if each.adapter not in (None, "sana")
    ]
    assert len(families) > 15
    for each in families:
        assert each.latent is not None
        rows = len(each.latent.rgb_factors)
        assert rows in (each.latent.channels, each.latent.channels // 4), each.id
        cells = torch.randn(1, each.latent.channels, 4, 6)
        colours = Colours(factors=torch.tensor(each.latent.rgb_factors), bias=torch.tensor(each.latent.rgb_bias))
        side = 1 if rows == each.latent.channels else 2
        assert Image.open(io.BytesIO(colours.picture(cells).data)).size == (6 * side * 4, 4 * side * 4)
