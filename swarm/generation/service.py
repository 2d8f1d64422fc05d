"""The spine: every generation, from every door, is `async with service.run(request) as events`.

The block watches; the service owns the work. Leaving the block stops watching, nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup

from swarm.accounts.session import Session
from swarm.accounts.user import User
from swarm.base.errors import Unavailable, UserError
from swarm.base.ids import new_job_id
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.model import ModelEntry
from swarm.features.core import IMAGES
from swarm.features.special_logic import special_logic
from swarm.features.swarm import CONTINUE_AFTER_ERRORS
from swarm.features.webhooks import WEBHOOKS
from swarm.generation.budget import check_size, check_work, cost_of_one
from swarm.generation.claims import Claim, Claims
from swarm.generation.events import GenerationEvent
from swarm.generation.finish import Finisher
from swarm.generation.grid import send_grid
from swarm.generation.hook_tags import hook_tags
from swarm.generation.ledger import Ledger
from swarm.generation.picture import LEASE_SECONDS, WENT_WRONG, PictureRun
from swarm.generation.pictures import check_pictures
from swarm.generation.plan import Moment, Plan, plans
from swarm.generation.points import AFTER_BATCH
from swarm.generation.preset_peek import with_early_presets
from swarm.generation.promised import NOTHING_KEPT, Promised
from swarm.generation.resolve import completed, filled_prompt
from swarm.generation.rows import decode_plan, rows_of
from swarm.generation.run import Indices, RequestRun
from swarm.generation.spine import Spine
from swarm.generation.watch import Watch
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from swarm.params.request import parse_request
from swarm.prompt.expand import tag_table
from swarm.queue.jobs import JobRow

logger = logging.getLogger(__name__)
DAY_SECONDS = 24 * 3600.0
REMEMBER_SECONDS = 30 * DAY_SECONDS
FAIRNESS_SECONDS = 3600.0
ABOUT_TO_STOP = "The server is about to stop. Try again in a moment."
_DRAIN_STEP = 0.05
ADDED_AT_ONCE = 2
"""Pictures of users that are decoded and encoded at the same time: each is in memory several times meanwhile."""
LARGE_BODY = 200_000
"""Characters of text in a request above which parsing (base64, mostly) moves to a thread."""


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What is asked: `body` holds the parameters as a client writes them, `images` how many tasks.

    `offset`: the index of the first picture; `indices`: numbering shared by the requests of one socket.
    """

    session: Session
    body: JsonObject
    images: int
    offset: int = 0
    indices: Indices = field(default_factory=Indices)


UserOf = Callable[[str], User]


