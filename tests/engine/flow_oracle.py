"""What the tests of flow families share: our picture and diffusers' own from the same noise along the same sigmas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.simple import simple
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.latents import seeded_noise
from swarm.jobs.job import ModelFile
from tests.support.tiny.family import TinyFamily

PROMPT = "a red fox in the snow, photo of a (blue house:1.0)"
SIDE = 64


class GivenSigmas(FlowMatchEulerDiscreteScheduler):  # type: ignore[misc]
    """Euler along sigmas that were worked out elsewhere."""

    given: list[float]

    def set_timesteps(
        self, num_inference_steps: int = 0, device: Any = None, sigmas: Any = None, mu: Any = None
    ) -> None:
        self.sigmas = torch.tensor(self.given)
        self.timesteps = self.sigmas[:-1] * 1000
        self.num_inference_steps = len(self.timesteps)
        self._step_index = self._begin_index = None


def sigmas(table: SigmaTable, steps: int) -> list[float]:
    return simple.sigmas(steps, table, ScheduleOptions())


def model(family: TinyFamily, path: Path, stamp: str = "1") -> ModelFile:
    return ModelFile(name=path.name, path=path, family=family.id, stamp=stamp)


def companions(family: TinyFamily, folder: Path) -> dict[str, ModelFile]:
    paths = family.companions(folder)
    return {slot: ModelFile(name=path.name, path=path, family=None, stamp="1") for slot, path in paths.items()}


def given(pipe: Any, table: SigmaTable, steps: int) -> Any:
    """The pipeline, made to walk down our sigmas."""
    pipe.scheduler = GivenSigmas.from_config(pipe.scheduler.config)
    pipe.scheduler.given = sigmas(table, steps)
    return pipe


def noise(seed: int, channels: int = 16) -> torch.Tensor:
    return seeded_noise(seed, (channels, SIDE // 8, SIDE // 8))


def pixels(result: Any) -> torch.Tensor:
    """The first picture (height, width, 3), 0 to 255."""
    found: torch.Tensor = result.images[0].permute(1, 2, 0) * 255
    return found
