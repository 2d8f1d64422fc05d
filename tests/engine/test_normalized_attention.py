"""Normalized attention guidance: the paper's numbers, alone as together, and nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.engine.attending.normalized_attention import LeadingAway, normalized, with_negatives
from swarm.engine.components import Row
from swarm.features.normalized_attention import Away
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_features import differs
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def numbers(*values: float) -> list[torch.Tensor]:
    return [torch.full((1, 1, 1), value) for value in values]


def test_it_is_no_stronger_than_it_may_be_and_mixed() -> None:
    toward, away = torch.tensor([[[3.0, -1.0], [1.0, 1.0]]]), torch.tensor([[[1.0, 1.0], [1.0, 1.0]]])
    made = normalized(toward, away, *numbers(5.0, 0.5, 1.5))
    # 5 * (3, -1) - 4 * (1, 1) = (11, -9) with norm 20; at most 1.5 * 4 = 6 of it, half and half with (3, -1).
    assert torch.allclose(made[0, 0], 0.5 * torch.tensor([3.3, -2.7]) + 0.5 * torch.tensor([3.0, -1.0]))
    assert torch.equal(made[0, 1], toward[0, 1])
    assert torch.allclose(normalized(toward, away, *numbers(2.0, 1.0, 100.0)), 2 * toward - away)


def test_a_layers_answers_are_led_away(tiny: Mapping[str, Tiny]) -> None:
    def row(away: Row | None, scale: float, alpha: float) -> Row:
        told = Away(told=Conditioning(tokens=None), scale=scale, alpha=alpha, tau=100.0)
        one = Conditioning(tokens=None, extra={} if away is None else {"attention_away": told})
        return Row(x=torch.zeros(1, 4, 2, 2), timestep=1.0, sigma=1.0, conditioning=one, away=away)

    names = (name.removesuffix(".processor") for name in tiny[SD].unet.attn_processors)
    layer: Any = tiny[SD].unet.get_submodule(next(name for name in names if name.endswith("attn1")))
    rows = [row(row(None, 0.0, 0.0), 1.0, 0.5), row(row(None, 0.0, 0.0), 0.0, 1.0)]
    assert len(with_negatives(rows)) == 4
    hidden = torch.randn(8, 4, layer.to_q.in_features, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        plain = layer.processor(layer, hidden)
        told = torch.tensor([(1.0, 0.5, 100.0), (0.0, 1.0, 100.0)])
        made = LeadingAway(layer.processor, told)(layer, hidden)
    wanted = plain.clone()
    wanted[1::4] = plain[3::4]
    assert torch.allclose(made, wanted, atol=1e-5)


@pytest.mark.parametrize("family", [SD, XL])
def test_the_negative_prompt_counts_without_guidance(bench: Bench, files: Mapping[str, ModelFile], family: str) -> None:
    values: dict[str, Any] = {"cfgscale": 1.0, "normalizedattentionguidancescale": 8.0}
    plain = bench.picture(files[family], 1, cfgscale=1.0, negativeprompt="rain")
    rain = bench.picture(files[family], 1, negativeprompt="rain", **values)
    assert differs(rain, plain)
    assert differs(rain, bench.picture(files[family], 1, negativeprompt="snow and ice", **values))
    assert torch.equal(bench.picture(files[family], 1, cfgscale=1.0, negativeprompt="rain"), plain)
    weak = bench.picture(files[family], 1, negativeprompt="rain", **values, normalizedattentionguidancealpha=0.0)
    assert (weak - plain).abs().max() <= 1.0


def test_alone_and_together_are_the_same(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    wishes: list[dict[str, Any]] = [
        {"negativeprompt": "rain", "normalizedattentionguidancescale": 5.0},
        {"negativeprompt": "fog", "normalizedattentionguidancescale": 9.0, "normalizedattentionguidancetau": 3.0},
        {"negativeprompt": "fog"},
        {"negativeprompt": "fog, " * 60, "normalizedattentionguidancescale": 5.0, "cfgscale": 1.0},
    ]
    alone = [bench.picture(files[SD], 1, **wish) for wish in wishes]
    ids = [bench.submit(files[SD], (1,), **wish) for wish in wishes]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
