"""What many get from one engine in this process: clients at once, requests one by one, pictures that are saved."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from swarm.jobs.events import ImageDone
from swarm.jobs.frames import Event, JobFailed
from swarm.jobs.job import ModelFile
from swarm.media.formats import encode
from swarm.media.image import Pixels
from tests.engine.conftest import Bench

SPACED = 12
"""Requests that come one by one."""
GAP = 0.7
"""Seconds between them, in bare pictures: more than one at a time, less than all at once."""
MOST = 8
"""Pictures in one call of a server that runs whatever waits."""


@dataclass(kw_only=True)
class Clients:
    """People who ask one engine. `values`: of their requests. `now`: a clock that waits for the device."""

    bench: Bench
    file: ModelFile
    values: dict[str, Any]
    now: Callable[[], float]
    _seeds: int = field(default=1000)

    def at_once(self, clients: int, each: int) -> float:
        """Seconds per picture when `clients` ask at once, each for `each` pictures one after the other."""
        begun = self._begin()
        left = {self._ask(): each - 1 for _ in range(clients)}
        while left:
            for id in self._finished():
                more = left.pop(id)
                if more:
                    left[self._ask()] = more - 1
        return (self.now() - begun) / (clients * each)

    def one_by_one(self, gap: float) -> float:
        """Mean seconds to a picture when requests come every `gap` seconds."""
        begun = self._begin(time.perf_counter)
        came: dict[str, float] = {}
        seconds: list[float] = []
        while len(seconds) < SPACED:
            due = begun + gap * (len(came) + len(seconds))
            if len(came) + len(seconds) < SPACED and time.perf_counter() >= due:
                came[self._ask()] = due
            seconds += [time.perf_counter() - came.pop(id) for id in self._finished()]
        return sum(seconds) / SPACED

    def saved(self, count: int) -> float:
        """Seconds per picture of `count` pictures that another process writes as PNG while the next are made."""
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(time.perf_counter).result()
            writing: list[Future[None]] = []
            begun = self._begin()
            waiting = {self._ask() for _ in range(count)}
            while waiting:
                for id, answers in self._answers():
                    path = Path(folder) / f"{id}.png"
                    writing += [pool.submit(write, path, pixels) for pixels in _pictures(answers)]
                    waiting.discard(id)
            for each in writing:
                each.result()
            return (self.now() - begun) / count

    def _begin(self, now: Callable[[], float] | None = None) -> float:
        """The time, with all forgotten that was said before."""
        self.bench.said.clear()
        self.bench.finished.clear()
        return (now or self.now)()

    def _ask(self) -> str:
        self._seeds += 1
        return self.bench.submit(self.file, (self._seeds,), **self.values, wants_previews=False)

    def _finished(self) -> list[str]:
        return [id for id, _answers in self._answers()]

    def _answers(self) -> Iterable[tuple[str, list[Any]]]:
        """One turn of the engine; what it has said of the jobs that it finished. Raises RuntimeError for failures."""
        self.bench.turn()
        done, self.bench.finished = self.bench.finished, []
        failed = [one for answers in self.bench.said.values() for one in answers if isinstance(one, JobFailed)]
        if failed:
            raise RuntimeError(failed[0].sentence)
        return [(id, self.bench.said.pop(id)) for id in done]


def batched_by_request(picture: Callable[[int], float], gap: float) -> float:
    """Mean seconds to a picture of a server that runs whatever waits as one call, at most eight pictures: what others
    do at best. `picture(n)` makes n pictures in one call, and returns its seconds."""
    came = [number * gap for number in range(SPACED)]
    moment, seconds, next_one = 0.0, 0.0, 0
    while next_one < SPACED:
        moment = max(moment, came[next_one])
        waiting = [one for one in came[next_one : next_one + MOST] if one <= moment]
        moment += picture(len(waiting))
        seconds += sum(moment - one for one in waiting)
        next_one += len(waiting)
    return seconds / SPACED


def write(path: Path, pixels: Pixels) -> None:
    path.write_bytes(encode(pixels, "PNG").data)


def _pictures(answers: Iterable[Any]) -> list[Pixels]:
    events = [answer.event for answer in answers if isinstance(answer, Event)]
    made = [event.result for event in events if isinstance(event, ImageDone)]
    return [result for result in made if isinstance(result, Pixels)]
