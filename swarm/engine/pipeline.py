"""The other tier: any pipeline diffusers knows, from a folder, called whole, one picture at a time.

Progress, previews and cancelling go through the step callback; a cancelled run ends by an exception out of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from swarm.base.errors import BadInput, SwarmError
from swarm.engine.device import Device
from swarm.engine.live import LiveJob
from swarm.engine.loader import unloadable
from swarm.engine.memory import model_of
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Pixels


class Cancelled(SwarmError):
    """Nobody waits for the job any more."""


class WholePipelines:
    """Holds the one pipeline that was used last."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._held: tuple[ModelFile, Any] | None = None

    def is_ready(self, file: ModelFile) -> bool:
        return self._held is not None and self._held[0] == file

    def drop(self) -> bool:
        """Unload; True if there was something."""
        held, self._held = self._held, None
        self._device.give_back()
        return held is not None

    def ready(self, file: ModelFile) -> Any:
        """The pipeline of a folder. Raises BadInput when diffusers cannot load it from what is there."""
        if self._held is not None and self._held[0] == file:
            return self._held[1]
        self.drop()
        try:
            dtype = torch.bfloat16 if self._device.is_cuda else torch.float32
            pipe = DiffusionPipeline.from_pretrained(str(file.path), local_files_only=True, dtype=dtype)
        except (OSError, ValueError, RuntimeError, AttributeError, TypeError, ImportError, KeyError) as error:
            raise BadInput(unloadable(file.path, error)) from None
        pipe.to(self._device.place)
        pipe.set_progress_bar_config(disable=True)
        self._held = file, pipe
        return pipe

    def run(self, live: LiveJob, is_cancelled: Callable[[], bool]) -> None:
        """Make all pictures of a job. Raises Cancelled, BadInput, or what the pipeline raises."""
        pipe = self.ready(model_of(live.job))
        steps = max(1, live.job.input.get(STEPS))
        for index in range(len(live.job.seeds)):
            live.began(index, steps)
        for index, seed in enumerate(live.job.seeds):
            generator = torch.Generator("cpu").manual_seed(seed % 2**63)
            arguments = _accepted(pipe, _arguments(live.job, steps)) | {"generator": generator}
            if "callback_on_step_end" in inspect.signature(pipe.__call__).parameters:
                arguments["callback_on_step_end"] = _callback(live, index, is_cancelled)
            if is_cancelled():
                raise Cancelled
            live.image(index, _pixels(pipe(**arguments)))


def _arguments(job: Job, steps: int) -> Mapping[str, Any]:
    request = job.input
    return {
        "prompt": request.get(PROMPT),
        "negative_prompt": request.get(NEGATIVE_PROMPT),
        "num_inference_steps": steps,
        "guidance_scale": request.get(CFG_SCALE),
        "width": request.get(WIDTH),
        "height": request.get(HEIGHT),
        "output_type": "pil",
    }


def _accepted(pipe: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments this pipeline's call knows."""
    known = inspect.signature(pipe.__call__).parameters
    return {name: value for name, value in arguments.items() if name in known}


def _callback(live: LiveJob, index: int, is_cancelled: Callable[[], bool]) -> Callable[..., dict[str, Any]]:
    def after_step(pipe: Any, step: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        if is_cancelled():
            raise Cancelled
        live.stepped(index, step + 1)
        return values

    return after_step


def _pixels(output: Any) -> Pixels:
    """The first picture of a pipeline's output. Raises BadInput when it makes something else."""
    images = getattr(output, "images", None)
    first = images[0] if isinstance(images, list) and images else None
    if isinstance(first, np.ndarray):
        first = Image.fromarray(first)
    if not isinstance(first, Image.Image):
        raise BadInput("This model makes something other than pictures.")
    image = first.convert("RGB")
    return Pixels(width=image.width, height=image.height, mode="RGB", data=image.tobytes())
