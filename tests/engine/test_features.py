"""What the features' stages do to a picture, and that they do nothing at their neutral values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from PIL import Image

from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch


def picture_of(color: tuple[int, int, int], side: int = 64) -> Picture:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def differs(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() > 1.0)


@pytest.mark.parametrize(
    ("neutral", "acting"),
    [
        ({"zeronegative": False}, {"zeronegative": True}),
        ({"conditioningmultiplier": 1.0}, {"conditioningmultiplier": 3.0}),
        ({"negativeconditioningmultiplier": 1.0}, {"negativeconditioningmultiplier": 3.0}),
        ({"rescalecfgmultiplier": 0.0}, {"rescalecfgmultiplier": 1.0}),
        ({"endstepsearly": 0.0}, {"endstepsearly": 0.5}),
        ({"variationseedstrength": 0.0}, {"variationseedstrength": 0.5}),
        ({"clipstopatlayer": -1}, {"clipstopatlayer": -2}),
    ],
)
def test_a_feature_acts_and_is_neutral_when_told_to_be(
    bench: Bench, files: Mapping[str, ModelFile], neutral: dict[str, Any], acting: dict[str, Any]
) -> None:
    extra: dict[str, Any] = {"steps": 4, "cfgscale": 8.0, "variation_seeds": (99,)}
    plain = bench.picture(files[SD], 3, **extra)
    assert not differs(plain, bench.picture(files[SD], 3, **extra, **neutral))
    assert differs(plain, bench.picture(files[SD], 3, **extra, **acting))


def test_a_negative_prompt_is_not_zeroed(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, negativeprompt="rain")
    assert not differs(plain, bench.picture(files[SD], 3, negativeprompt="rain", zeronegative=True))


def test_full_variation_is_the_other_seed(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    varied = bench.picture(files[SD], 3, variation_seeds=(99,), variationseedstrength=1.0)
    assert (varied - bench.picture(files[SD], 99)).abs().max() <= 1.0


def test_an_init_image_with_no_creativity_comes_back_untouched(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    found = bench.picture(files[SD], 1, initimage=picture_of((200, 10, 30), 32), initimagecreativity=0.0)
    assert torch.equal(found, torch.tensor([200.0, 10.0, 30.0]).expand(64, 64, 3))


def test_less_creativity_stays_closer_to_the_init_image(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    values: dict[str, Any] = {"initimage": picture_of((220, 220, 20)), "steps": 10}
    nearly = bench.picture(files[SD], 1, initimagecreativity=0.1, **values)
    freely = bench.picture(files[SD], 1, initimagecreativity=0.9, **values)
    once = bench.picture(files[SD], 2, initimagecreativity=0.1, **values)
    assert (nearly - once).abs().mean() < (nearly - freely).abs().mean()


def test_init_image_noise_and_reset_act(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    values: dict[str, Any] = {"initimage": picture_of((20, 120, 220)), "steps": 6, "initimagecreativity": 0.4}
    plain = bench.picture(files[SD], 1, **values)
    assert differs(plain, bench.picture(files[SD], 1, initimagenoise=0.8, **values))
    assert differs(plain, bench.picture(files[SD], 1, initimageresettonorm=1.0, **values))


def test_a_broken_init_image_is_the_requests_fault(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], initimage=Picture(data=b"no picture", mime="image/png"))
    bench.finish()
    assert bench.failure(id).kind == "bad_input"


def test_no_steps_still_gives_a_picture(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    assert bench.picture(files[SD], 1, steps=0).shape == (64, 64, 3)
