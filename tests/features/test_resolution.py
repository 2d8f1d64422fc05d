from __future__ import annotations

import pytest

from swarm.base.json import Json
from swarm.features.resolution import HEIGHT, WIDTH, resolved_size, with_raw_resolution
from tests.params.fixed_choices import parsed


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ({}, (512, 512)),
        ({"width": 1000, "height": 600}, (1000, 600)),
        ({"aspectratio": "16:9", "sidelength": 1024}, (1344, 768)),
        ({"aspectratio": "3:4", "sidelength": 512}, (448, 576)),
        ({"aspectratio": "16:9", "width": 640}, (640, 512)),
        ({"aspectratio": "Custom", "sidelength": 1024, "width": 640}, (640, 512)),
        ({"width": 1000, "altresolutionheightmultiplier": 0.5}, (1000, 500)),
        (
            {"aspectratio": "16:9", "sidelength": 1024, "width": 1000, "altresolutionheightmultiplier": 0.5},
            (1344, 500),
        ),
        ({"altresolutionheightmultiplier": 0.5}, (512, 512)),
        ({"rawresolution": "640x480", "width": 64, "sidelength": 1024, "aspectratio": "1:1"}, (640, 480)),
    ],
)
def test_the_size_follows_the_rules(raw: dict[str, Json], size: tuple[int, int]) -> None:
    assert resolved_size(parsed(raw)) == size


def test_derived_sizes_are_multiples_of_the_precision() -> None:
    assert resolved_size(parsed({"aspectratio": "21:9", "sidelength": 1000}), precision=64) == (1472, 640)


def test_raw_resolution_becomes_width_and_height() -> None:
    input = with_raw_resolution(parsed({"rawresolution": " 640 X 480 ", "altresolutionheightmultiplier": 2}))
    assert (input.get(WIDTH), input.get(HEIGHT)) == (640, 480)
    assert "altresolutionheightmultiplier" not in input.values
