"""What a backend tells about a job while it works. A job's stream ends after its last ImageDone, or in an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels


@dataclass(frozen=True, kw_only=True)
class LoadingModel:
    """The job waits for weights to be read. Sent once at the begin; StepDone or ImageDone implies the load is over."""

    name: str


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """`done` of `total` model calls are finished; `overall`, `current`: fractions 0 to 1 of the job and its stage."""

    done: int
    total: int
    overall: float
    current: float


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How picture `index` (0-based within the job's batch) looks now: a small encoded picture (JPEG)."""

    index: int
    picture: Picture
    overall: float
    current: float


@dataclass(frozen=True, kw_only=True)
class ImageDone:
    """Picture (or video) `index` of the job's batch is finished. `real` is False for intermediate outputs.

    `seconds`: how long the device worked for it (from admission to pixels).
    """

    index: int
    result: Pixels | Picture | Clip
    seconds: float
    real: bool = True


BackendEvent: TypeAlias = LoadingModel | StepDone | Preview | ImageDone
