"""The numbers that k-diffusion 0.1.1 gives for the same denoiser, sigmas and noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import sin, tanh

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Denoise, Latent, Sampler
from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.karras import karras
from swarm.diffusion.space import Space
from tests.numerics.gaussian import BETAS

SAMPLERS = collect(samplers, Sampler)
SIGMAS = karras.sigmas(10, BETAS.table, ScheduleOptions())

PUBLISHED = {
    "euler": 0.883097769301104,
    "heun": 0.8503901199308924,
    "dpm_2": 0.8617120629210185,
    "dpmpp_2m": 0.8732011140028698,
    "euler_ancestral": 0.3196544480481501,
    "dpm_2_ancestral": 0.6828492589789907,
    "dpmpp_2s_ancestral": 0.5288074236108349,
    "dpmpp_sde": 0.45628193240315096,
    "dpmpp_3m_sde": 0.458343573341891,
    "dpmpp_2m_sde": 0.250963369809446,
    "dpmpp_2m_sde_heun": 0.20588076074418576,
    "dpm_adaptive": 0.9899500530200154,
}


@dataclass(frozen=True)
class Wave:
    """Noise that is a function of the way."""

    space: Space = BETAS

    def __call__(self, sigma_from: float, sigma_to: float) -> Latent:
        return sin(3 * sigma_from + 5 * sigma_to)


def driven(id: str, sigmas: list[float]) -> float:
    run = SAMPLERS[id].run(3.0 * sigmas[0], sigmas, Wave())
    question: Denoise = next(run)
    try:
        while True:
            assert isinstance(question.x, float)
            question = run.send(tanh(question.x / (1 + question.sigma**2)) + 0.1)
    except StopIteration as end:
        return float(end.value)


@pytest.mark.parametrize(("id", "end"), PUBLISHED.items())
def test_the_published_sampler_ends_here(id: str, end: float) -> None:
    # DPM-Solver computes its sigmas in 32 bits there.
    precision = 1e-4 if id == "dpm_adaptive" else 1e-10
    assert driven(id, SIGMAS) == pytest.approx(end, rel=precision)


@pytest.mark.parametrize(("calls", "end"), [(7, 1.0907148080814406), (8, 0.9121628384229845), (9, 1.0649820297667938)])
def test_dpm_fast_divides_its_calls_as_published(calls: int, end: float) -> None:
    ends = karras.sigmas(10, BETAS.table, ScheduleOptions())
    inside = [ends[0] * (1 - i / calls) + 1e-3 for i in range(1, calls - 1)]
    assert driven("dpm_fast", [ends[0], *inside, ends[-2], 0.0]) == pytest.approx(end, rel=1e-5)


def test_lms_ends_as_published_before_the_last_step() -> None:
    """The last step to 0 was another one there."""
    assert driven("lms", SIGMAS[:-1]) == pytest.approx(1.0402043346959087, rel=1e-10)
