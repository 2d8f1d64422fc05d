"""Noise: the same everywhere, varied along the stated axis, and a path that agrees with itself."""

from __future__ import annotations

import pytest
import torch

from swarm.engine.latents import StepNoise, seeded_noise, varied

pytestmark = pytest.mark.torch
SHAPE = (4, 16, 16)


def test_a_seed_is_a_torch_cpu_seed() -> None:
    expected = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(11))
    assert torch.equal(seeded_noise(11, SHAPE), expected)
    assert not torch.equal(seeded_noise(12, SHAPE), expected)


def test_variation_turns_from_one_noise_to_the_other() -> None:
    one, other = seeded_noise(1, SHAPE), seeded_noise(2, SHAPE)
    torch.testing.assert_close(varied(one, other, 0.0), one)
    torch.testing.assert_close(varied(one, other, 1.0), other)
    assert 0.9 < float(varied(one, other, 0.5).std()) < 1.1
    torch.testing.assert_close(varied(one, one, 0.5), one)


def noise(seed: int = 3) -> StepNoise:
    return StepNoise(seed, SHAPE, torch.device("cpu"))


def test_steps_that_follow_each_other_get_fresh_normal_noise() -> None:
    path = noise()
    made = [path(start, end) for start, end in ((9.0, 4.0), (4.0, 1.5), (1.5, 0.2))]
    for each in made:
        assert float(each.mean()) == pytest.approx(0, abs=0.1)
        assert float(each.std()) == pytest.approx(1, abs=0.1)
    assert abs(float((made[0] * made[1]).mean())) < 0.1
    assert torch.equal(noise()(9.0, 4.0), made[0])


def test_ways_that_overlap_share_their_noise() -> None:
    path = noise()
    part, whole = path(9.0, 6.0), path(9.0, 1.0)
    rest = path(6.0, 1.0)
    torch.testing.assert_close(whole * 8.0**0.5, part * 3.0**0.5 + rest * 5.0**0.5)


def test_a_way_inside_a_known_one_is_bridged() -> None:
    path = noise()
    whole = path(9.0, 1.0)
    part = path(9.0, 5.0)
    assert float(part.std()) == pytest.approx(1, abs=0.1)
    assert float((part * whole).mean()) == pytest.approx(0.5**0.5, abs=0.1)
