"""Corners of refining and inpainting: where a value of nothing, or an area of a few pixels, decides."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from PIL import Image

from swarm.features.core import CFG_SCALE
from swarm.features.refiner import refiner_input
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
SIDE = 64


def picture(levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Picture:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def test_a_refiner_scale_of_nothing_is_a_scale() -> None:
    asked = GenerationInput({"prompt": "a", "cfgscale": 7.0, "refinercfgscale": 0.0, "steps": 4})
    assert refiner_input(asked, 4, SIDE, SIDE).get(CFG_SCALE) == 0.0


def test_a_refiner_that_takes_all_steps_starts_from_noise(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """The base walk leaves no noise where it takes no step: the refine stage is the picture of the next seed."""
    all_of_it = {"refinermethod": "StepSwapNoisy", "refinercontrolpercentage": 1.0, "steps": 4}
    refined = bench.picture(files[SD], 3, **all_of_it)
    assert (refined - bench.picture(files[SD], 4, steps=4)).abs().max() <= 1.0


def test_inpainting_encode_grays_what_is_marked_and_draws_no_more_than_that(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    """Two marked columns fall between the latent's places, so that nothing is drawn; grayed they are."""
    mask = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    mask[:, 29:31] = 255
    asked = {
        "initimage": picture(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)),
        "maskimage": picture(mask),
        "maskbehavior": "Simple Latent",
        "initimagerecompositemask": False,
        "steps": 2,
    }
    kept = [bench.picture(files[SD], seed, **asked) for seed in (3, 4)]
    assert torch.equal(kept[0], kept[1])
    made = [bench.picture(files[SD], seed, **asked, useinpaintingencode=True) for seed in (3, 4)]
    assert torch.equal(made[0], made[1])
    assert (made[0] - kept[0]).abs().max() > 1.0


def test_two_parts_without_guidance_are_both_heard(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """Two lines of one prompt are not a prompt and its negative."""
    asked = {"steps": 2, "cfgscale": 1.0, "globalregionfactor": 0.0}
    made = [
        bench.picture(files[SD], 3, **asked, prompt=f"a field <region:0,0,0.5,1> {words}")
        for words in ("a red barn", "the blue sea at night")
    ]
    assert (made[0] - made[1]).abs().max() > 0.0
