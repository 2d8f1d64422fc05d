"""Each sampler's order of accuracy, by halving the step where the answer is known; and what all have in common."""

from __future__ import annotations

from math import exp, isfinite, log, log2, nan, sin, sqrt

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Denoise, Guided, Latent, Sampler
from swarm.diffusion.samplers.deis import time_of
from swarm.diffusion.samplers.ipndm import uneven_factors
from swarm.diffusion.samplers.sa_solver import _Steps
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space
from tests.numerics.gaussian import (
    BETAS,
    FLOW,
    SPREAD,
    NoNoise,
    Silence,
    answered,
    drive,
    end_variance,
    falling,
    path_error,
    perfect,
    variance,
    variance_error,
)

SAMPLERS = collect(samplers, Sampler)
DIVIDED = {"dpm_fast", "dpm_adaptive"}
"""They choose the steps themselves."""
UNORDERED = {"lcm", "dpm_adaptive"}
FOR_BETAS_ONLY = {"ddpm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp"}
"""They add noise and know no other space."""

DROPDOWN = (
    "euler euler_ancestral heun heunpp2 dpm_2 dpm_2_ancestral lms dpm_fast dpm_adaptive dpmpp_2s_ancestral dpmpp_sde "
    "dpmpp_sde_gpu dpmpp_2m dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_3m_sde dpmpp_3m_sde_gpu ddim ddpm lcm uni_pc "
    "uni_pc_bh2 res_multistep res_multistep_ancestral ipndm ipndm_v deis gradient_estimation er_sde seeds_2 seeds_3 "
    "sa_solver sa_solver_pece exp_heun_2_x0 exp_heun_2_x0_sde dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu euler_cfg_pp "
    "euler_ancestral_cfg_pp dpmpp_2m_cfg_pp dpmpp_2s_ancestral_cfg_pp res_multistep_cfg_pp "
    "res_multistep_ancestral_cfg_pp gradient_estimation_cfg_pp"
)


def test_the_dropdown_stands_in_swarmuis_order() -> None:
    assert [each.id for each in sorted(SAMPLERS.values(), key=lambda each: each.order)] == DROPDOWN.split()


def test_every_order_is_stated() -> None:
    assert {id for id, each in SAMPLERS.items() if each.accuracy == 0} == UNORDERED


def test_the_second_last_sigma_is_dropped_for_these() -> None:
    dropping = {id for id, each in SAMPLERS.items() if each.discards_penultimate}
    assert dropping == {"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"}


@pytest.mark.parametrize("space", [BETAS, FLOW], ids=["betas", "flow"])
@pytest.mark.parametrize("id", sorted({*SAMPLERS} - UNORDERED))
def test_halving_the_step_shows_the_order(id: str, space: Space) -> None:
    """Random samplers by the variance of what they make, others by where they end."""
    sampler = SAMPLERS[id]
    if id in FOR_BETAS_ONLY and space is FLOW:
        assert not sampler.flow_aware
        return
    error = path_error if sampler.noise == "none" else variance_error
    # Both are multiples of three: DPM Fast counts in threes.
    shown = log2(error(sampler, 201, space) / error(sampler, 402, space))
    assert shown > sampler.accuracy - 0.3


@pytest.mark.parametrize("id", sorted(id for id, each in SAMPLERS.items() if each.climbs))
@pytest.mark.parametrize("space", [BETAS, FLOW], ids=["betas", "flow"])
def test_samplers_without_noise_go_up_as_well(id: str, space: Space) -> None:
    rising = falling(200, space)[::-1]
    end, _ = drive(SAMPLERS[id], 3.0, rising, NoNoise(space))
    wanted = 3.0 * sqrt(variance(space, rising[-1]) / variance(space, rising[0]))
    assert end == pytest.approx(wanted, rel=0.05)


def test_dpm_adaptive_keeps_its_promise_however_many_steps_are_asked_for() -> None:
    for space in (BETAS, FLOW):
        ends = [drive(SAMPLERS["dpm_adaptive"], 3.0, falling(steps, space), NoNoise(space)) for steps in (1, 7, 30)]
        assert all(end == ends[0] for end in ends)
        wanted = 3.0 * sqrt(variance(space, falling(1, space)[1]) / variance(space, falling(1, space)[0]))
        assert ends[0][0] == pytest.approx(wanted, rel=0.05)


def test_dpm_adaptive_takes_a_step_back_where_its_error_is_too_large() -> None:
    def jagged(question: Denoise) -> Latent:
        return perfect(BETAS, question.x, question.sigma) * (1.0 if question.sigma > 2 else 30.0)

    _, smooth = drive(SAMPLERS["dpm_adaptive"], 3.0, [10.0, 0.5], NoNoise())
    _, questions = answered(SAMPLERS["dpm_adaptive"], 3.0, [10.0, 0.5], NoNoise(), jagged)
    # A step that is refused keeps its first question: two calls instead of three.
    assert questions > smooth
    assert questions % 3 != 0


