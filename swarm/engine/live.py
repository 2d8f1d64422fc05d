"""A job while the engine works on it: its pictures, what has been told about it, and whether anybody still waits."""

from __future__ import annotations

from collections.abc import Callable

from swarm.engine.memory import WeightsKey
from swarm.engine.preview import SECONDS_BETWEEN
from swarm.engine.runner import Sampling
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.frames import Answer, Event, JobDone
from swarm.jobs.job import Job
from swarm.media.image import Picture, Pixels


class LiveJob:
    """`arrival`: when it came, on the engine's clock. `key`: the weights it needs."""

    def __init__(self, job: Job, key: WeightsKey, send: Callable[[Answer], None], clock: Callable[[], float]) -> None:
        self.job = job
        self.key = key
        self.arrival = clock()
        self.finished = 0
        self._clock = clock
        self._send = send
        self._started = self.arrival
        self._steps = [0] * len(job.seeds)
        self._totals = [1] * len(job.seeds)
        self._shown = [float("-inf")] * len(job.seeds)

    @property
    def is_done(self) -> bool:
        return self.finished >= len(self.job.seeds)

    def began(self, totals: list[int]) -> None:
        """The device starts on it; `totals`: steps of each picture."""
        self._started = self._clock()
        self._totals = [max(1, total) for total in totals]

    def stepped(self, index: int, done: int) -> None:
        """Picture `index` has `done` steps behind it."""
        if done > self._steps[index]:
            self._steps[index] = done
            overall, current = self._fractions(index)
            self.tell(StepDone(done=sum(self._steps), total=sum(self._totals), overall=overall, current=current))

    def wants_preview(self, index: int) -> bool:
        """Whether it is time to show picture `index` again: at once, then a few times a second, never at the end."""
        if not self.job.wants_previews or not 0 < self._steps[index] < self._totals[index]:
            return False
        return self._clock() - self._shown[index] >= SECONDS_BETWEEN

    def preview(self, index: int, picture: Picture) -> None:
        self._shown[index] = self._clock()
        overall, current = self._fractions(index)
        self.tell(Preview(index=index, picture=picture, overall=overall, current=current))

    def image(self, index: int, result: Pixels | Picture) -> None:
        """Picture `index` is finished; the job is, when it was the last one."""
        self.finished += 1
        self.tell(ImageDone(index=index, result=result, seconds=self._clock() - self._started))
        if self.is_done:
            self._send(JobDone(id=self.job.id))

    def tell(self, event: BackendEvent) -> None:
        self._send(Event(id=self.job.id, event=event))

    def _fractions(self, index: int) -> tuple[float, float]:
        return sum(self._steps) / sum(self._totals), self._steps[index] / self._totals[index]


class Taken:
    """One picture of a live job in the batched tier."""

    def __init__(self, live: LiveJob, index: int, sampling: Sampling) -> None:
        self.live = live
        self.index = index
        self.sampling = sampling
