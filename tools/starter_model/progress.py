"""What every training stage shares: a budget, a decaying pace, averaged weights, and checkpoints."""

import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(kw_only=True)
class Budget:
    """How long a stage may run. `minutes`, when given, ends it early; the learning rate follows whichever is nearer."""

    steps: int
    minutes: float | None = None
    spent: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    def progress(self, step: int) -> float:
        """From 0 at the start to 1 at the end."""
        share = step / self.steps
        if self.minutes is not None:
            share = max(share, self.seconds / (60 * self.minutes))
        return min(1.0, share)

    @property
    def seconds(self) -> float:
        """Time spent on the stage, earlier runs included."""
        return self.spent + time.monotonic() - self._since


def pace(step: int, progress: float, *, peak: float, warmup: int = 200, floor: float = 0.02) -> float:
    """The learning rate: a short ramp, a plateau for half the way, then a half cosine down to `floor` of the peak."""
    ramp = min(1.0, (step + 1) / warmup)
    fall = max(0.0, (progress - 0.4) / 0.6)
    return peak * ramp * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fall)))


class Average:
    """An exponential moving average of a module's parameters, which is what gets shipped."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the parameters as they are."""
        self._live = list(module.parameters())
        self.values = [parameter.detach().clone() for parameter in self._live]
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move a little towards the present parameters; quickly at first."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self._live], share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averaged and the present parameters. Call twice to get back."""
        for value, parameter in zip(self.values, self._live, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash leaves either the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """The checkpoint at `path`, or nothing when there is none yet."""
    return torch.load(path, weights_only=True) if path.exists() else None


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