def test_dpm_adaptive_ends_with_any_model() -> None:
    """One that jumps with every question, and one that answers with no number."""

    def jumping(question: Denoise) -> Latent:
        return 9 * sin(1e6 * question.sigma)

    _, questions = answered(SAMPLERS["dpm_adaptive"], 3.0, [10.0, 0.2], NoNoise(), jumping)
    assert 100 < questions < 3 * 400
    _, questions = answered(SAMPLERS["dpm_adaptive"], 3.0, [10.0, 0.2], NoNoise(), lambda question: nan)
    assert questions < 10


@pytest.mark.parametrize(
    ("id", "decay"),
    [("res_multistep", 1), ("dpmpp_2m_sde_heun", 2), ("dpmpp_3m_sde", 2), ("sa_solver", 2), ("sa_solver_pece", 2)],
)
def test_exponential_weights_are_exact_for_straight_lines(id: str, decay: int) -> None:
    """If the prediction is linear in -ln sigma, a step's integral of it has a closed form.

    `decay` 1 is the probability-flow ODE, 2 the reverse-time SDE (here with its noise left out).
    """

    def prediction(place: float) -> float:
        return 0.3 + 0.7 * place

    sigmas = [9.0, 6.0, 3.5, 2.5]
    places: list[tuple[float, float]] = []
    run = SAMPLERS[id].run(1.0, sigmas, Silence())
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
    run = SAMPLERS["lms"].run(1.0, sigmas, NoNoise())
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


@pytest.mark.parametrize("space", [BETAS, FLOW], ids=["betas", "flow"])
@pytest.mark.parametrize("id", SAMPLERS)
def test_one_step_to_zero_is_the_prediction(id: str, space: Space) -> None:
    end, questions = drive(SAMPLERS[id], 2.0, [0.9, 0.0], NoNoise(space))
    assert questions == 1
    # UniPC goes to a sigma of 0.001.
    assert end == pytest.approx(perfect(space, 2.0, 0.9), abs=3e-3 if id.startswith("uni_pc") else 1e-9)


@pytest.mark.parametrize("id", SAMPLERS)
def test_no_steps_change_nothing(id: str) -> None:
    assert drive(SAMPLERS[id], 2.0, [0.9], NoNoise()) == (2.0, 0)
    assert drive(SAMPLERS[id], 2.0, [], NoNoise()) == (2.0, 0)


@pytest.mark.parametrize("space", [BETAS, FLOW], ids=["betas", "flow"])
@pytest.mark.parametrize("id", SAMPLERS)
def test_any_part_of_any_schedule_works(id: str, space: Space) -> None:
    """Few steps, from pure noise or in the middle (an init image), to 0 or not; steps are counted in order."""
    for steps in range(1, 6):
        for first in (space.table.sigma_max, 0.6):
            for last in (0.0, 0.05):
                sigmas = [*(first * (1 - i / steps) ** 1.5 + 0.02 * (i > 0) for i in range(steps)), last]
                asked: list[Denoise] = []

                def noted(question: Denoise, asked: list[Denoise] = asked) -> Latent:
                    asked.append(question)
                    return perfect(space, question.x, question.sigma)

                end, _ = answered(SAMPLERS[id], 0.7 * first, sigmas, Silence(space), noted)
                assert isinstance(end, float)
                assert abs(end) < 10 * max(1.0, first)
                numbers = [question.step for question in asked]
                assert numbers == sorted(numbers)
                assert set(numbers) == set(range(steps)) or (id in DIVIDED and set(numbers) <= set(range(steps)))
                assert all(0 < question.sigma <= first * 1.0001 for question in asked)


def test_heun_asks_twice_except_at_the_end() -> None:
    assert drive(SAMPLERS["heun"], 1.0, [3.0, 2.0, 1.0, 0.0], NoNoise())[1] == 5


def test_ddpm_is_the_posterior_of_the_diffusion() -> None:
    """Ho et al. 2020, equation 7, in their scaling of x: mean and variance of a step from 2 to 0.5."""
    high, low = (1 / (1 + sigma**2) for sigma in (2.0, 0.5))  # the products of alphas
    ratio = high / low
    mean = sqrt(low) * (1 - ratio) / (1 - high) * 0.7 + sqrt(ratio) * (1 - low) / (1 - high) * (3.0 * sqrt(high))
    end, _ = answered(SAMPLERS["ddpm"], 3.0, [2.0, 0.5], Silence(), lambda question: 0.7)
    assert end == pytest.approx(mean / sqrt(low))
    spread = end_variance(SAMPLERS["ddpm"], [2.0, 0.5]) - (
        0.25 / 4 + (1 - 0.25 / 4) * SPREAD**2 / (SPREAD**2 + 4)
    ) ** 2 * (SPREAD**2 + 4)
    assert spread == pytest.approx((1 - low) / (1 - high) * (1 - ratio) / low)


