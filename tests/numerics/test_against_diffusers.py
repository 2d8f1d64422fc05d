"""The same answers and the same sigmas through diffusers' schedulers give the same path."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt, tanh
from typing import Any

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Latent, Sampler
from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.karras import karras
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space
from tests.numerics.gaussian import BETAS as SPACE

SAMPLERS = collect(samplers, Sampler)
TABLE = SigmaTable.scaled_linear()
SIGMAS = karras.sigmas(12, TABLE, ScheduleOptions())
START = 3.0 * SIGMAS[0]

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers' use of numpy 2
]
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon"}


@dataclass(frozen=True)
class Ones:
    """Noise that is always 1."""

    space: Space = SPACE

    def __call__(self, sigma_from: float, sigma_to: float) -> Latent:
        return 1.0


def clean(x: float, sigma: float) -> float:
    """A made-up denoiser that is not linear, so that nothing cancels by accident."""
    return tanh(x / (1 + sigma**2)) + 0.1


def ours(id: str, sigmas: list[float] = SIGMAS) -> float:
    run = SAMPLERS[id].run(START, sigmas, Ones())
    question = next(run)
    try:
        while True:
            assert isinstance(question.x, float)
            question = run.send(clean(question.x, question.sigma))
    except StopIteration as end:
        return float(end.value)


def theirs(scheduler: Any, sigmas: list[float] = SIGMAS, **options: Any) -> float:
    """A variance-preserving scheduler of diffusers, made to visit our sigmas."""
    import torch

    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
    scheduler.timesteps = torch.tensor([TABLE.t_of(sigma) for sigma in sigmas[:-1]], dtype=torch.float64)
    scheduler.set_begin_index(0)
    x = torch.full((1, 1, 1, 1), START / sqrt(1 + sigmas[0] ** 2), dtype=torch.float64)
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        grown = float(x) * sqrt(1 + sigma**2)
        noise = torch.full_like(x, (grown - clean(grown, sigma)) / sigma)
        x = scheduler.step(noise, timestep, x, **options).prev_sample
    return float(x)


def test_dpmpp_2m_is_diffusers_multistep_solver() -> None:
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(**BETAS, solver_order=2, final_sigmas_type="zero")
    assert ours("dpmpp_2m") == pytest.approx(theirs(scheduler), rel=1e-6)  # it computes in 32 bits


@pytest.mark.parametrize(("id", "form"), [("dpmpp_2m_sde", "midpoint"), ("dpmpp_2m_sde_heun", "heun")])
def test_dpmpp_2m_sde_is_diffusers_multistep_solver(id: str, form: str) -> None:
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(
        **BETAS, algorithm_type="sde-dpmsolver++", solver_order=2, solver_type=form, final_sigmas_type="zero"
    )
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    assert ours(id) == pytest.approx(theirs(scheduler, variance_noise=one), rel=1e-5)


@pytest.mark.parametrize(("id", "form"), [("uni_pc", "bh1"), ("uni_pc_bh2", "bh2")])
def test_uni_pc_is_diffusers_uni_pc(id: str, form: str) -> None:
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(**BETAS, solver_order=3, solver_type=form, final_sigmas_type="zero")
    nearly = [*SIGMAS[:-1], 0.001]
    assert ours(id) == pytest.approx(theirs(scheduler, nearly), rel=1e-6)
