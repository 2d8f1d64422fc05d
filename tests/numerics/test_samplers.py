"""Each sampler's order of accuracy, by halving the step on a problem with a known answer."""

from __future__ import annotations

from math import exp, log, log2

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Denoise, Sampler, SamplerRun
from tests.numerics.gaussian import SPREAD, drive, end_variance, falling, no_noise, path_error, variance_error

SAMPLERS = collect(samplers, Sampler)

ORDERS = {
    "euler": 1,
    "ddim": 1,
    "heun": 2,
    "heunpp2": 1,
    "dpm_2": 2,
    "dpmpp_2m": 2,
    "lms": 2,
    "ipndm": 2,
    "ipndm_v": 2,
    "res_multistep": 2,
    "uni_pc": 2,
    "uni_pc_bh2": 2,
    "gradient_estimation": 1,
}
NOISY_ORDERS = {
    "euler_ancestral": 1,
    "ddpm": 1,
    "dpm_2_ancestral": 2,
    "dpmpp_2s_ancestral": 2,
    "dpmpp_sde": 1,
    "dpmpp_sde_gpu": 1,
    "dpmpp_2m_sde": 2,
    "dpmpp_2m_sde_gpu": 2,
    "dpmpp_2m_sde_heun": 2,
    "dpmpp_2m_sde_heun_gpu": 2,
    "dpmpp_3m_sde": 2,
    "dpmpp_3m_sde_gpu": 2,
    "res_multistep_ancestral": 2,
    "seeds_2": 2,
}
RESTARTING = {"lcm"}


def test_every_sampler_has_its_order_tested() -> None:
    assert set(SAMPLERS) == {*ORDERS, *NOISY_ORDERS, *RESTARTING}


@pytest.mark.parametrize(("id", "order"), ORDERS.items())
def test_halving_the_step_shows_the_order(id: str, order: int) -> None:
    shown = log2(path_error(SAMPLERS[id], 200) / path_error(SAMPLERS[id], 400))
    assert shown > order - 0.15


@pytest.mark.parametrize(("id", "order"), NOISY_ORDERS.items())
def test_the_right_amount_of_noise_remains(id: str, order: int) -> None:
    shown = log2(variance_error(SAMPLERS[id], 400) / variance_error(SAMPLERS[id], 800))
    assert shown > order - 0.15


@pytest.mark.parametrize(("id", "decay"), [("res_multistep", 1), ("dpmpp_2m_sde_heun", 2), ("dpmpp_3m_sde", 2)])
def test_exponential_weights_are_exact_for_straight_lines(id: str, decay: int) -> None:
    """If the prediction is linear in -ln sigma, a step's integral of it has a closed form.

    `decay` 1 is the probability-flow ODE, 2 the reverse-time SDE (here with its noise left out).
    """

    def prediction(place: float) -> float:
        return 0.3 + 0.7 * place

    sigmas = [9.0, 6.0, 3.5, 2.5]
    places: list[tuple[float, float]] = []
    run = SAMPLERS[id].run(1.0, sigmas, lambda sigma, target: 0.0)
    question = next(run)
    last = 0.0
    try:
        while True:
            assert isinstance(question.x, float)
            places.append((question.sigma, question.x))
            question = run.send(prediction(-log(question.sigma)))
    except StopIteration as end:
        last = end.value
    sigma, x = places[-1]
    h = log(sigma / 2.5)
    pieces = 2000
    inside = sum(
        decay * exp(-decay * (h - h * (i + 0.5) / pieces)) * prediction(-log(sigma) + h * (i + 0.5) / pieces)
        for i in range(pieces)
    )
    assert last == pytest.approx(x * exp(-decay * h) + inside * h / pieces, rel=1e-6)


def test_lms_is_exact_for_cubic_slopes() -> None:
    sigmas = [9.0, 7.5, 5.0, 3.0, 2.0]
    run = SAMPLERS["lms"].run(1.0, sigmas, no_noise)
    question = next(run)
    try:
        while True:
            before, slope = question.x, question.sigma**3
            question = run.send(question.x - slope * question.sigma)
    except StopIteration as end:
        assert end.value == pytest.approx(before + (2.0**4 - 3.0**4) / 4)


def test_lcm_renoises_each_prediction_to_the_next_level() -> None:
    """The last noise has variance next², everything before it was denoised."""
    shrink = SPREAD**2 / (SPREAD**2 + 1.0)
    assert end_variance(SAMPLERS["lcm"], [2.0, 1.0, 0.5]) == pytest.approx(
        shrink**2 * (1.0 + (SPREAD**2 / (SPREAD**2 + 4.0)) ** 2 * (SPREAD**2 + 4.0)) + 0.25
    )


@pytest.mark.parametrize("id", SAMPLERS)
def test_the_last_step_to_zero_is_the_prediction(id: str) -> None:
    end, questions = drive(SAMPLERS[id], 2.0, [1.0, 0.0], no_noise)
    assert questions == 1
    assert end == pytest.approx(2.0 * SPREAD**2 / (SPREAD**2 + 1.0))


@pytest.mark.parametrize("id", SAMPLERS)
def test_no_steps_change_nothing(id: str) -> None:
    assert drive(SAMPLERS[id], 2.0, [1.0], no_noise) == (2.0, 0)
    assert drive(SAMPLERS[id], 2.0, [], no_noise) == (2.0, 0)


@pytest.mark.parametrize("id", SAMPLERS)
def test_steps_are_counted_in_order(id: str) -> None:
    run = SAMPLERS[id].run(1.0, [*falling(6), 0.0], lambda sigma, target: 0.0)
    steps = [question.step for question in _questions(run)]
    assert steps == sorted(steps)
    assert set(steps) == set(range(7))


def test_heun_asks_twice_except_at_the_end() -> None:
    assert drive(SAMPLERS["heun"], 1.0, [3.0, 2.0, 1.0, 0.0], no_noise)[1] == 5


def _questions(run: SamplerRun) -> list[Denoise]:
    asked = [next(run)]
    try:
        while True:
            asked.append(run.send(asked[-1].x * 0.5))
    except StopIteration:
        return asked
