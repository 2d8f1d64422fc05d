"""A job while the engine works on it: its pictures, what has been told about it, and whether anybody still waits."""

from __future__ import annotations

from collections.abc import Callable

from swarm.engine.preview import SECONDS_BETWEEN
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.frames import Answer, Event, JobDone
from swarm.jobs.job import Job
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels


class LiveJob:
    """`arrival`: when it came, on the engine's clock."""

    def __init__(self, job: Job, send: Callable[[Answer], None], clock: Callable[[], float]) -> None:
        self.job = job
        self.arrival = clock()
        self.finished = 0
        self._clock = clock
        self._send = send
        self._started: float | None = None
        self._steps = [0] * len(job.seeds)
        self._totals = [1] * len(job.seeds)
        self._shown = [float("-inf")] * len(job.seeds)

    @property
    def is_done(self) -> bool:
        return self.finished >= len(self.job.seeds)

    def began(self, index: int, total: int) -> None:
        """The device starts on picture `index`, which will take `total` steps."""
        self._started = self._started or self._clock()
        self._totals[index] = max(1, total)

    def stepped(self, index: int, done: int) -> None:
        """Picture `index` has `done` steps behind it."""
        if done > self._steps[index]:
            self._steps[index] = done
            self._totals[index] = max(self._totals[index], done)
            overall, current = self._fractions(index)
            self.tell(StepDone(done=sum(self._steps), total=sum(self._totals), overall=overall, current=current))

    def steps_of(self, index: int) -> int:
        """How many steps picture `index` has behind it."""
        return self._steps[index]

    def wants_preview(self, index: int) -> bool:
        """Whether it is time to show picture `index` again: at once, then a few times a second, never at the end."""
        if not self.job.wants_previews or not 0 < self._steps[index] < self._totals[index]:
            return False
        return self._clock() - self._shown[index] >= SECONDS_BETWEEN

    def preview(self, index: int, picture: Picture) -> None:
        self._shown[index] = self._clock()
        overall, current = self._fractions(index)
        self.tell(Preview(index=index, picture=picture, overall=overall, current=current))

    def extra(self, index: int, result: Pixels | Picture | Clip) -> None:
        """A picture from the making of picture `index`, to be shown beside it."""
        self.tell(ImageDone(index=index, result=result, seconds=self._seconds, real=False))

    def image(self, index: int, result: Pixels | Picture | Clip) -> None:
        """Picture `index` is finished; the job is, when it was the last one."""
        self.finished += 1
        self.tell(ImageDone(index=index, result=result, seconds=self._seconds))
        if self.is_done:
            self._send(JobDone(id=self.job.id))

    def tell(self, event: BackendEvent) -> None:
        self._send(Event(id=self.job.id, event=event))

    @property
    def _seconds(self) -> float:
        return 0.0 if self._started is None else self._clock() - self._started

    def _fractions(self, index: int) -> tuple[float, float]:
        return sum(self._steps) / sum(self._totals), self._steps[index] / self._totals[index]
