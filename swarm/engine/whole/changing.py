"""Prompts that change on the way: the network is handed what the text of the moment was encoded as.

A pipeline encodes a prompt once and hands the outcome to its network at every step. Where it hands on just that, alone
or in one batch with the negative prompt's, it is exchanged at the network's door; where it makes something else of it
first, the prompt stays the one it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from swarm.prompt.alternation import ScheduledText

_NETWORKS = ("transformer", "transformer_2", "unet")


@dataclass(frozen=True, kw_only=True)
class Course:
    """The texts of one prompt in order, as the pipeline is told them, and the shares of the walk they count in."""

    texts: tuple[str, ...]
    shares: tuple[tuple[float, float], ...]

    def at(self, share: float) -> int:
        """Which text counts when `share` of the walk lies behind; the later one where two do."""
        found = [number for number, (start, end) in enumerate(self.shares) if start <= share <= end]
        return found[-1] if found else len(self.texts) - 1


def course_of(texts: Sequence[ScheduledText], steps: int, told: Callable[[str], str]) -> Course:
    """`told`: a text as the pipeline is told it."""
    return Course(texts=tuple(told(one.text) for one in texts), shares=tuple(one.shares(steps) for one in texts))


@dataclass(eq=False)
class _Change:
    """A row that an encoding made of a voice's first text, and what it makes of the later ones, by their numbers."""

    voice: int
    first: torch.Tensor
    later: dict[int, torch.Tensor] = field(default_factory=dict)


class Changes:
    """What the prompts of one run become on their way. Voice 0 is the prompt, voice 1 the negative one."""

    def __init__(self, courses: Sequence[Course]) -> None:
        self.courses = tuple(courses)
        self._known: list[_Change] = []
        self._plans: dict[int, tuple[torch.Tensor, list[_Change | None]]] = {}

    @property
    def any(self) -> bool:
        return any(len(course.texts) > 1 for course in self.courses)

    def note(self, voice: int, number: int, first: Any, later: Any) -> None:
        """Encoding text `number` of a voice gave `later` where its first text gave `first`."""
        for before, after in zip(_rows(first), _rows(later), strict=True):
            if before.shape != after.shape or torch.equal(before, after):
                continue
            known = next((one for one in self._known if one.voice == voice and one.first is before), None)
            if known is None:
                known = _Change(voice, before)
                self._known.append(known)
            known.later[number] = after

    def exchanged(self, named: dict[str, Any], share: float) -> dict[str, Any]:
        """A network's arguments with what counts now."""
        now = [course.at(share) for course in self.courses]
        if not any(now):
            return named
        tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
        words = {name: self._plan(value, None) for name, value in tensors.items() if value.ndim == 3}
        voices = next(
            ([None if one is None else one.voice for one in plan] for plan in words.values() if any(plan)), None
        )
        plans = {name: words.get(name) or self._plan(value, voices) for name, value in tensors.items()}
        return {**named, **{name: _with(tensors[name], plan, now) for name, plan in plans.items() if any(plan)}}

    def _plan(self, value: torch.Tensor, voices: list[int | None] | None) -> list[_Change | None]:
        """What each row of a tensor is. Of two voices that say the same in it, `voices` tells which it is."""
        known = self._plans.get(id(value))
        if known is not None:
            return known[1]
        plan = []
        for row in range(len(value) if value.ndim else 0):
            found = [one for one in self._known if _same(value[row : row + 1], one.first)]
            voice = voices[row] if voices is not None and row < len(voices) else None
            plan.append(
                next((one for one in found if one.voice == voice), found[0] if found and voice is None else None)
            )
        self._plans[id(value)] = value, plan  # the tensor is kept, so that no other gets its number
        return plan


def _rows(encoded: Any) -> Iterator[torch.Tensor]:
    for value in encoded if isinstance(encoded, tuple | list) else [encoded]:
        if isinstance(value, torch.Tensor) and value.ndim >= 2 and len(value) == 1:
            yield value


def _same(row: torch.Tensor, first: torch.Tensor) -> bool:
    return row.shape == first.shape and torch.equal(row, first.to(row))


def _with(value: torch.Tensor, plan: Sequence[_Change | None], now: Sequence[int]) -> torch.Tensor:
    rows = [
        value[row : row + 1] if one is None else one.later.get(now[one.voice], one.first).to(value)
        for row, one in enumerate(plan)
    ]
    return torch.cat(rows)


def share_behind(shell: Any, done: int) -> float:
    """How much lies behind after so many steps: of the noise, where the scheduler knows, else of the steps."""
    scheduler = shell.scheduler
    known: float | None = getattr(scheduler, "share", None)
    return done / max(1, len(scheduler.timesteps)) if known is None else known


@contextmanager
def changing(shell: Any, changes: Changes, share: Callable[[], float]) -> Iterator[None]:
    """While it is entered, the pipeline's networks hear the texts of the moment. `share()`: how much of the walk lies
    behind."""

    def hook(_network: Any, given: Any, named: dict[str, Any]) -> Any:
        return given, changes.exchanged(named, share())

    networks = [getattr(shell, name, None) for name in _NETWORKS] if changes.any else []
    handles = [one.register_forward_pre_hook(hook, with_kwargs=True) for one in networks if one is not None]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
