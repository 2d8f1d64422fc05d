"""Step-wise continuous batching: pictures of many requests share each denoiser call, and join and leave between calls.

A group is the walks that may share a call: same weights, same size. Which group leads is decided in engine/turns.py.
This class decides what is done next and does it piece by piece; it catches nothing but lack of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from swarm.engine.components import Row
from swarm.engine.decode import as_pixels, decode, decode_limit, encode
from swarm.engine.device import Stopwatch, is_out_of_memory
from swarm.engine.limits import RowLimit
from swarm.engine.live import LiveJob
from swarm.engine.making import active_acts, base_pass, make
from swarm.engine.memory import Models
from swarm.engine.room import refuse_too_large
from swarm.engine.runner import Methods, Model, Sampling
from swarm.engine.shot import Group, Shot
from swarm.engine.showing import Showing
from swarm.engine.step_noise import Sources
from swarm.engine.turns import Turns, interleaved
from swarm.features.core import STEPS
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.acts import Decode, Encode, Film, Sample
from swarm.jobs.acts import Work as Errand
from swarm.media.clip import Clip
from swarm.media.image import Pixels

MIN_SWAP_SECONDS = 0.1


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
        film: Callable[[Shot, Film], Pixels | Clip] | None = None,
    ) -> None:
        """`film`: makes clips of finished pictures."""
        self._models = models
        self._methods = methods
        self._clock = clock
        self._together = together
        self._make_limit = make_limit
        self._errands = models.errands
        self._showing = Showing(models.device, self._errands)
        self._film = film
        self._new: list[LiveJob] = []
        self._answered: list[tuple[Shot, Any]] = []
        self._waiting: list[Shot] = []
        self._running: list[Shot] = []
        self._finished: list[Shot] = []
        self._aside: list[Shot] = []
        self._sources = Sources()
        self._limits: dict[Group, RowLimit] = {}
        self._peaks: dict[Group, int] = {}
        self._watch: Stopwatch[tuple[RowLimit, int]] = Stopwatch(models.device, clock)
        self._turns: Turns[Group] = Turns(self._swap_seconds, clock)
        self._was_aside = False

    @property
    def is_busy(self) -> bool:
        return bool(self._new or self._answered or self._waiting or self._running or self._finished or self._aside)

    @property
    def running_pictures(self) -> int:
        return len(self._running)

    def add(self, live: LiveJob) -> None:
        self._new.append(live)

    def drop(self, id: str) -> None:
        """Forget a job: cancelled, or failed."""
        for shot in self._shots():
            if shot.live.job.id == id:
                if shot.sampling is not None:
                    shot.sampling.close()
                shot.run.close()
        self._new = [live for live in self._new if live.job.id != id]
        self._answered = [pair for pair in self._answered if pair[0].live.job.id != id]
        self._waiting, self._running, self._finished, self._aside = (
            [shot for shot in shots if shot.live.job.id != id]
            for shots in (self._waiting, self._running, self._finished, self._aside)
        )

    def jobs(self) -> Iterator[LiveJob]:
        """Every job it holds (a job with several pictures may come several times)."""
        yield from self._new
        yield from (shot.live for shot in self._shots())

    def needed(self) -> Group | None:
        """The group whose weights are wanted next, if any."""
        return self._choose_lead() or next((shot.key for shot in self._finished), None)

    def free(self) -> bool:
        """Forget the networks of errands; True if there were any."""
        return False if self._aside else self._errands.drop()

    def next_work(self) -> Work | None:
        """What to do now; None when there is nothing."""
        if self._new:
            live = self._new[0]
            return Work(name="begin", jobs=(live,), run=lambda: self._begin(live))
        if self._answered:
            shot, answer = self._answered[0]
            return Work(name="advance", jobs=(shot.live,), run=lambda: self._advance(shot, answer))
        beside = None if self._was_aside else self._beside()
        self._was_aside = beside is not None
        if beside is not None:
            return beside
        group = self._choose_lead()
        if group is None:
            return self._beside()
        if not self._models.is_ready(group.weights):
            # Loading may push out the weights that finished pictures are to be decoded with.
            return self._beside() or self._loading(group)
        newcomer = next((shot for shot in self._waiting if shot.group == group), None)
        if newcomer is not None:
            return Work(name="admit", jobs=(newcomer.live,), run=lambda: self._admit(newcomer))
        return self._denoising(group)

    def _shots(self) -> Iterator[Shot]:
        yield from (shot for shot, _answer in self._answered)
        for shots in (self._waiting, self._running, self._finished, self._aside):
            yield from shots

    def _choose_lead(self) -> Group | None:
        oldest: dict[Group, float] = {}
        for shot in (*self._waiting, *self._running):
            oldest[shot.key] = min(oldest.get(shot.key, shot.live.arrival), shot.live.arrival)
        return self._turns.lead(oldest)

    def _swap_seconds(self, current: Group, other: Group) -> float:
        """What it costs to go from one group to another; weights that were never swapped may cost anything."""
        if current.weights == other.weights:
            return 0.0
        return max(MIN_SWAP_SECONDS, self._models.swap_seconds(other.weights))

    # -- the course of a picture ---------------------------------------------------------------------------------

    def _begin(self, live: LiveJob) -> None:
        """Plan every picture of a job, up to its first ask."""
        acts, job = active_acts(self._methods.acts, live.job), live.job
        later = sum(act.steps(job.input) for act in acts)
        shots = []
        for index in range(len(job.seeds)):
            run = make(job, index, base_pass(job, index, acts), acts)
            shots.append(Shot(live=live, index=index, run=run, later=later))
        self._new.remove(live)
        self._answered.extend((shot, None) for shot in shots)

    def _advance(self, shot: Shot, answer: Any) -> None:
        """Give a picture what it asked for, and put it where its next ask is seen to."""
        self._answered.remove((shot, answer))
        try:
            shot.ask = shot.run.send(answer)
        except StopIteration as end:
            *extras, result = end.value
            for extra in extras:
                shot.live.extra(shot.index, extra)
            shot.live.image(shot.index, result)
            return
        match shot.ask:
            case Sample(of=of):
                shot.group = Group.of(self._models.key(of), of)
                self._models.announce(shot.group.weights)
                self._waiting.append(shot)
            case Decode(of=of):
                shot.group = Group.of(self._models.key(of), of)
                self._finished.append(shot)
            case _:
                self._aside.append(shot)

    # -- pieces of work ------------------------------------------------------------------------------------------

    def _loading(self, group: Group) -> Work:
        shots = [shot for shot in (*self._waiting, *self._running) if shot.key.weights == group.weights]
        jobs = tuple(dict.fromkeys(shot.live for shot in shots))
        return Work(name="load", jobs=jobs, run=lambda: self._load(shots[0]))

    def _load(self, shot: Shot) -> None:
        """Make a walk's weights ready; walks that are under way on them follow, should they have been loaded anew."""
        assert isinstance(shot.ask, Sample)
        model = self._models.ready(shot.ask.of)
        for other in self._running:
            if other.key.weights == shot.key.weights:
                other.walk.move_to(model)

    def _admit(self, shot: Shot) -> None:
        """Encode the prompts, make the noise, ask the first question."""
        assert isinstance(shot.ask, Sample)
        of = shot.ask.of
        model = self._models.ready(of)
        refuse_too_large(model.components, model.device, of.input.get(WIDTH), of.input.get(HEIGHT))
        steps = shot.live.job.input.get(STEPS)  # prompts that change count those of the first walk, in every walk
        walk = shot.sampling = Sampling(model, self._methods, of, steps, self._sources)
        self._waiting.remove(shot)
        if shot.behind == 0:
            shot.live.began(shot.index, walk.total + shot.later)
        if walk.question is None:
            self._walked(shot)
        else:
            self._running.append(shot)

    def _walked(self, shot: Shot) -> None:
        walk = shot.walk
        shot.behind += walk.total
        shot.sampling = None
        self._answered.append((shot, walk.latent if walk.result is None else walk.result))

    def _denoising(self, group: Group) -> Work:
        members = [shot for shot in self._running if shot.group == group]
        members.sort(key=lambda shot: shot.live.arrival)
        members = interleaved(members, lambda shot: shot.live.job.user_id)
        limit = self._limits.get(group) or self._limits.setdefault(group, self._make_limit())
        sizes = [shot.walk.row_count for shot in members]
        allowed = limit.rows(sum(sizes)) if self._together else 1
        chosen, rows = [members[0]], sizes[0]
        for shot, size in islice(zip(members, sizes, strict=True), 1, None):
            if rows + size > allowed:
                break
            chosen.append(shot)
            rows += size
        return self._round(group, chosen)

    def _round(self, group: Group, chosen: list[Shot]) -> Work:
        jobs = tuple(dict.fromkeys(shot.live for shot in chosen))
        apart: tuple[Work, ...] = ()
        if len(jobs) > 1:
            alone = [[shot for shot in chosen if shot.live is live] for live in jobs]
            apart = tuple(self._round(group, own) for own in alone)
        return Work(name="denoise", jobs=jobs, run=lambda: self._denoise(group, chosen), apart=apart)

    def _denoise(self, group: Group, chosen: list[Shot]) -> None:
        """One step of the chosen pictures' questions: one model call where their prompts allow it."""
        chosen = [shot for shot in chosen if shot.sampling is not None and shot.sampling.question is not None]
        asked = [shot.walk.rows() for shot in chosen]
        rows = [row for own in asked for row in own]
        if not chosen:
            return
        model = chosen[0].walk.model
        outputs: list[torch.Tensor] = [row.x for row in rows]
        for members in model.denoiser.together(rows):
            answers = self._call(group, model, [rows[member] for member in members])
            for member, answer in zip(members, answers.split(1), strict=True):
                outputs[member] = answer
        start = 0
        for shot, own in zip(chosen, asked, strict=True):
            shot.walk.answer(torch.cat(outputs[start : start + len(own)]) if own else None)
            start += len(own)
            self._report(shot)
        self._showing.tell()
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
                start += len(part)
                continue
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if not limit.overflowed(len(part)) and not self._models.drop_others(group.weights):
                    raise
            # Now that the error is gone, nothing holds on to what was half made.
            self._models.device.give_back()
            most = limit.ceiling
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _timed(self, group: Group, model: Model, rows: list[Row]) -> torch.Tensor:
        device, limit = self._models.device, self._limits[group]
        measures = device.is_cuda and len(rows) > self._peaks.get(group, 0)
        before = torch.cuda.memory_allocated(device.place) if measures else 0
        if measures:
            torch.cuda.reset_peak_memory_stats(device.place)
        self._watch.start()
        outputs = model.answers(rows)
        if all(row.memory is None or not row.memory.in_a_row for row in rows):
            # What was left out says nothing of how long such calls take.
            self._watch.stop((limit, len(rows)))
        if measures:
            self._peaks[group] = len(rows)
            peak = max(1, (torch.cuda.max_memory_allocated(device.place) - before) // len(rows))
            limit.fits(int(device.free_memory() * 0.8) // peak)
        return outputs

    def _report(self, shot: Shot) -> None:
        """Tell what a picture's answer changed, and move it on when its walk has no more questions."""
        walk, live = shot.walk, shot.live
        live.stepped(shot.index, shot.behind + walk.done)
        if walk.question is None:
            self._running.remove(shot)
            self._walked(shot)
        else:
            self._showing.begin(shot)

    def _beside(self) -> Work | None:
        """Decoding, or work that is no walk; None when there is neither."""
        if self._aside:
            shot = self._aside[0]
            return Work(name="errand", jobs=(shot.live,), run=lambda: self._errand(shot))
        if not self._finished:
            return None
        first = self._finished[0]
        most = decode_limit(self._models.device, first.key.width, first.key.height) if self._together else 1
        alike = (shot for shot in self._finished if shot.group == first.group)
        return self._decode_work(list(islice(alike, most)))

    def _errand(self, shot: Shot) -> None:
        ask = shot.ask
        if isinstance(ask, Encode):
            model = self._models.with_vae(ask.of)
            answer: Any = encode(model.components, model.device, ask.image)
        elif isinstance(ask, Film):
            assert self._film is not None, "this engine has no whole pipelines"
            answer = self._film(shot, ask)
        else:
            assert isinstance(ask, Errand)
            answer = ask.run(self._errands)
        self._aside.remove(shot)
        self._answered.append((shot, answer))

    def _decode_work(self, chosen: list[Shot]) -> Work:
        jobs = tuple(dict.fromkeys(shot.live for shot in chosen))
        apart: tuple[Work, ...] = ()
        if len(jobs) > 1:
            alone = [[shot for shot in chosen if shot.live is live] for live in jobs]
            apart = tuple(self._decode_work(own) for own in alone)
        return Work(name="decode", jobs=jobs, run=lambda: self._decode(chosen), apart=apart)

    def _decode(self, chosen: list[Shot]) -> None:
        chosen = [shot for shot in chosen if shot in self._finished]
        asks = [shot.ask for shot in chosen if isinstance(shot.ask, Decode)]
        model = self._models.with_vae(asks[0].of)
        images = decode(model.components, model.device, [ask.latent for ask in asks])
        ends: list[Pixels] = as_pixels(images) if any(ask.as_pixels for ask in asks) else []
        for number, (shot, ask) in enumerate(zip(chosen, asks, strict=True)):
            self._finished.remove(shot)
            answer = ends[number] if ask.as_pixels else images[number : number + 1].cpu()
            self._answered.append((shot, answer))
