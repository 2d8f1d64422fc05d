"""Normalized attention guidance: the paper's numbers, alone as together, and nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.engine.image_words import cross_attention
from swarm.engine.normalized_attention import LeadingAway, normalized
from swarm.features.normalized_attention import Away
from swarm.jobs.job import ModelFile
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


def test_a_layer_asks_both_prompts(tiny: Mapping[str, Tiny]) -> None:
    layer: Any = cross_attention(tiny[SD].unet)[0]
    generator = torch.Generator().manual_seed(5)
    width = layer.to_q.in_features
    hidden, words, other = (torch.randn(1, count, width, generator=generator) for count in (4, 7, 9))
    with torch.inference_mode():
        neutral = LeadingAway([Away(tokens=other, scale=1.0, alpha=0.5, tau=1.5)])(layer, hidden, words)
        plain = layer(hidden, encoder_hidden_states=words)
        only_other = LeadingAway([Away(tokens=other, scale=0.0, alpha=1.0, tau=100.0)])(layer, hidden, words)
        of_other = layer(hidden, encoder_hidden_states=other)
    assert torch.allclose(neutral, plain, atol=1e-5)
    assert torch.allclose(only_other, of_other, atol=1e-5)


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
