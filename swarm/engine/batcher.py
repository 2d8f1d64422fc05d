"""Step-wise continuous batching: pictures of many requests share each denoiser call, and join and leave between calls.

A group is the pictures that may share a call: same weights, same size. The oldest waiting picture's group leads; the
running one has a small bonus, so that weights are not swapped back and forth. This class decides what is done next and
does it piece by piece; it catches nothing but lack of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from swarm.engine.adapters.unet import Row, alike
from swarm.engine.decode import decode, decode_limit
from swarm.engine.device import Stopwatch, is_out_of_memory
from swarm.engine.limits import RowLimit
from swarm.engine.live import LiveJob, Taken
from swarm.engine.memory import Models, WeightsKey, model_of, weights_key
from swarm.engine.room import refuse_too_large
from swarm.engine.runner import Methods, Model, Sampling
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.job import Job

STAY_SECONDS = 0.5
"""How much older a picture of another size must be to take the lead from the running group."""
SWAP_SECONDS = 2.0
"""The same, at least, for a group that needs other weights."""


@dataclass(frozen=True)
class Group:
    """What pictures must have in common to share a model call."""

    weights: WeightsKey
    width: int
    height: int


def group_of(live: LiveJob) -> Group:
    request = live.job.input
    return Group(live.key, request.get(WIDTH), request.get(HEIGHT))


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """One uninterrupted piece of device work for some jobs. `apart`: the same for each job alone, to find out whose
    fault an error is."""

    name: str
    jobs: tuple[LiveJob, ...]
    run: Callable[[], None]
    apart: tuple[Work, ...] = ()


class Batcher:
    """Jobs of the batched tier. `together` False runs every picture alone."""

    def __init__(
        self,
        models: Models,
        methods: Methods,
        clock: Callable[[], float],
        *,
        together: bool = True,
        make_limit: Callable[[], RowLimit] = RowLimit,
    ) -> None:
        self._models = models
        self._methods = methods
        self._clock = clock
        self._together = together
        self._make_limit = make_limit
        self._waiting: list[LiveJob] = []
        self._running: list[Taken] = []
        self._finished: list[Taken] = []
        self._limits: dict[Group, RowLimit] = {}
        self._peaks: dict[Group, int] = {}
        self._watch: Stopwatch[tuple[RowLimit, int]] = Stopwatch(models.device, clock)
        self._lead: Group | None = None
        self._decoded_last = False

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._running or self._finished)

    @property
    def running_pictures(self) -> int:
        return len(self._running)

    def add(self, live: LiveJob) -> None:
        self._waiting.append(live)

    def drop(self, id: str) -> None:
        """Forget a job: cancelled, or failed."""
        for taken in self._running:
            if taken.live.job.id == id:
                taken.sampling.close()
        self._waiting = [live for live in self._waiting if live.job.id != id]
        self._running = [taken for taken in self._running if taken.live.job.id != id]
        self._finished = [taken for taken in self._finished if taken.live.job.id != id]

    def jobs(self) -> Iterator[LiveJob]:
        """Every job it holds (a job with several pictures may come several times)."""
        yield from self._waiting
        yield from (taken.live for taken in (*self._running, *self._finished))

    def next_work(self) -> Work | None:
        """What to do now; None when there is nothing."""
        decoding = self._decoding() if self._finished and not self._decoded_last else None
        self._decoded_last = decoding is not None
        if decoding is not None:
            return decoding
        group = self._lead = self._choose_lead()
        if group is None:
            return self._decoding() if self._finished else None
        newcomer = next((live for live in self._waiting if group_of(live) == group), None)
        if not self._models.is_ready(group.weights):
            # Loading may push out the weights that finished pictures are to be decoded with.
            return self._decoding() if self._finished else self._loading(group)
        if newcomer is not None:
            return Work(name="admit", jobs=(newcomer,), run=lambda: self._admit(newcomer))
        return self._denoising(group)

    def _choose_lead(self) -> Group | None:
        oldest: dict[Group, float] = {}
        for live in (*self._waiting, *(taken.live for taken in self._running)):
            group = group_of(live)
            oldest[group] = min(oldest.get(group, live.arrival), live.arrival)
        if not oldest:
            return None
        first = min(oldest, key=lambda group: oldest[group])
        current = self._lead
        if current not in oldest or current is None or first == current:
            return first
        swap = max(SWAP_SECONDS, self._models.swap_seconds(first.weights))
        bonus = STAY_SECONDS if first.weights == current.weights else swap
        return first if oldest[first] + bonus < oldest[current] else current

    # -- pieces of work ------------------------------------------------------------------------------------------

    def _loading(self, group: Group) -> Work:
        jobs = tuple(dict.fromkeys(live for live in self.jobs() if live.key == group.weights))
        job = jobs[0].job
        return Work(name="load", jobs=jobs, run=lambda: self._load(job))

    def _load(self, job: Job) -> None:
        """Make a job's weights ready; pictures that run on them follow, should they have been loaded anew."""
        model = self._models.ready(model_of(job), job.loras)
        key = weights_key(model_of(job), job.loras)
        for taken in self._running:
            if taken.live.key == key:
                taken.sampling.move_to(model)

    def _admit(self, live: LiveJob) -> None:
        """Encode the prompts, make the noise, ask the first questions."""
        model = self._models.ready(model_of(live.job), live.job.loras)
        size = live.job.input.get(WIDTH), live.job.input.get(HEIGHT)
        refuse_too_large(model.components, model.device, *size)
        samplings = [Sampling(model, self._methods, live.job, index) for index in range(len(live.job.seeds))]
        self._waiting.remove(live)
        live.began([sampling.total for sampling in samplings])
        for index, sampling in enumerate(samplings):
            if sampling.result is not None:
                live.image(index, sampling.result)
                continue
            home = self._running if sampling.question is not None else self._finished
            home.append(Taken(live, index, sampling))

    def _denoising(self, group: Group) -> Work:
        members = [taken for taken in self._running if group_of(taken.live) == group]
        members.sort(key=lambda taken: taken.live.arrival)
        limit = self._limits.get(group) or self._limits.setdefault(group, self._make_limit())
        sizes = [taken.sampling.row_count for taken in members]
        allowed = limit.rows(sum(sizes)) if self._together else 1
        chosen, rows = [members[0]], sizes[0]
        for taken, size in islice(zip(members, sizes, strict=True), 1, None):
            if rows + size > allowed:
                break
            chosen.append(taken)
            rows += size
        return self._round(group, chosen)

    def _round(self, group: Group, chosen: list[Taken]) -> Work:
        jobs = tuple(dict.fromkeys(taken.live for taken in chosen))
        apart: tuple[Work, ...] = ()
        if len(jobs) > 1:
            alone = [[taken for taken in chosen if taken.live is live] for live in jobs]
            apart = tuple(self._round(group, own) for own in alone)
        return Work(name="denoise", jobs=jobs, run=lambda: self._denoise(group, chosen), apart=apart)

    def _denoise(self, group: Group, chosen: list[Taken]) -> None:
        """One step of the chosen pictures' questions: one model call where their prompts allow it."""
        chosen = [taken for taken in chosen if taken.sampling.question is not None]
        asked = [taken.sampling.rows() for taken in chosen]
        rows = [row for own in asked for row in own]
        outputs: list[torch.Tensor] = [rows[0].x] * len(rows)
        for members in alike(rows):
            answers = self._call(group, chosen[0].sampling.model, [rows[member] for member in members])
            for member, answer in zip(members, answers.split(1), strict=True):
                outputs[member] = answer
        start = 0
        for taken, own in zip(chosen, asked, strict=True):
            taken.sampling.answer(torch.cat(outputs[start : start + len(own)]))
            start += len(own)
            self._report(taken)
        for (limit, count), seconds in self._watch.finished():
            limit.measured(count, seconds)

    def _call(self, group: Group, model: Model, rows: list[Row]) -> torch.Tensor:
        """The denoiser's outputs for rows with prompts of compatible length, in as many calls as memory asks for."""
        limit = self._limits[group]
        most = min(len(rows), limit.ceiling)
        outputs, start = [], 0
        while start < len(rows):
            part = rows[start : start + most]
            try:
                outputs.append(self._timed(group, model, part))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._models.device.give_back()
                if not limit.overflowed(len(part)) and not self._models.drop_others(group.weights):
                    raise
                most = limit.ceiling
                continue
            start += len(part)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _timed(self, group: Group, model: Model, rows: list[Row]) -> torch.Tensor:
        device, limit = self._models.device, self._limits[group]
        measures = device.is_cuda and len(rows) > self._peaks.get(group, 0)
        before = torch.cuda.memory_allocated(device.place) if measures else 0
        if measures:
            torch.cuda.reset_peak_memory_stats(device.place)
        self._watch.start()
        outputs = model.denoiser(rows)
        self._watch.stop((limit, len(rows)))
        if measures:
            self._peaks[group] = len(rows)
            peak = max(1, (torch.cuda.max_memory_allocated(device.place) - before) // len(rows))
            limit.fits(int(device.free_memory() * 0.8) // peak)
        return outputs

    def _report(self, taken: Taken) -> None:
        """Tell what a picture's answer changed, and move it on when it has no more questions."""
        sampling, live = taken.sampling, taken.live
        live.stepped(taken.index, sampling.done)
        if sampling.question is None:
            self._running.remove(taken)
            self._finished.append(taken)
        elif live.wants_preview(taken.index) and sampling.denoised is not None:
            live.preview(taken.index, sampling.model.colours.picture(sampling.denoised))

    def _decoding(self) -> Work:
        first = self._finished[0]
        group, context = group_of(first.live), first.sampling.context
        most = decode_limit(self._models.device, context.width, context.height) if self._together else 1
        alike = (taken for taken in self._finished if group_of(taken.live) == group)
        return self._decode_work(list(islice(alike, most)))

    def _decode_work(self, chosen: list[Taken]) -> Work:
        jobs = tuple(dict.fromkeys(taken.live for taken in chosen))
        apart: tuple[Work, ...] = ()
        if len(jobs) > 1:
            alone = [[taken for taken in chosen if taken.live is live] for live in jobs]
            apart = tuple(self._decode_work(own) for own in alone)
        return Work(name="decode", jobs=jobs, run=lambda: self._decode(chosen), apart=apart)

    def _decode(self, chosen: list[Taken]) -> None:
        chosen = [taken for taken in chosen if taken in self._finished]
        model = chosen[0].sampling.model
        latents = [taken.sampling.latent for taken in chosen]
        images = decode(model.components, model.device, [latent for latent in latents if latent is not None])
        for taken, image in zip(chosen, images, strict=True):
            self._finished.remove(taken)
            taken.live.image(taken.index, image)
