"""The same answers and the same sigmas through diffusers' schedulers give the same path."""

from __future__ import annotations

from math import sqrt, tanh
from typing import Any

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.karras import karras
from swarm.diffusion.sigmas import SigmaTable
from tests.numerics.gaussian import no_noise

SAMPLERS = collect(samplers, Sampler)
TABLE = SigmaTable.scaled_linear()
SIGMAS = karras.sigmas(12, TABLE, ScheduleOptions())
START = 3.0 * SIGMAS[0]

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers' use of numpy 2
]
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon"}


def clean(x: float, sigma: float) -> float:
    """A made-up denoiser that is not linear, so that nothing cancels by accident."""
    return tanh(x / (1 + sigma**2)) + 0.1


def ours(id: str) -> float:
    run = SAMPLERS[id].run(START, SIGMAS, no_noise)
    question = next(run)
    try:
        while True:
            assert isinstance(question.x, float)
            question = run.send(clean(question.x, question.sigma))
    except StopIteration as end:
        return float(end.value)


def theirs(scheduler: Any) -> float:
    """A variance-preserving scheduler of diffusers, made to visit our sigmas."""
    import torch

    scheduler.set_timesteps(len(SIGMAS) - 1)
    scheduler.sigmas = torch.tensor(SIGMAS, dtype=torch.float64)
    scheduler.timesteps = torch.tensor([TABLE.t_of(sigma) for sigma in SIGMAS[:-1]], dtype=torch.float64)
    scheduler.set_begin_index(0)
    x = torch.full((1, 1, 1, 1), START / sqrt(1 + SIGMAS[0] ** 2), dtype=torch.float64)
    for sigma, timestep in zip(SIGMAS, scheduler.timesteps, strict=False):
        grown = float(x) * sqrt(1 + sigma**2)
        noise = torch.full_like(x, (grown - clean(grown, sigma)) / sigma)
        x = scheduler.step(noise, timestep, x).prev_sample
    return float(x)


def test_dpmpp_2m_is_diffusers_multistep_solver() -> None:
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(**BETAS, solver_order=2, final_sigmas_type="zero")
    assert ours("dpmpp_2m") == pytest.approx(theirs(scheduler), rel=1e-6)  # it computes in 32 bits


def test_uni_pc_bh2_is_diffusers_uni_pc() -> None:
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(**BETAS, solver_order=3, solver_type="bh2", final_sigmas_type="zero")
    assert ours("uni_pc_bh2") == pytest.approx(theirs(scheduler), rel=1e-9)
