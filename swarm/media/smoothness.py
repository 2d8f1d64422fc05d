"""How smooth a video is to be; the child process that writes it makes it so (see `smoothing`)."""

from __future__ import annotations

from dataclasses import dataclass

MOTION, BLEND = "Motion", "Blend"


@dataclass(frozen=True, kw_only=True)
class Smoothness:
    """`times`: as many frames a second, 1 for no more. `method`: MOTION follows what moves, BLEND mixes."""

    times: int = 1
    method: str = MOTION
