"""Which models are being loaded where, and which loads have failed. Remembered while somebody wants the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from swarm.backends.guard import Problem
from swarm.backends.instance import BackendInstance
from swarm.jobs.job import ModelFile

MAX_LOAD_CRASHES = 3
NOT_LOADED = "The backend did not report the model as loaded."


LoadKey: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""What is loaded: a model's name, and (slot, name) of the files that complete it; another request may name others."""


def load_key(model: ModelFile) -> LoadKey:
    return model.name, tuple((slot, part.name) for slot, part in model.companions)


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """`boots`: the backend's start count then; after another start it is worth a new try. `crashes`: unlike these."""

    sentence: str
    boots: int
    crashes: int


class LoadLog:
    """Loads under way and loads that failed, by what was to be loaded."""

    def __init__(self) -> None:
        self._under_way: dict[LoadKey, BackendInstance] = {}
        self._failures: dict[LoadKey, dict[int, _Failure]] = {}

    def is_loading(self, load: LoadKey) -> bool:
        return load in self._under_way

    def begin(self, load: LoadKey, instance: BackendInstance) -> None:
        self._under_way[load] = instance

    def end(self, load: LoadKey, instance: BackendInstance, problem: Problem | None) -> None:
        """The load is over; `problem` is why it failed."""
        if self._under_way.get(load) is instance:
            del self._under_way[load]
        if problem is None:
            self._failures.get(load, {}).pop(instance.id, None)
            return
        before = self._failures.setdefault(load, {}).get(instance.id)
        crashes = (before.crashes if before is not None else 0) + problem.crashed
        self._failures[load][instance.id] = _Failure(
            sentence=problem.sentence, boots=instance.boots, crashes=crashes if problem.crashed else 0
        )

    def is_bad(self, load: LoadKey, instance: BackendInstance) -> bool:
        """This backend has shown that it cannot load the model: it said so, or it crashed three times over it."""
        failure = self._failures.get(load, {}).get(instance.id)
        if failure is None:
            return False
        return failure.crashes >= MAX_LOAD_CRASHES or (failure.crashes == 0 and failure.boots == instance.boots)

    def reasons(self, load: LoadKey, instances: Sequence[BackendInstance]) -> list[str]:
        """What these backends said, in their order."""
        failures = self._failures.get(load, {})
        return [failures[one.id].sentence for one in instances if one.id in failures]

    def forget(self, load: LoadKey) -> None:
        """Nobody wants this model any more; the next who does starts afresh."""
        self._failures.pop(load, None)
