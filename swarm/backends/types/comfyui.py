"""A running ComfyUI by its address: jobs become workflows there (swarm-models-backends 5.4)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.backends.comfy.client import ComfyClient
from swarm.backends.comfy.info import ComfyInfo
from swarm.backends.comfy.workflow import features_of, loading_workflow, refused, uploads, workflow_of
from swarm.backends.peer import Peer, Unreachable
from swarm.base.errors import BackendError, Crashed, UserError
from swarm.base.tasks import to_thread
from swarm.jobs.events import BackendEvent, ImageDone
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Picture, Pixels, decode

WATCH_SECONDS = 5.0
_STILLS = ("image/png", "image/jpeg")


@dataclass(frozen=True, kw_only=True)
class ComfySettings:
    """Where ComfyUI is, and how much is given to it."""

    address: str = setting("", "Base address of ComfyUI.", placeholder="http://127.0.0.1:8188")
    allow_idle: bool = setting(False, "A server that does not answer is idle, not failed.")
    over_queue: int = setting(1, "How many jobs may wait inside besides the one that runs.")


class ComfyBackend:
    """Speaks to one ComfyUI."""

    def __init__(self, context: BackendContext, settings: ComfySettings) -> None:
        self._context = context
        self._settings = settings
        self._lost: Callable[[str], None] | None = None
        self._info: ComfyInfo | None = None
        self._model: str | None = None
        self._scope = anyio.CancelScope()
        self.max_usages = 1 + max(0, settings.over_queue)
        self.model_names: dict[str, frozenset[str]] | None = None

    @property
    def features(self) -> frozenset[str]:
        return features_of(self._info) if self._info is not None else frozenset()

    def refuses(self, params: frozenset[str]) -> str | None:
        return refused(params)

    @property
    def current_model(self) -> str | None:
        return self._model

    async def start(self, lost: Callable[[str], None]) -> None:
        self._client = ComfyClient(Peer(self._context.world.outgoing, self._settings.address))
        info = await self._client.info()
        if info.missing is not None:
            raise BackendError(f"{self._settings.address} is no ComfyUI that can be used: it has no {info.missing}.")
        self._info, self._lost = info, lost
        self.model_names = dict(info.models)
        self._context.relations.spawn(self._watch)

    async def stop(self) -> None:
        self._lost = None
        self._scope.cancel()

    async def load(self, model: ModelFile) -> None:
        async with aclosing(self._client.work(loading_workflow(model, self._known()))) as events:
            async for _ in events:
                pass
        self._model = model.name

    async def free(self, *, system_ram: bool) -> bool:
        freed = await self._client.free(system_ram=system_ram)
        self._model = None if freed else self._model
        return freed

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        began, index = time.monotonic(), 0
        try:
            uploaded = {
                id: await self._client.upload(picture, f"swarm_{self._context.id}_{job.id}_{id}.png")
                for id, picture in uploads(job)
            }
            workflow = workflow_of(job, self._known(), uploaded, self._context.world.architectures)
            async with aclosing(self._client.work(workflow)) as events:
                async for event in events:
                    if isinstance(event, Picture):
                        seconds = time.monotonic() - began
                        yield ImageDone(index=index, result=await _result(event), seconds=seconds)
                        index += 1
                    else:
                        yield event
        except (Unreachable, Crashed) as error:
            await self._look()
            raise Crashed(error.sentence) from None
        if job.model is not None:
            self._model = job.model.name

    def _known(self) -> ComfyInfo:
        if self._info is None:
            raise BackendError("ComfyUI has not answered yet.")
        return self._info

    async def _watch(self) -> None:
        with self._scope:
            while self._lost is not None:
                await anyio.sleep(WATCH_SECONDS)
                await self._look()

    async def _look(self) -> None:
        """When it does not answer, it counts as gone."""
        try:
            await self._client.is_there()
        except BackendError as error:
            lost, self._lost = self._lost, None
            if lost is not None:
                lost(error.sentence)


async def _result(picture: Picture) -> Pixels | Picture:
    """Pixels of a still picture, so that it is saved as its user wants; else the file."""
    try:
        return await to_thread(decode, picture) if picture.mime in _STILLS else picture
    except UserError as error:
        raise BackendError(f"ComfyUI's result cannot be used: {error.sentence}") from None


TYPE = BackendType(
    id="comfyui_api",
    label="ComfyUI API By URL",
    description="A running ComfyUI, here or elsewhere. Jobs become workflows made of its own nodes.",
    settings=ComfySettings,
    make=ComfyBackend,
    standard=False,
    fast=True,
    remote=True,
)
