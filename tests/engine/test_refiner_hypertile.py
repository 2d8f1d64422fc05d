"""HyperTile: tiles that divide a picture, attention within them, and nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.features.refiner_hypertile import REFINER_HYPERTILE_PATCH, tiles_along
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Patched
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_features import differs
from tests.engine.test_refiner import REFINE
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def test_tiles_divide_the_side_and_are_no_smaller_than_asked() -> None:
    assert [tiles_along(64, least) for least in (8, 16, 20, 32, 33, 100)] == [8, 4, 2, 2, 1, 1]
    assert [tiles_along(side, 16) for side in (15, 16, 31, 34, 48, 60)] == [1, 1, 1, 2, 3, 3]


def modules(unet: Any) -> Patched:
    def nothing(*_numbers: int) -> None:
        return None

    return Patched(denoiser=unet, vae=None, text=(), tiles=nothing, untile=nothing)


@pytest.mark.parametrize("family", [SD, XL])
def test_attention_stays_within_its_tile(tiny: Mapping[str, Tiny], family: str) -> None:
    """Tiles of one picture, cut by hand, make of each place what the patched layer does; other levels see all."""
    unet: Any = tiny[family].unet
    blocks = [attention for block in unet.down_blocks for attention in getattr(block, "attentions", ())]
    widest, narrower = blocks[0].transformer_blocks[0].attn1, blocks[-1].transformer_blocks[0].attn1
    shrink = 1 if family == SD else 2
    undo = REFINER_HYPERTILE_PATCH.apply(modules(unet), 64)
    hooks = [hook for layer in (unet, widest) for hook in (layer._forward_pre_hooks, layer._forward_hooks)]
    assert any(hooks)
    x = torch.randn(2, 16 // shrink * 32 // shrink, widest.to_q.in_features)
    small = torch.randn(2, 4 * 8, narrower.to_q.in_features)
    unet._forward_pre_hooks[next(iter(unet._forward_pre_hooks))](unet, (torch.zeros(2, 4, 16, 32),), {})
    with torch.inference_mode():
        made, seen = widest(x), narrower(small)
        undo()
        assert not any(hooks)
        side = 8 // shrink
        grid = x.reshape(2, 2, side, 4, side, -1)
        for row, column in ((0, 0), (1, 3)):
            tile = grid[:, row, :, column].reshape(2, side * side, -1)
            found = made.reshape(2, 2, side, 4, side, -1)[:, row, :, column].reshape(2, side * side, -1)
            assert torch.allclose(found, widest(tile), atol=1e-5)
        assert torch.allclose(seen, narrower(small), atol=1e-5)


def test_only_the_refine_stage_works_in_tiles(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    values: dict[str, Any] = {"width": 128, "height": 128, "steps": 2}
    plain = bench.picture(files[SD], 3, **values)
    assert torch.equal(bench.picture(files[SD], 3, **values, refinerhypertile=64), plain)
    values = values | {"refinermethod": REFINE["refinermethod"], "refinercontrolpercentage": 1.0}
    refined = bench.picture(files[SD], 3, **values)
    tiled = bench.picture(files[SD], 3, **values, refinerhypertile=64)
    assert differs(tiled, refined)
    assert torch.equal(bench.picture(files[SD], 3, **values, refinerhypertile=64), tiled)
    assert torch.equal(bench.picture(files[SD], 3, **values), refined)
