"""Masks: what is kept is kept to the pixel, what is marked is made anew, gray joins in later."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from swarm.features.colour_match import matched, to_hsv, to_rgb
from swarm.features.mask_images import Box, blurred, bounds, dilated, eight_bits, grown, pasted, working_size
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
SIDE = 64


def picture(levels: np.ndarray[Any, Any]) -> Picture:
    file = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def scene() -> np.ndarray[Any, Any]:
    """A picture in which no two neighbours are alike."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([rows * 4, columns * 4, (rows + columns) * 2], axis=-1)


def right_half(level: int = 255) -> np.ndarray[Any, Any]:
    mask = np.zeros((SIDE, SIDE, 3))
    mask[:, SIDE // 2 :] = level
    return mask


@pytest.fixture
def asked() -> dict[str, Any]:
    return {
        "initimage": picture(scene()),
        "maskimage": picture(right_half()),
        "initimagecreativity": 1.0,
        "steps": 4,
        "cfgscale": 4.0,
    }


def test_outside_the_mask_every_pixel_stays(
    bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]
) -> None:
    made = bench.picture(files[SD], 3, **asked)
    original = torch.from_numpy(scene()).float()
    assert (made[:, : SIDE // 2] - original[:, : SIDE // 2]).abs().max() <= 1.0
    assert (made[:, SIDE // 2 :] - original[:, SIDE // 2 :]).abs().mean() > 4.0


def test_without_putting_back_the_kept_part_has_been_through_the_vae(
    bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]
) -> None:
    made = bench.picture(files[SD], 3, **asked, initimagerecompositemask=False)
    original = torch.from_numpy(scene()).float()
    round_trip = bench.picture(files[SD], 3, **asked | {"steps": 0}, initimagerecompositemask=False)
    assert (made - original)[:, : SIDE // 2].abs().max() > 1.0
    # Away from the border the VAE sees kept latents only, which are those of the round trip.
    assert (made - round_trip)[:, :8].abs().mean() < (made - round_trip)[:, -8:].abs().mean() / 3


def test_gray_joins_later_or_is_blended(bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]) -> None:
    gray = asked | {"maskimage": picture(right_half(100)), "initimagerecompositemask": False}
    differential = bench.picture(files[SD], 3, **gray)
    simple = bench.picture(files[SD], 3, **gray, maskbehavior="Simple Latent")
    white = bench.picture(files[SD], 3, **asked, initimagerecompositemask=False)
    assert (differential - simple).abs().max() > 1.0
    assert (differential - white).abs().max() > 1.0


def test_only_the_area_around_the_mask_is_worked_on_and_put_back(
    bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]
) -> None:
    mask = np.zeros((SIDE, SIDE, 3))
    mask[40:56, 40:56] = 255
    made = bench.picture(files[SD], 3, **asked | {"maskimage": picture(mask)}, maskshrinkgrow=4)
    original = torch.from_numpy(scene()).float()
    changed = (made - original).abs().amax(dim=-1) > 1.0
    assert made.shape == (SIDE, SIDE, 3)
    assert changed[40:56, 40:56].float().mean() > 0.5
    changed[40:56, 40:56] = False
    assert not changed.any()


def test_noise_on_the_init_image_stays_within_the_mask(
    bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]
) -> None:
    zero = asked | {"steps": 0, "initimagerecompositemask": False}
    plain = bench.picture(files[SD], 3, **zero)
    noised = bench.picture(files[SD], 3, **zero, initimagenoise=1.0)
    difference = (noised - plain).abs()
    assert difference[:, -8:].mean() > 3 * difference[:, :8].mean()


def test_masks_grow_blur_and_are_found() -> None:
    mask = torch.zeros(1, 1, 20, 30)
    mask[0, 0, 10, 12] = 1.0
    assert grown(mask, 0).sum() == 1
    assert grown(mask, 1).sum() == 9
    assert grown(mask, 4).sum() == 25
    soft = blurred(mask, 2)
    assert soft.sum().isclose(torch.tensor(1.0))
    assert soft[0, 0, 10, 12] == soft.max()
    assert (blurred(torch.ones(1, 1, 4, 4), 64) - 1.0).abs().max() < 1e-5
    assert bounds(mask, 3) == Box(9, 7, 7, 7)
    assert bounds(mask, 15) == Box(0, 0, 28, 20)
    assert bounds(torch.zeros(1, 1, 5, 6), 3) == Box(0, 0, 6, 5)


def test_an_area_is_worked_on_at_the_models_size_in_its_own_shape() -> None:
    assert working_size(Box(0, 0, 100, 100), 512, 512) == (512, 512)
    assert working_size(Box(0, 0, 200, 100), 1024, 1024) == (1472, 704)
    assert working_size(Box(0, 0, 1, 500), 512, 512)[0] == 64


def test_a_piece_is_pasted_by_its_mask() -> None:
    image, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 4, 4)
    mask[..., :2, :2] = 0.5
    result = pasted(image, torch.ones(1, 3, 4, 4), Box(2, 2, 4, 4), mask, soft=True)
    assert result[0, :, 2:4, 2:4].eq(0.5).all()
    assert result.sum() == 0.5 * 3 * 4
    assert pasted(image, torch.ones(1, 3, 4, 4), Box(2, 2, 4, 4), mask, soft=False).sum() == 3 * 4
    assert image.sum() == 0


def test_colours_survive_the_trip_through_hue_saturation_and_value() -> None:
    image = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    assert (to_rgb(*to_hsv(image)) - image).abs().max() < 1e-5


@pytest.mark.parametrize("behavior", ["Uniform", "Linear", "Linear2"])
def test_a_shift_of_colours_is_learnt_outside_the_mask_and_undone_inside(behavior: str) -> None:
    generator = torch.Generator().manual_seed(1)
    original = 0.3 + 0.3 * torch.rand(1, 3, 16, 16, generator=generator)
    hue, saturation, value = to_hsv(original)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    faded = to_rgb(hue, saturation, value + 0.1)
    before = (faded - original).abs().mean()
    assert (matched(faded, original, mask, behavior) - original).abs().mean() < before / 3
    assert matched(faded, original, mask, "None") is faded
    assert matched(faded, original, torch.ones_like(mask), behavior) is faded


def test_found_areas_widen_less_at_corners() -> None:
    mask = torch.zeros(1, 1, 12, 12)
    mask[0, 0, 5, 6] = 1.0
    assert torch.equal(dilated(mask, 0), mask)
    rows, columns = (dilated(mask, 3)[0, 0] > 0).nonzero().T
    assert len(rows) == 25
    assert ((rows - 5).abs() + (columns - 6).abs()).max() == 3


def test_levels_come_back_whole_and_fractions_are_cut_off() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(eight_bits(levels.float() / 255.0), levels)
    assert eight_bits(torch.tensor([-1.0, 0.5, 0.9999, 2.0])).tolist() == [0, 127, 254, 255]


def test_ddim_lays_other_noise_over_what_is_kept(
    bench: Bench, files: Mapping[str, ModelFile], asked: dict[str, Any]
) -> None:
    """Unmasked, ddim and euler are the same solver."""
    plain = {"steps": 4, "cfgscale": 4.0}
    ddim, euler = (bench.picture(files[SD], 3, **plain, sampler=sampler) for sampler in ("ddim", "euler"))
    assert torch.equal(ddim, euler)
    masked = [bench.picture(files[SD], 3, **asked, sampler=sampler) for sampler in ("ddim", "euler")]
    assert (masked[0] - masked[1])[:, SIDE // 2 :].abs().max() > 1.0
