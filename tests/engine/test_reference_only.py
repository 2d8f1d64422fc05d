"""Reference only: what a row reads beside itself, alone as together, and nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.engine.components import Row
from swarm.engine.control.reference_rows import Looking, with_references
from swarm.features.reference_only import LookedAt
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_features import differs, picture_of
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
ONE, OTHER = picture_of((250, 20, 20), 80), picture_of((10, 240, 40), 48)


def asked(*pictures: Any, **more: Any) -> dict[str, Any]:
    return {"promptimages": tuple(pictures), "usereferenceonly": True, **more}


def test_a_row_reads_its_own_references_and_they_read_themselves(tiny: Mapping[str, Tiny]) -> None:
    unet: Any = tiny[SD].unet
    layer = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    hidden = torch.randn(6, 4, layer.to_q.in_features, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        made = Looking(layer.processor, 3)(layer, hidden)
        for row in (0, 1):
            read = torch.cat([hidden[row], hidden[row + 2], hidden[row + 4]])[None]
            expected = layer(hidden[row : row + 1], encoder_hidden_states=read)
            assert torch.allclose(made[row], expected[0], atol=1e-5)
        assert torch.allclose(made[2:], layer(hidden[2:]), atol=1e-5)


def test_references_are_noised_to_their_rows_level() -> None:
    latents, noise = torch.full((2, 4, 8, 8), 3.0), torch.full((2, 4, 8, 8), 0.5)
    told = Conditioning(tokens=torch.zeros(1, 77, 32), extra={"reference_only": LookedAt(latents=latents, noise=noise)})
    rows = [Row(x=torch.zeros(1, 4, 8, 8), timestep=5.0, sigma=sigma, conditioning=told) for sigma in (1.0, 2.0)]
    made = with_references(rows, "epsilon")
    assert [row.sigma for row in made] == [1.0, 2.0] * 3
    assert [row.timestep for row in made] == [5.0] * 6
    for row in made[2:]:
        expected = (3.0 + 0.5 * row.sigma) / (row.sigma**2 + 1.0) ** 0.5
        assert torch.allclose(row.x, torch.full_like(row.x, expected))


@pytest.mark.parametrize("family", [SD, XL])
def test_the_pictures_act_and_leave_no_trace(bench: Bench, files: Mapping[str, ModelFile], family: str) -> None:
    plain = bench.picture(files[family], 1)
    red = bench.picture(files[family], 1, **asked(ONE))
    assert differs(red, plain)
    # The tiny VAE says nearly the same of any picture.
    assert not torch.equal(red, bench.picture(files[family], 1, **asked(OTHER)))
    assert torch.equal(bench.picture(files[family], 1), plain)
    assert torch.equal(bench.picture(files[family], 1, usereferenceonly=True), plain)


def test_alone_and_together_are_the_same(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    wishes = [asked(ONE), asked(OTHER), asked(ONE, OTHER), {}, asked(ONE, perturbedattentionguidancescale=2.0)]
    alone = [bench.picture(files[SD], 1, **wish) for wish in wishes]
    ids = [bench.submit(files[SD], (1,), **wish) for wish in wishes]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
