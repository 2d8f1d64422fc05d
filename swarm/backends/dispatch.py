"""Who gets which backend when: fairness between users, models that must be loaded first, refusals, timeouts.

Runs on the event loop. Decisions are made when something happens (a job comes, a place is freed, a backend changes, a
load ends), never on a timer. Order: the user with the least recent device time first; within a user, first come, first
served, as far as the backends allow (swarm-models-backends 3.5, with fairness in place of its pressure scores).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from heapq import heapify, heappop
from itertools import count

import anyio

from swarm.backends.backend import BackendStatus
from swarm.backends.guard import Problem, attempt
from swarm.backends.instance import BackendInstance
from swarm.backends.lifecycle import SHUTTING_DOWN
from swarm.backends.loads import NOT_LOADED, LoadKey, LoadLog, load_key
from swarm.backends.matching import (
    NO_BACKENDS,
    Demand,
    demand_of,
    load_failure_sentence,
    no_match_sentence,
    refusal,
)
from swarm.backends.pool import BackendPool
from swarm.backends.waiting import Lines, Waiter
from swarm.base.errors import Refused, SwarmError, Unavailable
from swarm.jobs.job import Job, ModelFile
from swarm.queue.fairness import DeviceTime

TIMEOUT = "Timeout! All backends are occupied with other tasks."
_HOLD_PER_LOAD = 2.0
_MAX_HOLD_SECONDS = 30.0


class Dispatcher:
    """Lends backends to jobs. `load_preference`: `last_used` loads onto the least recently used one, `first_free` onto
    the first of the list. `steady`: seconds on a clock that never jumps; the event loop's when None."""

    def __init__(
        self,
        pool: BackendPool,
        clock: Callable[[], float],
        timeout_minutes: float = 10080,
        load_preference: str = "last_used",
        *,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self.timeout_seconds = timeout_minutes * 60
        self.load_preference = load_preference
        self._steady = steady or anyio.current_time
        self.device_time = DeviceTime(self._steady)
        self._lines = Lines()
        self._loads = LoadLog()
        self._numbers = count()
        self.paused = False
        """Nothing is lent any more: the server is about to stop, and what waits will wait for the next start."""
        self._judged_revision = -1
        self._suspects: set[str] = set()
        pool.waiting = lambda: len(self._lines)
        pool.on_change(self._review)

    def __len__(self) -> int:
        """How many jobs wait for a backend."""
        return len(self._lines)

    @asynccontextmanager
    async def lease(
        self, job: Job, *, needs: frozenset[str], loading: Callable[[int], None]
    ) -> AsyncIterator[BackendInstance]:
        """Wait for a backend that can make `job` (with its model loaded) and hold a place in it for the block.

        `needs`: feature flags of the parameters that are set. `loading`: called with +1 and -1 around a load of the
        job's model. Raises Refused or Unavailable with the client's sentence (swarm-models-backends 3.6).
        """
        instance = await self._obtain(job, needs, loading)
        since, boots = self._steady(), instance.boots
        try:
            yield instance
        finally:
            self._suspect(job, instance, boots)
            self._release(instance, job.user_id, self._steady() - since)

    async def select(self, model: ModelFile, backend_id: str | None = None) -> bool:
        """Load `model` now on every running backend (or the one with this id), one after another; True if any did."""
        wanted = [one for one in self._pool.instances() if one.can_serve and backend_id in (None, str(one.id))]
        succeeded = False
        for instance in wanted:
            while instance.can_serve and instance.loading_model is not None:
                await self._pool.wait_for_place()
            if instance.can_serve:
                instance.loading_model = model
                done = anyio.Event()
                self._pool.spawn(self._load, instance, model, done)
                await done.wait()
                succeeded = succeeded or instance.backend.current_model == model.name
        return succeeded

    # --- waiting ------------------------------------------------------------------------------------------------

    async def _obtain(self, job: Job, needs: frozenset[str], loading: Callable[[int], None]) -> BackendInstance:
        demand = demand_of(job, needs, alone=job.id in self._suspects)
        self._suspects.discard(job.id)
        waiter = Waiter(next(self._numbers), job.user_id, demand, job.model, loading)
        self._arrive(waiter)
        try:
            with anyio.move_on_after(self.timeout_seconds):
                await waiter.settled.wait()
        except BaseException:
            self._leave(waiter)
            if waiter.instance is not None:  # lent in the same moment as this job was cancelled
                self._release(waiter.instance, job.user_id, 0.0)
            raise
        self._leave(waiter)
        if waiter.instance is not None:
            return waiter.instance
        raise waiter.error or Unavailable(TIMEOUT)

    def _arrive(self, waiter: Waiter) -> None:
        self._lines.add(waiter)
        self._judge(waiter.demand)
        if waiter.demand.load is not None and self._loads.is_loading(waiter.demand.load):
            waiter.tell_loading(True)
        self._assign()

    def _leave(self, waiter: Waiter) -> None:
        """Out of line, and nothing of it stays."""
        self._lines.remove(waiter)
        waiter.tell_loading(False)
        if waiter.demand.load is not None:
            self._forget_unwanted(waiter.demand.load)

    def _forget_unwanted(self, load: LoadKey) -> None:
        if not self._lines.wants(load):
            self._loads.forget(load)

    def _settle(
        self, waiter: Waiter, *, instance: BackendInstance | None = None, error: SwarmError | None = None
    ) -> None:
        waiter.instance = instance
        waiter.error = error
        self._leave(waiter)
        waiter.settled.set()

    def _suspect(self, job: Job, instance: BackendInstance, boots: int) -> None:
        """A job whose backend went away under it is tried again alone, so that the one who did it harms no others."""
        is_gone = instance.status is not BackendStatus.RUNNING and not instance.reserved
        if is_gone or instance.boots != boots:
            self._suspects.add(job.id)

    def _release(self, instance: BackendInstance, user_id: str, seconds: float) -> None:
        instance.usages -= 1
        instance.works_alone = False
        instance.used(self._clock())
        self.device_time.end(user_id, seconds)
        self._pool.place_freed()

    # --- deciding -----------------------------------------------------------------------------------------------

    def _review(self) -> None:
        """Something changed: refuse what has become hopeless, lend what has become free."""
        if self._judged_revision != self._pool.revision:
            self._judged_revision = self._pool.revision
            for demand in self._lines.demands():
                self._judge(demand)
        self._assign()

    def _judge(self, demand: Demand) -> None:
        """Settle everybody with this demand when no backend will ever take them."""
        error = self._hopelessness(demand)
        if error is not None:
            for waiter in self._lines.demanding(demand):
                self._settle(waiter, error=error)

    def _hopelessness(self, demand: Demand) -> SwarmError | None:
        """Why waiting is pointless; None while somebody may take such jobs now or later."""
        if self._pool.closing:
            return Unavailable(SHUTTING_DOWN)
        instances = self._pool.instances()
        hopeful = [one for one in instances if (one.can_serve or one.is_coming) and refusal(demand, one) is None]
        if hopeful:
            return self._load_failure(demand, hopeful)
        if any(one.may_grow for one in instances):
            self._pool.starving = True
            return None
        serving = [one for one in instances if one.can_serve]
        if serving:
            return Refused(no_match_sentence(filter(None, (refusal(demand, one) for one in serving))))
        if any(one.is_coming for one in instances):
            return None
        return Unavailable(NO_BACKENDS)

    def _load_failure(self, demand: Demand, hopeful: Sequence[BackendInstance]) -> SwarmError | None:
        load = demand.load
        if load is None or not demand.loads or any(one.backend.current_model == demand.model for one in hopeful):
            return None
        if not all(self._loads.is_bad(load, one) for one in hopeful):
            return None
        return Unavailable(load_failure_sentence(load[0], self._loads.reasons(load, hopeful)))

    def _assign(self) -> None:
        """Lend free places and begin loads until nothing more can be done."""
        while self._lines and not self.paused and (free := [one for one in self._pool.instances() if one.is_free]):
            if not any(self._serve(waiter, free) for waiter in self._turns()):
                return

    def _turns(self) -> Iterator[Waiter]:
        """The head of every line, the one whose turn it is first. Lazy, for mostly the first can be served."""
        burdens = self.device_time.burdens(self._lines.users())
        turns = [(burdens[waiter.user_id], waiter.number, waiter) for waiter in self._lines.heads()]
        heapify(turns)
        while turns:
            yield heappop(turns)[2]

    def _serve(self, waiter: Waiter, free: list[BackendInstance]) -> bool:
        """Lend a backend to this job or begin loading its model; False when it has to wait on."""
        demand = waiter.demand
        fit = [one for one in free if refusal(demand, one) is None]
        if demand.alone and fit:
            emptiest = min(fit, key=lambda one: one.usages)
            free.remove(emptiest)  # those whose turn is later leave it alone, so that it empties
            fit = [emptiest] if emptiest.usages == 0 else []
        ready = [one for one in fit if self._is_ready(demand, one)]
        if ready:
            self._lend(waiter, min(ready, key=lambda one: one.usages))
            return True
        if waiter.model is None or demand.load is None or self._loads.is_loading(demand.load):
            return False
        load = demand.load
        loaders = [one for one in fit if not self._loads.is_bad(load, one) and self._may_swap(one)]
        if not loaders:
            return False
        self._begin_load(min(loaders, key=self._loading_rank), waiter.model)
        return True

    def _is_ready(self, demand: Demand, instance: BackendInstance) -> bool:
        return demand.model is None or not demand.loads or instance.backend.current_model == demand.model

    def _lend(self, waiter: Waiter, instance: BackendInstance) -> None:
        instance.usages += 1
        instance.works_alone = waiter.demand.alone
        instance.used(self._clock())
        self._pool.starving = False
        self.device_time.begin(waiter.user_id)
        self._settle(waiter, instance=instance)

    # --- loading ------------------------------------------------------------------------------------------------

    def _may_swap(self, instance: BackendInstance) -> bool:
        """A model that is still waited for stays a while, in proportion to what loading it took: otherwise two users
        with two models would have everybody wait for loads only."""
        model = instance.backend.current_model
        if model is None or self._steady() >= instance.hold_until:
            return True
        return not any(one.model == model and refusal(one, instance) is None for one in self._lines.demands())

    def _loading_rank(self, instance: BackendInstance) -> tuple[bool, float]:
        """Smallest is loaded onto first: unused ones before busy ones, then by preference."""
        by_use = instance.last_used if self.load_preference == "last_used" else 0.0
        return (instance.usages > 0, by_use)

    def _begin_load(self, instance: BackendInstance, model: ModelFile) -> None:
        load = load_key(model)
        instance.loading_model = model
        self._loads.begin(load, instance)
        for waiter in self._lines.wanting(load):
            waiter.tell_loading(True)
        self._pool.spawn(self._load, instance, model, anyio.Event())

    async def _load(self, instance: BackendInstance, model: ModelFile, done: anyio.Event) -> None:
        """Make `model` the current one of a backend whose `loading_model` it already is; then decide anew."""
        started, load = self._steady(), load_key(model)
        try:
            result = await attempt(instance.backend.load(model), f"{instance}, loading '{model.name}'")
        finally:
            instance.loading_model = None
            done.set()
        problem = result if isinstance(result, Problem) else None
        if problem is None and instance.backend.current_model != model.name:
            problem = Problem(sentence=NOT_LOADED)
        self._loads.end(load, instance, problem)
        if problem is None:
            now = self._steady()
            instance.hold_until = now + min(_MAX_HOLD_SECONDS, _HOLD_PER_LOAD * (now - started))
        for waiter in self._lines.wanting(load):
            waiter.tell_loading(False)
        self._forget_unwanted(load)
        self._pool.status_changed()
