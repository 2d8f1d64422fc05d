"""One picture of ours against the plain diffusers pipeline with the same noise and the same sigmas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.simple import simple
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.latents import seeded_noise
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


class GivenSigmas(EulerDiscreteScheduler):  # type: ignore[misc]
    """Euler on a list of sigmas that was worked out elsewhere."""

    given: list[float]

    def set_timesteps(self, *_: Any, **__: Any) -> None:
        table = SigmaTable.scaled_linear()
        self.sigmas = torch.tensor(self.given)
        self.timesteps = torch.tensor([table.nearest_t(sigma) for sigma in self.given[:-1]])
        self.num_inference_steps = len(self.timesteps)
        self._step_index = self._begin_index = None


def plain(tiny: Tiny, steps: int, noise: torch.Tensor, **arguments: Any) -> torch.Tensor:
    """The pipeline's picture (height, width, 3), 0 to 255."""
    pipe = tiny.pipeline()
    pipe.scheduler = GivenSigmas.from_config(pipe.scheduler.config)
    pipe.scheduler.given = simple.sigmas(steps, SigmaTable.scaled_linear(), ScheduleOptions())
    # The pipeline multiplies latents by sigma_max; we start from sqrt(1 + sigma_max²), as ComfyUI does.
    top = pipe.scheduler.given[0]
    scaled = noise * ((1 + top**2) ** 0.5 / float(pipe.scheduler.init_noise_sigma))
    result = pipe(num_inference_steps=steps, latents=scaled, output_type="pt", height=64, width=64, **arguments)
    picture: torch.Tensor = result.images[0].permute(1, 2, 0) * 255
    return picture


@pytest.mark.parametrize("family", [SD, XL])
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_a_picture_alone_is_the_pipelines_picture(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], family: str, scale: float
) -> None:
    expected = plain(
        tiny[family],
        5,
        seeded_noise(7, (4, 8, 8)),
        prompt="a red fox in the snow",
        negative_prompt="blurry",
        guidance_scale=scale,
    )
    found = bench.picture(
        files[family],
        7,
        prompt="a red fox in the snow",
        negativeprompt="blurry",
        steps=5,
        cfgscale=scale,
        scheduler="simple",
        modelspecificenhancements=False,
    )
    assert (found - expected).abs().max() <= 1.0
    assert expected.std() > 1.0
