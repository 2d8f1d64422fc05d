"""Where a feature may act while the engine makes a picture, and how it says so.

A feature file declares parameters and, next to them, stage functions. The engine collects them, and for each picture
runs those whose parameter the request sets. Tensors are `Any` here: only the engine and the stage functions know torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from swarm.media.image import Picture, Pixels
from swarm.params.input import GenerationInput
from swarm.params.param import Param


class Stage(Enum):
    """Points in the making of a picture, in the order they are reached."""

    ENCODE = "encode"
    """Prompts are encoded: `positive` and `negative` may be changed."""
    START = "start"
    """`noise`, `latent` and `sigmas` are made, nothing has been denoised."""
    GUIDE = "guide"
    """After each model call: `cond`, `uncond` and `denoised` hold predictions of the clean latent at `sigma`."""
    FINISH = "finish"
    """Sampling is over: `latent` is what will be decoded."""


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the denoiser is told about a prompt. `tokens`: (1, length, width), length a multiple of the encoder's chunk.

    `pooled`: (1, width) or None.
    """

    tokens: Any
    pooled: Any = None


class StageTools(Protocol):
    """What the engine does for stage functions."""

    def encode_picture(self, picture: Picture, *, width: int, height: int, noise: float, noise_seed: int) -> Any:
        """A picture, stretched to width × height, as a clean latent (1, C, h, w) in the model's scale, float32."""

    def pixels(self, picture: Picture, *, width: int, height: int) -> Pixels:
        """A picture stretched to width × height."""


@dataclass(kw_only=True)
class StageContext:
    """One picture while it is made. Stage functions read and replace the fields that are set at their point.

    `latent`: what denoising starts from, before noise: (1, C, h, w) float32. `noise`: standard normal, same shape.
    `sigmas`: the noise levels to walk down, the last is 0. `first_step`: how many steps of the whole schedule a stage
    has cut off its begin. `step`: which of `sigmas` the model was asked at. `result`: a stage at START may set it to
    skip sampling and decoding altogether.
    """

    input: GenerationInput
    index: int
    seed: int
    width: int
    height: int
    steps: int
    tools: StageTools
    positive: Conditioning | None = None
    negative: Conditioning | None = None
    latent: Any = None
    noise: Any = None
    sigmas: list[float] = field(default_factory=list)
    first_step: int = 0
    step: int = 0
    sigma: float = 0.0
    x: Any = None
    cond: Any = None
    uncond: Any = None
    denoised: Any = None
    result: Pixels | None = None


@dataclass(frozen=True, kw_only=True)
class StageFunction:
    """A feature's act at one point. It runs for pictures whose request sets `when`; lower `order` runs earlier."""

    id: str
    stage: Stage
    order: int
    when: Param[Any]
    run: Callable[[StageContext], None]


def stage(point: Stage, *, order: int, when: Param[Any]) -> Callable[[Callable[[StageContext], None]], StageFunction]:
    """Declare the decorated function as an act at `point`, for requests that set `when`."""

    def declare(run: Callable[[StageContext], None]) -> StageFunction:
        return StageFunction(id=f"{point.value}.{run.__name__}", stage=point, order=order, when=when, run=run)

    return declare
