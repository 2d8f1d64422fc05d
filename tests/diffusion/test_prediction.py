from __future__ import annotations

from math import sqrt

import pytest

from swarm.diffusion.guidance import combine, needs_negative, rescale
from swarm.diffusion.prediction import (
    KINDS,
    denoised_factors,
    input_scale,
    latent_scale,
    start_scale,
    v_factors,
)

CLEAN, NOISE = 0.8, -1.3


@pytest.mark.parametrize("sigma", [0.05, 1.0, 14.0])
def test_a_perfect_network_gives_the_clean_latent_back(sigma: float) -> None:
    root = sqrt(1 + sigma**2)
    x = CLEAN + sigma * NOISE
    outputs = {"epsilon": NOISE, "v_prediction": (NOISE - sigma * CLEAN) / root, "sample": CLEAN}
    outputs["edm"] = (CLEAN - x * 0.25 / (0.25 + sigma**2)) * sqrt(0.25 + sigma**2) / (0.5 * sigma)
    for kind, output in outputs.items():
        a, b = denoised_factors(kind, sigma)
        assert a * x + b * output == pytest.approx(CLEAN), kind


def test_a_perfect_flow_network_gives_the_clean_latent_back() -> None:
    sigma = 0.3
    a, b = denoised_factors("flow", sigma)
    assert a * ((1 - sigma) * CLEAN + sigma * NOISE) + b * (NOISE - CLEAN) == pytest.approx(CLEAN)


def test_networks_see_unit_variance() -> None:
    assert input_scale("epsilon", 3.0) == pytest.approx(1 / sqrt(10))
    assert input_scale("edm", 3.0) == pytest.approx(1 / sqrt(9.25))
    assert input_scale("flow", 0.7) == 1.0


def test_pure_noise_starts_with_the_variance_of_training() -> None:
    assert start_scale("epsilon", 14.6, 14.6) == pytest.approx(sqrt(1 + 14.6**2))
    assert start_scale("epsilon", 7.0, 14.6) == 7.0
    assert (start_scale("flow", 1.0, 1.0), latent_scale("flow", 1.0)) == (1.0, 0.0)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'lcm'"):
        denoised_factors("lcm", 1.0)
    assert len(KINDS) == 5


def test_v_space_is_left_as_it_was_entered() -> None:
    sigma, x = 2.0, 5.0
    a, b = v_factors(sigma)
    v = a * x + b * CLEAN
    back, forth = denoised_factors("v_prediction", sigma)
    assert back * x + forth * v == pytest.approx(CLEAN)


def test_guidance_goes_beyond_the_prompt() -> None:
    assert combine(2.0, 1.0, 7.0) == 8.0
    assert combine(2.0, 1.0, 1.0) == 2.0
    assert needs_negative(7.0)
    assert not needs_negative(1.0)


def test_rescaling_blends_towards_the_prompts_spread() -> None:
    assert rescale(8.0, 2.0, 0.0, abs) == 8.0
    assert rescale(8.0, 2.0, 1.0, abs) == 2.0
    assert rescale(8.0, 2.0, 0.5, abs) == 5.0