def test_deis_is_exact_for_slopes_that_bend_with_time() -> None:
    """Slopes that are a parabola in the time of its beta schedule, integrated over sigma by fine sums."""

    def slope(sigma: float) -> float:
        return 1.0 + 0.5 * time_of(sigma) - 2.0 * time_of(sigma) ** 2

    sigmas = [9.0, 7.5, 5.0, 3.0]
    steps: list[float] = []

    def bent(question: Denoise) -> Latent:
        assert isinstance(question.x, float)
        steps.append(question.x)
        return question.x - slope(question.sigma) * question.sigma

    end, _ = answered(SAMPLERS["deis"], 1.0, sigmas, NoNoise(), bent)
    fine = [slope(5.0 - 2.0 * (i + 0.5) / 4000) for i in range(4000)]
    # The published sum has a ten thousandth too little, and half of each end's share of one too much.
    assert end == pytest.approx(steps[-1] - 2.0 * sum(fine) / 4000, rel=1e-4)


def test_dpm_fast_asks_once_a_step() -> None:
    for steps in range(1, 12):
        sigmas = [*falling(steps - 1), 0.0] if steps > 1 else [1.0, 0.0]
        assert drive(SAMPLERS["dpm_fast"], 1.0, sigmas, NoNoise())[1] == steps


@pytest.mark.parametrize("id", SAMPLERS)
def test_a_range_beyond_pure_noise_does_no_harm_to_flow_models(id: str) -> None:
    """Sampler Sigma Max may be 14 with a model whose sigmas are shares of noise: a poor picture, but one."""
    end, _ = drive(SAMPLERS[id], 3.0, [14.0, 6.0, 2.0, 0.999, 0.5, 0.1, 0.0], Silence(FLOW))
    assert isinstance(end, float)
    assert isfinite(end)


@pytest.mark.parametrize("id", sorted({*SAMPLERS} - UNORDERED - FOR_BETAS_ONLY))
def test_flow_models_start_from_noise_alone(id: str) -> None:
    """At sigma 1 the signal's share is 0 and its logarithm infinite; the data's variance comes out all the same."""
    sigmas = [1 - i / 30 for i in range(31)]
    assert end_variance(SAMPLERS[id], sigmas, FLOW) == pytest.approx(SPREAD**2, rel=0.2)


@pytest.mark.parametrize(
    ("id", "plain"),
    [
        ("euler_cfg_pp", "euler"),
        ("euler_ancestral_cfg_pp", "euler_ancestral"),
        ("dpmpp_2m_cfg_pp", "dpmpp_2m"),
        ("dpmpp_2s_ancestral_cfg_pp", "dpmpp_2s_ancestral"),
        ("res_multistep_cfg_pp", "res_multistep"),
        ("res_multistep_ancestral_cfg_pp", "res_multistep_ancestral"),
        ("gradient_estimation_cfg_pp", "gradient_estimation"),
    ],
)
def test_where_both_prompts_agree_cfg_plus_plus_changes_nothing(id: str, plain: str) -> None:
    sigmas = [9.0, 6.0, 3.5, 2.5, 0.0]
    assert drive(SAMPLERS[id], 3.0, sigmas, Silence())[0] == pytest.approx(
        drive(SAMPLERS[plain], 3.0, sigmas, Silence())[0]
    )


def test_ipndm_v_weighs_slopes_as_published() -> None:
    assert uneven_factors([5.0, 4.0]) == [1.0]
    assert uneven_factors([5.0, 4.0, 3.0]) == pytest.approx([3 / 2, -1 / 2])
    assert uneven_factors([5.0, 4.0, 3.0, 2.0]) == pytest.approx([23 / 12, -16 / 12, 5 / 12])
    assert uneven_factors([9.0, 7.0, 4.0, 2.5, 1.7]) == pytest.approx(
        [1.8537321937321936, -1.1935555555555557, 0.4092592592592592, -0.023145299145299145]
    )


def test_dpmpp_2s_ancestral_cfg_pp_step_by_hand() -> None:
    """From 4 to 2: down is 1, the middle 2; x 3; predictions 1, then 2; unguided 0.5, then 0.25; no noise."""
    run = SAMPLERS["dpmpp_2s_ancestral_cfg_pp"].run(3.0, [4.0, 2.0], Silence())
    first = next(run)
    assert (first.x, first.sigma) == (3.0, 4.0)
    second = run.send(Guided(1.0, 0.5))  # type: ignore[arg-type]
    assert (second.x, second.sigma) == pytest.approx(((3.0 + 0.5) / 2, 2.0))
    with pytest.raises(StopIteration) as end:
        run.send(Guided(2.0, 0.25))  # type: ignore[arg-type]
    assert end.value.value == pytest.approx(3.0 / 4 + 0.25 * 3 / 4 + (1.0 - 0.5))


def test_sa_solvers_noise_begins_where_32_bits_say() -> None:
    """A level meant to be the limit itself lies beyond it for one shift and within for another, as for everybody."""
    for shift, noisy in ((3.0, False), (1.73, True)):
        table = SigmaTable.flow(shift)
        steps = _Steps(Space(table), [table.sigmas[799], 0.0])
        assert steps.adds_noise(table.sigmas[799]) is noisy
        assert steps.adds_noise(table.sigmas[798])
        assert steps.adds_noise(table.sigmas[199])
        assert not steps.adds_noise(table.sigmas[198])
