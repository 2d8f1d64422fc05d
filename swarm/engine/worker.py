"""The engine's main loop: take messages, do a piece of device work, answer; no other thread ever touches torch.

Messages come and go through a mailbox, whose own threads read and write frames. Everything else happens in
`Worker.serve`, on the thread that calls it.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping

from swarm.base.errors import BackendError, BadInput, UserError
from swarm.engine.batcher import Batcher, Work
from swarm.engine.compiling import Regions
from swarm.engine.device import is_out_of_memory, is_poisoned
from swarm.engine.live import LiveJob
from swarm.engine.mailbox import Mailbox
from swarm.engine.memory import Models, file_key, model_of
from swarm.engine.pipeline import Cancelled, WholePipelines
from swarm.engine.products import leave_onednn_after
from swarm.jobs.events import LoadingModel
from swarm.jobs.frames import Cancel, Free, Freed, JobFailed, Load, Loaded, Ping, Request, Run
from swarm.jobs.job import Job, ModelFile

logger = logging.getLogger(__name__)

_AGAIN = ("load", "admit", "decode")
"""Work that changes nothing before it is through, so that it can be done again; model calls make room themselves."""


OVERDUE = 120.0
"""Seconds that blocks wait to be compiled before one is while pictures are made; the next waits as long again."""


class Worker:
    """Serves jobs with a batcher and whole pipelines, from a mailbox."""

    def __init__(
        self,
        mailbox: Mailbox,
        models: Models,
        batcher: Batcher,
        whole: WholePipelines,
        clock: Callable[[], float],
        *,
        switches: bool = True,
    ) -> None:
        """`switches`: whether a picture that runs may go over to blocks compiled meanwhile."""
        self._mailbox = mailbox
        self._models = models
        self._batcher = batcher
        self._whole = whole
        self._whole_jobs: list[LiveJob] = []
        self._clock = clock
        self._switches = switches
        self._compiled_at = clock()

    def serve(self) -> None:
        """Work for ever. Call it inside torch.inference_mode, on the thread that may use torch."""
        while True:
            self.turn(wait=True)

    def turn(self, *, wait: bool) -> bool:
        """Take what has come, do one piece of work. `wait`: sleep until a message comes when there is nothing to do.

        False if there was nothing to do.
        """
        self._mailbox.beats += 1
        self._mailbox.blocks = self._blocks()
        idle = not self._batcher.is_busy and not self._whole_jobs
        self._take(wait=wait and idle and self._to_compile() is None)
        if self._switches and self._is_overdue():
            return self._compiled()
        if self._whole_jobs and self._whole_leads():
            self._run_whole(self._whole_jobs[0])
            return True
        work = self._batcher.next_work()
        if work is not None:
            if work.name == "load" and not self._whole_jobs:
                self._whole.step_aside()
            self._perform(work)
            return True
        return self._compiled()

    def _take(self, *, wait: bool) -> None:
        try:
            while True:
                self._handle(self._mailbox.inbox.get(block=wait))
                wait = False
        except queue.Empty:
            return

    def _handle(self, message: Request) -> None:
        match message:
            case Run(job=job):
                self._accept(job)
            case Cancel(id=id):
                self._batcher.drop(id)
                self._whole_jobs = [live for live in self._whole_jobs if live.job.id != id]
                self._mailbox.cancelled.discard(id)
            case Load(model=model):
                self._mailbox.outbox.put(Loaded(name=model.name, problem=self._load_problem(model)))
            case Free():
                self._mailbox.outbox.put(Freed(freed=self._free()))
            case Ping():
                return

    def _accept(self, job: Job) -> None:
        try:
            file = model_of(job)
            batched = self._models.runs_batched(file)
        except BadInput as error:
            self._fail(job, error)
            return
        live = LiveJob(job, self._mailbox.outbox.put, self._clock)
        if not (
            self._models.is_loaded(file_key(file, job.parts)) if batched else self._whole.is_ready(file, job.parts)
        ):
            live.tell(LoadingModel(name=file.name))
        if batched:
            self._batcher.add(live)
        else:
            self._whole_jobs.append(live)

    def _whole_leads(self) -> bool:
        """Whether the oldest whole-pipeline job came before every batched one that is here."""
        first = self._whole_jobs[0].arrival
        return all(live.arrival > first for live in self._batcher.jobs())

    def _run_whole(self, live: LiveJob) -> None:
        id = live.job.id
        try:
            self._whole.run(live, lambda: id in self._mailbox.cancelled)
        except Cancelled:
            logger.info("Job %s was cancelled.", id)
        except Exception as error:
            if is_poisoned(error):
                logger.exception("The device is lost; the engine ends.")
                raise
            leave_onednn_after(error)
            self._fail(live.job, error)
        self._whole_jobs.remove(live)

    def _perform(self, work: Work) -> None:
        """Run a piece of work. When it fails for several jobs, try each alone, so that only the guilty one fails."""
        try:
            self._with_room(work)
        except Cancelled:
            for live in work.jobs:
                self._batcher.drop(live.job.id)
        except Exception as error:
            if is_poisoned(error):
                # Only a new process has a working device again; whoever started this one makes the jobs again there.
                logger.exception("The device is lost; the engine ends.")
                raise
            if work.apart:
                for part in work.apart:
                    self._perform(part)
                return
            for live in work.jobs:
                self._batcher.drop(live.job.id)
                self._fail(live.job, error)

    def _with_room(self, work: Work) -> None:
        """Run a piece of work; where it runs out of memory, once more with nothing else in there."""
        try:
            work.run()
            return
        except RuntimeError as error:
            leave_onednn_after(error)
            if work.name not in _AGAIN or not is_out_of_memory(error) or not self._free():
                raise
        # Only out here the error has let go of what was half made.
        work.run()

    def _compiled(self) -> bool:
        """Compile a block that pictures were made with. False where there is none."""
        regions = self._to_compile()
        if regions is None:
            return False
        try:
            if regions is self._whole.regions:
                regions.compile_one()
            else:
                self._models.compile_one()
        except Exception as error:
            if is_poisoned(error):
                logger.exception("The device is lost; the engine ends.")
                raise
            regions.give_up(error)
        self._compiled_at = self._clock()
        return True

    def _to_compile(self) -> Regions | None:
        """The blocks of a loaded model that are yet to be compiled, if any."""
        whole = self._whole.regions
        return self._models.to_compile() or (whole if whole.waiting else None)

    def _blocks(self) -> tuple[int, int]:
        """How many blocks are compiled, and how many are to be."""
        ready, waiting = self._models.blocks()
        return ready + self._whole.regions.ready, waiting + self._whole.regions.waiting

    def _is_overdue(self) -> bool:
        """Whether the engine has been busy for so long that a block is compiled all the same."""
        if self._to_compile() is None:
            self._compiled_at = self._clock()
        return self._clock() - self._compiled_at > OVERDUE

    def _fail(self, job: Job, error: Exception) -> None:
        kind, sentence = _explained(error, job.parts)
        if kind == "failed":
            logger.error("Job %s failed.", job.id, exc_info=error)
        self._mailbox.outbox.put(JobFailed(id=job.id, sentence=sentence, kind=kind))

    def _load_problem(self, model: ModelFile) -> str | None:
        """Load a model ahead of its first job; the reason if that does not work."""
        try:
            if self._models.runs_batched(model):
                self._models.loaded(model, dict(model.companions))
            else:
                self._whole.ready(model, dict(model.companions))
        except Exception as error:
            if is_poisoned(error):
                logger.exception("The device is lost; the engine ends.")
                raise
            kind, sentence = _explained(error, dict(model.companions))
            if kind == "failed":
                logger.exception("Model %s could not be loaded.", model.name)
            return sentence
        return None

    def _free(self) -> bool:
        """Unload what no job needs."""
        needed = self._batcher.needed()
        freed = self._models.drop_others(None if needed is None else needed.weights)
        freed = self._batcher.free() or freed
        if not self._whole_jobs:
            freed = self._whole.drop() or freed
        return freed


def _explained(error: Exception, parts: Mapping[str, ModelFile]) -> tuple[str, str]:
    """(kind, sentence) of what went wrong, as JobFailed carries them. `parts`: the files that completed the model."""
    if isinstance(error, BadInput):
        return "bad_input", error.sentence
    if isinstance(error, UserError):
        return "refused", error.sentence
    if isinstance(error, BackendError):
        return "failed", error.sentence
    if is_out_of_memory(error):
        return "refused", "The device does not have enough memory for a picture of this size with this model."
    beside = ", ".join(f"'{part.name}'" for part in parts.values())
    hint = f" It was completed by {beside}: one that belongs to another model does not fit." if beside else ""
    return "failed", f"The model failed: {error}{hint}"
