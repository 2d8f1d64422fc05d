"""One task of a request: resolved, leased, made, saved, announced. Its row follows every step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from types import MappingProxyType

import anyio

from swarm.base.errors import BackendError, Crashed, Redirect, Refused, UserError
from swarm.base.tasks import to_thread
from swarm.features.core import NEGATIVE_PROMPT, PROMPT
from swarm.features.swarm import FORWARD_SWARM_DATA
from swarm.features.webhooks import WEBHOOKS
from swarm.generation.events import ImageSaved, Progress, RawSwarmData
from swarm.generation.finish import Finisher, Unsaved, input_of
from swarm.generation.hook_tags import announced_picture, hook_tags
from swarm.generation.ledger import Ledger
from swarm.generation.plan import Plan
from swarm.generation.points import BEFORE_GENERATE
from swarm.generation.resolve import Resolved, resolve
from swarm.generation.run import RequestRun
from swarm.generation.spine import Spine
from swarm.jobs.events import BackendEvent, ImageDone, LoadingModel, Preview, StepDone
from swarm.media.image import Pixels
from swarm.params.request import required_flags
from swarm.queue.jobs import MAX_ATTEMPTS, POISONOUS

LEASE_SECONDS = 60.0

INTERRUPTED = "Generation session interrupted."
NOTHING_MADE = "No images were generated (all refused, or failed - check server logs for details)."
WENT_WRONG = "Something went wrong while generating images."

logger = logging.getLogger(__name__)


class PictureRun:
    """Carries one plan. `run` never raises but when the server itself is stopping; then the row stays promised.

    `kept`: URLs of those of its pictures that an earlier run of the server has already put on disk.
    """

    def __init__(
        self,
        spine: Spine,
        finisher: Finisher,
        ledger: Ledger,
        run: RequestRun,
        plan: Plan,
        kept: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._spine = spine
        self._finisher = finisher
        self._ledger = ledger
        self._run = run
        self._plan = plan
        self._kept = kept
        self._done: dict[int, ImageSaved] = {}
        self._resolved: Resolved | None = None
        self._inside_backend = False
        self._device_seconds = 0.0
        self._begun = spine.clock()
        self._prepared = 0.0
        self._attempts = 0
        self._progressed: set[int] = set()

    async def run(self) -> None:
        with self._run.one_pending():
            with self._run.claim.cancellable() as scope:
                try:
                    async with self._spine.webhooks.busy():
                        await self._make()
                except (UserError, BackendError) as error:
                    await self._fail(error.sentence)
                except anyio.get_cancelled_exc_class():
                    if not scope.cancel_called:  # the server is stopping: the promise stays, and this was no attempt
                        with anyio.CancelScope(shield=True):
                            await self._ledger.write(self._spine.queue.give_back, [self._plan.id])
                    raise
                except Exception:
                    logger.exception("A picture failed for a reason nobody foresaw.")
                    await self._fail(WENT_WRONG)
            if scope.cancelled_caught:
                await self._interrupted()

    async def _make(self) -> None:
        if self._run.stopped:
            await self._ledger.write(self._spine.queue.cancel, [self._plan.id])
            return
        self._resolved = await self._resolve()
        while True:
            try:
                await self._attempt(self._resolved)
            except Redirect:
                await self._ledger.write(self._spine.queue.give_back, [self._plan.id])
                continue
            except Crashed as crash:
                logger.warning("A backend went away with picture %d: %s", self._plan.index, crash)
                if self._attempts >= MAX_ATTEMPTS:
                    raise Refused(POISONOUS) from crash
                continue
            break
        if not self._done and not self._kept and not self._run.stopped:
            raise Refused(NOTHING_MADE)
        await self._finish()

    async def _resolve(self) -> Resolved:
        """The job. Prompts with tags may take a second to unfold, in a thread, so that nobody else waits for them."""
        if any("<" in self._plan.input.get(prompt) for prompt in (PROMPT, NEGATIVE_PROMPT)):
            return await to_thread(resolve, self._plan, self._run.user, self._spine)
        return resolve(self._plan, self._run.user, self._spine)

    async def _finish(self) -> None:
        made = [saved.image for saved in self._done.values() if not saved.image.startswith("data:")]
        urls = "\n".join([*self._kept.values(), *made])
        await self._ledger.write(self._spine.queue.finish, self._plan.id, urls, seconds=self._device_seconds)

    async def _attempt(self, resolved: Resolved) -> None:
        job = await self._spine.hooks.thread_through(BEFORE_GENERATE, resolved.job, self._run.user.id)
        needs = required_flags(resolved.job.input, self._spine.params)
        async with AsyncExitStack() as held:
            with self._run.waiting_for_backend():
                await held.enter_async_context(self._spine.slots.one(self._run.user))
                lease = self._spine.dispatch.lease(job, needs=needs, loading=self._run.loading)
                instance = await held.enter_async_context(lease)
            if self._run.stopped:
                return
            self._run.publish_status()
            self._attempts = await self._ledger.insist(self._spine.queue.start, self._plan.id, LEASE_SECONDS)
            self._prepared = self._spine.clock() - self._begun
            with self._run.live(), self._within_backend():
                async with aclosing(instance.backend.generate(job)) as events:
                    async for event in events:
                        await self._heard(event, resolved)

    @contextmanager
    def _within_backend(self) -> Iterator[None]:
        """While the place at a backend is held: it is not handed on before the request knows that it has failed."""
        self._inside_backend = True
        try:
            yield
        except (Redirect, Crashed):
            raise
        except (UserError, BackendError):
            self._run.stop()
            raise

    async def _heard(self, event: BackendEvent, resolved: Resolved) -> None:
        match event:
            case StepDone():
                self._progress(self._plan.index, event.overall, event.current, None, resolved)
            case Preview():
                self._progress(self._plan.index + event.index, event.overall, event.current, event, resolved)
            case ImageDone():
                await self._image(event, resolved)
            case LoadingModel():
                self._run.publish_status()

    def _progress(
        self, index: int, overall: float, current: float, preview: Preview | None, resolved: Resolved
    ) -> None:
        first = not self._progressed
        self._progressed.add(index)
        self._run.publish(
            Progress(
                index=index,
                request_id=str(self._plan.request_id),
                overall=overall,
                current=current,
                preview=preview.picture if preview is not None else None,
                metadata=self._finisher.preview_metadata(resolved) if first else None,
            )
        )

    async def _image(self, done: ImageDone, resolved: Resolved) -> None:
        if done.real and (done.index in self._done or done.index in self._kept):
            return
        index = self._index_of(done)
        with anyio.CancelScope(shield=True):  # a finished picture is saved, whoever interrupts now
            try:
                saved = await self._finisher.finish(
                    done, index, resolved, self._plan, self._run.user, prepared=self._prepared
                )
            except Unsaved as problem:
                self._run.publish(problem.picture)
                raise
        if done.real:
            self._done[done.index] = saved
        self._device_seconds += done.seconds
        if done.real and isinstance(done.result, Pixels) and self._run.user.settings.max_images_in_mini_grid > 1:
            self._run.stills[index] = done.result
            self._run.seconds.append(done.seconds)
        self._run.saved.append(saved)
        if self._plan.input.get(FORWARD_SWARM_DATA):
            self._run.publish(RawSwarmData(params_used=tuple(resolved.job.input)))
        await self._tell_others(saved, done.index, resolved)
        self._run.publish(saved)

    async def _tell_others(self, saved: ImageSaved, number: int, resolved: Resolved) -> None:
        """Have the web hooks sent that this request wants."""
        spine, user, plan = self._spine, self._run.user, self._plan
        await spine.webhooks.picture(
            plan.input.get(WEBHOOKS),
            lambda: hook_tags(
                spine,
                input_of(resolved, number),
                saved.image,
                user=user,
                moment=plan.moment,
                models=resolved.models,
            ),
            lambda: announced_picture(spine, user, saved.image),
        )

    def _index_of(self, done: ImageDone) -> int:
        if not done.real:
            return self._run.indices.next_intermediate()
        if done.index >= self._plan.batch:
            return self._run.expected + self._run.indices.next_surplus()
        return self._plan.index + done.index

    async def _fail(self, sentence: str) -> None:
        await self._ledger.write(self._spine.queue.fail, self._plan.id, sentence)
        self._run.fail(sentence)

    async def _interrupted(self) -> None:
        if len(self._done) + len(self._kept) >= self._plan.batch:
            await self._finish()
            return
        await self._ledger.write(self._spine.queue.cancel, [self._plan.id])
        if self._inside_backend and not self._done:
            self._run.fail(INTERRUPTED)
