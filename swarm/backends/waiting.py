"""The lines in which jobs wait for a backend: one per user and demand, oldest first. No decisions are made here."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TypeVar

import anyio

from swarm.backends.instance import BackendInstance
from swarm.backends.loads import LoadKey
from swarm.backends.matching import Demand
from swarm.jobs.job import ModelFile

T = TypeVar("T")


class Waiter:
    """One job that waits. Ends with an `instance` or an `error`, and `settled` set.

    `number`: order of arrival. `loading`: told +1 and -1 around a load of its model.
    """

    def __init__(
        self, number: int, user_id: str, demand: Demand, model: ModelFile | None, loading: Callable[[int], None]
    ) -> None:
        self.number = number
        self.user_id = user_id
        self.demand = demand
        self.model = model
        self.settled = anyio.Event()
        self.instance: BackendInstance | None = None
        self.error: Exception | None = None
        self._loading = loading
        self._is_told = False

    def tell_loading(self, is_loading: bool) -> None:
        """Pass the news on once per change."""
        if is_loading is not self._is_told:
            self._is_told = is_loading
            self._loading(1 if is_loading else -1)


class Lines:
    """All waiting jobs. Adding, removing and looking at the head of a line take constant time."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, Demand], OrderedDict[int, Waiter]] = {}
        self._demands: Counter[Demand] = Counter()
        self._loads: Counter[LoadKey] = Counter()

    def __len__(self) -> int:
        return self._demands.total()

    def add(self, waiter: Waiter) -> None:
        self._lines.setdefault((waiter.user_id, waiter.demand), OrderedDict())[waiter.number] = waiter
        self._demands[waiter.demand] += 1
        if waiter.demand.load is not None:
            self._loads[waiter.demand.load] += 1

    def remove(self, waiter: Waiter) -> None:
        """Take a job out; nothing happens when it is not in line any more."""
        key = (waiter.user_id, waiter.demand)
        line = self._lines.get(key)
        if line is None or line.pop(waiter.number, None) is None:
            return
        if not line:
            del self._lines[key]
        _one_less(self._demands, waiter.demand)
        if waiter.demand.load is not None:
            _one_less(self._loads, waiter.demand.load)

    def heads(self) -> list[Waiter]:
        """The oldest job of each line."""
        return [next(iter(line.values())) for line in self._lines.values()]

    def users(self) -> set[str]:
        return {user_id for user_id, _ in self._lines}

    def demands(self) -> list[Demand]:
        """The distinct demands that wait."""
        return list(self._demands)

    def wants(self, load: LoadKey) -> bool:
        return load in self._loads

    def demanding(self, demand: Demand) -> list[Waiter]:
        """Every job with this demand, by user."""
        return [w for (_, wanted), line in self._lines.items() if wanted == demand for w in line.values()]

    def wanting(self, load: LoadKey) -> list[Waiter]:
        """Every job that wants this loaded."""
        return [w for (_, wanted), line in self._lines.items() if wanted.load == load for w in line.values()]


def _one_less(counts: Counter[T], key: T) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