class GenerationService:
    """Accepts requests, carries their pictures, and takes up after a restart what it had promised."""

    def __init__(self, spine: Spine) -> None:
        self._spine = spine
        self._finisher = Finisher(spine)
        self._ledger = Ledger()
        self._claims = Claims()
        self._group: TaskGroup | None = None
        self._running: set[str] = set()
        self._minute: tuple[int, int] = (0, 0)
        self._draining = False
        self._adding = anyio.Semaphore(ADDED_AT_ONCE)

    # --- life ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self, users: UserOf) -> AsyncIterator[None]:
        """The service's life: entered at start, left at shutdown. What was promised before counts when it
        yields, and is taken up from then on."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._renew_leases)
            group.start_soon(self._forget_old_jobs)
            group.start_soon(self._ledger.keep_settling)
            await self._remember_device_time()
            promised = Promised(
                self._spine.queue, self._spine.outputs.places, self._ledger, self._claims, self._resume, users
            )
            await promised.look()
            group.start_soon(promised.take_up)
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()
        await self._ledger.settle()

    async def drain(self, seconds: float) -> None:
        """Before the end: take nothing new, begin no further picture, and wait for those being made, but not for ever.

        What is not done then is promised still, and made after the next start.
        """
        self._draining = self._spine.dispatch.paused = True
        with anyio.move_on_after(seconds):
            while self._claims.total()["live_gens"]:
                await anyio.sleep(_DRAIN_STEP)

    async def _renew_leases(self) -> None:
        while True:
            await anyio.sleep(LEASE_SECONDS / 3)
            if self._running:
                await self._ledger.write(self._spine.queue.renew, sorted(self._running), LEASE_SECONDS)

    async def _remember_device_time(self) -> None:
        """Fairness goes on where it was: what users had within the last hour still counts."""
        since = self._spine.now().timestamp() - FAIRNESS_SECONDS
        for user_id, seconds in (await to_thread(self._spine.queue.device_seconds, since)).items():
            self._spine.dispatch.device_time.charge(user_id, seconds)

    async def _forget_old_jobs(self) -> None:
        """Rows of jobs that ended long ago serve nobody; their pictures stay."""
        while True:
            now = self._spine.now().timestamp()
            await self._ledger.write(self._spine.queue.forget, now - REMEMBER_SECONDS)
            await anyio.sleep(DAY_SECONDS)

    async def _resume(self, row: JobRow, user: User, claim: Claim, kept: Mapping[int, str]) -> None:
        """Make a picture that was promised before a restart. Nobody watches; it goes to disk and history.

        `kept`: URLs of those of its pictures that are there already.
        """
        run = self._request_run(user, row.session_id, claim, Watch(), Indices())
        run.watch.leave()
        try:
            plan = decode_plan(row.id, row.index, row.body)
        except (UserError, ValueError, KeyError):
            logger.exception("The stored parameters of job %s cannot be read.", row.id)
            await self._ledger.write(self._spine.queue.fail, row.id, WENT_WRONG)
            claim.one_less()
            return
        if kept.keys() >= set(range(plan.batch)):
            await self._ledger.write(self._spine.queue.finish, row.id, "\n".join(kept.values()))
            claim.one_less()
            return
        await self._carry_picture(run, plan, kept)

    # --- asking -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def run(self, request: GenerationRequest) -> AsyncIterator[AsyncIterator[GenerationEvent]]:
        """Start the request and hand out its events, the first being a Status. They end with Discard and keep to the
        order of swarm-t2i 4.4. Leaving the block early stops watching; the pictures are still made and saved."""
        if self._group is None or self._draining:
            raise Unavailable(ABOUT_TO_STOP)
        watch = Watch()
        self._group.start_soon(self._carry, request, watch)
        try:
            yield watch
        finally:
            watch.leave()

    def status(self, session_id: str) -> JsonObject:
        """The wire's status object for one session (swarm-core 5.10)."""
        return self._status(self._claims.counters(session_id))

    def global_status(self) -> JsonObject:
        """The same, with the counters of all sessions of all users."""
        return self._status(self._claims.total())

    def counters(self, user_id: str | None = None) -> JsonObject:
        """The four counters over all sessions of a user, or of everyone."""
        return self._claims.total(user_id)

    def tag_names(self) -> frozenset[str]:
        """Every name of every prompt tag."""
        return frozenset(tag_table(self._spine.tags))

    def _status(self, counters: JsonObject) -> JsonObject:
        return {
            "status": counters,
            "backend_status": {**self._spine.pool.status(), **self._scan_status()},
            "supported_features": self._spine.pool.supported_features(),
        }

    def _scan_status(self) -> JsonObject:
        """How far the first look at many model files is, while nothing weightier is to be said."""
        progress = self._spine.catalog.progress
        if progress is None or self._spine.pool.status()["message"]:
            return {}
        return {"class": "soft", "message": f"Looking into model files: {progress[0]:,} of {progress[1]:,}."}

    def fill_prompt(self, prompt: str, user: User) -> str:
        """What a prompt could become, drawn with a random seed. Blocking. Raises UserError."""
        return filled_prompt(prompt, user, self._spine)

    def interrupt(self, session_id: str) -> int:
        """Interrupt everything the session has asked for so far."""
        return self._claims.interrupt(lambda claim: claim.session_id == session_id)

    def interrupt_user(self, user_id: str) -> int:
        """Interrupt everything all sessions of the user have asked for so far."""
        return self._claims.interrupt(lambda claim: claim.user_id == user_id)

    def model_file(self, model: ModelEntry) -> ModelFile:
        """A checkpoint to load, with what completes it. Raises BadInput when it cannot be used."""
        return completed(model, self._spine)

    @contextmanager
    def loading(self, session: Session) -> Iterator[None]:
        """Count a model load in the session's status for the duration of a SelectModel."""
        with self._claims.open(session.id, session.user.id) as claim:
            claim.loading_models = max(1, len(self._spine.pool.instances()))
            yield

    async def add_to_history(self, session: Session, image: str, body: JsonObject) -> JsonObject:
        """Save a picture that was not made here as if it had been (AddImageToHistory, swarm-t2i 4.11)."""
        input = await to_thread(self._parse, body, session.user)
        moment = self._next_moment()
        request_id = session.user.next_request_id()
        async with self._adding:
            saved = await to_thread(self._finisher.add, image, input, moment, session.user, request_id)
        return saved.to_wire()

    # --- carrying -----------------------------------------------------------------------------------------------

    def _request_run(self, user: User, session_id: str, claim: Claim, watch: Watch, indices: Indices) -> RequestRun:
        return RequestRun(
            user=user, claim=claim, watch=watch, status_body=partial(self.status, session_id), indices=indices
        )

    async def _carry(self, request: GenerationRequest, watch: Watch) -> None:
        user = request.session.user
        with self._claims.open(request.session.id, user.id, waiting_gens=request.images) as claim:
            run = self._request_run(user, request.session.id, claim, watch, request.indices)
            run.publish_status()
            try:
                await self._carry_out(request, run)
            except UserError as error:
                run.fail(error.sentence, error.error_id)
            except Exception:
                logger.exception("A generation request failed for a reason nobody foresaw.")
                run.fail(WENT_WRONG)
            finally:
                watch.end()

    async def _carry_out(self, request: GenerationRequest, run: RequestRun) -> None:
        input = await self._parsed(request.body, run.user)
        await self._refuse_too_much(input, run)
        planned = self._plans(request, input, run.user)
        run.continue_after_errors = input.get(CONTINUE_AFTER_ERRORS)
        run.claim.waiting_gens = len(planned)
        run.expected = sum(plan.batch for plan in planned)
        session = request.session
        rows = rows_of(planned, input, offset=request.offset, session_id=session.id, user_id=session.user.id)
        await self._ledger.once(self._spine.queue.accept, rows)
        limit = self.simultaneous(run.user)
        assert self._group is not None
        for plan in planned:
            await run.room(limit)
            if run.stopped or run.claim.interrupted:
                await self._ledger.write(self._spine.queue.cancel, [one.id for one in planned[planned.index(plan) :]])
                break
            self._group.start_soon(self._carry_picture, run, plan)
            await anyio.lowlevel.checkpoint()
        await run.all_ended()
        await send_grid(self._finisher, self._spine, run, input, planned)
        await self._spine.hooks.thread_through(AFTER_BATCH, tuple(run.saved), run.user.id)
        run.discard()
        tags = partial(hook_tags, self._spine, input, None, user=run.user, moment=planned[0].moment)
        await self._spine.webhooks.request_ended(input.get(WEBHOOKS), tags)

    async def _carry_picture(self, run: RequestRun, plan: Plan, kept: Mapping[int, str] = NOTHING_KEPT) -> None:
        self._running.add(plan.id)
        try:
            await PictureRun(self._spine, self._finisher, self._ledger, run, plan, kept).run()
        finally:
            self._running.discard(plan.id)

    async def _refuse_too_much(self, input: GenerationInput, run: RequestRun) -> None:
        """Raises UserError for more than the user may have: of the device, or of the disk."""
        limits, user = self._spine.settings().performance, run.user
        check_size(input, limits)
        check_work(input, self._claims.work(user.id), limits)
        run.claim.cost = cost_of_one(input)
        if user.settings.save_files and self._spine.outputs.max_bytes:
            await to_thread(self._spine.outputs.refuse_beyond, user.id, 1)

    async def _parsed(self, body: JsonObject, user: User) -> GenerationInput:
        large = sum(len(value) for value in body.values() if isinstance(value, str | list)) > LARGE_BODY
        return await to_thread(self._parse, body, user) if large else self._parse(body, user)

    def _parse(self, body: JsonObject, user: User) -> GenerationInput:
        choices = self._spine.shop.for_user(user)
        params, presets = self._spine.params, self._spine.presets(user.id)
        parsed = parse_request(body, params=params, choices=choices, permits=user.permits, presets=presets)
        check_pictures(parsed, params)
        settled = special_logic(parsed, rng=self._spine.random)
        return with_early_presets(settled, presets=presets, params=params, choices=choices, permits=user.permits)

    def _plans(self, request: GenerationRequest, input: GenerationInput, user: User) -> list[Plan]:
        return plans(
            input,
            images=input.get(IMAGES),
            offset=request.offset,
            request_id=user.next_request_id(),
            moment=self._next_moment(),
            ids=iter(new_job_id, ""),
        )

    def simultaneous(self, user: User) -> int:
        """How many tasks of one request of the user may be pending (swarm-t2i 4.7)."""
        if self._spine.settings().backends.unrestricted_max_t2i_simultaneous:
            return user.max_simultaneous
        return max(1, min(user.max_simultaneous, 2 * self._spine.pool.total_usages()))

    def _next_moment(self) -> Moment:
        """Local time and a counter that restarts at 1 each clock minute, and after 999 (swarm-t2i 6.1)."""
        now = self._spine.now()
        minute = int(now.timestamp() // 60)
        last_minute, count = self._minute
        count = count % 999 + 1 if minute == last_minute else 1
        self._minute = (minute, count)
        return Moment(time=now, count=count)
