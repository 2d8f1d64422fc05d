"""Another Swarm server: every backend that it has becomes one of ours (swarm-models-backends 4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio

from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.backends.peer import Peer, header_lines
from swarm.backends.remote_swarm.child import RemoteChild
from swarm.backends.remote_swarm.listing import TITLE_MARK, Entry, entries_of, leads_back, models_of
from swarm.backends.remote_swarm.session import RemoteSession
from swarm.base.errors import BackendError
from swarm.base.json import JsonObject
from swarm.catalog.model import ModelEntry
from swarm.catalog.sets import SETS
from swarm.jobs.events import BackendEvent
from swarm.jobs.job import Job, ModelFile

POLL_SECONDS = 5.0
LOADING_SECONDS = 1.0
ASK_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class SwarmSettings:
    """Where the other Swarm is, and how to speak to it."""

    address: str = setting("", "Base address of the other Swarm.", placeholder="http://192.168.0.2:7801")
    allow_idle: bool = setting(False, "A server that does not answer is idle, not failed.")
    allow_forwarding: bool = setting(True, "Also use the servers that the other Swarm uses itself.")
    allow_websocket: bool = setting(True, "Use WebSockets, with progress and previews. Without them plain HTTP.")
    authorization_header: str = setting("", "Whole value of the Authorization header, if one is needed.", secret=True)
    other_headers: str = setting("", "Further headers, each on a line of its own as 'Name: Value'.")
    connection_attempt_timeout_seconds: int = setting(30, "How long opening a session may take.")


class SwarmControl:
    """Watches the other Swarm and keeps a child for each of its running backends. Makes nothing itself."""

    def __init__(self, context: BackendContext, settings: SwarmSettings) -> None:
        self._context = context
        self._settings = settings
        self._lost: Callable[[str], None] | None = None
        self._children: dict[int, tuple[int, RemoteChild]] = {}
        self._scope = anyio.CancelScope()
        self.model_names: dict[str, frozenset[str]] | None = None
        self.uses_sockets = settings.allow_websocket
        self.can_load_models = False
        self.server_id = ""

    @property
    def features(self) -> frozenset[str]:
        return frozenset()

    @property
    def max_usages(self) -> int:
        return 0

    @property
    def current_model(self) -> str | None:
        return None

    @property
    def route(self) -> tuple[str, ...]:
        return (self.server_id,) if self.server_id else ()

    def refuses(self, params: frozenset[str]) -> str | None:
        return "Control instances cannot generate."

    def new_session(self) -> RemoteSession:
        seconds = float(max(1, self._settings.connection_attempt_timeout_seconds))
        return RemoteSession(self.peer, self._context.world.server_id, seconds)

    async def start(self, lost: Callable[[str], None]) -> None:
        headers = header_lines(self._settings.authorization_header, self._settings.other_headers)
        self.peer = Peer(self._context.world.outgoing, self._settings.address, headers)
        self._session = self.new_session()
        await self._session.open()
        self.server_id = self._session.server_id
        entries = await self._entries()
        await self._borrow_models()
        while self._reconcile(entries):
            await anyio.sleep(LOADING_SECONDS)
            entries = await self._entries()
        self._lost = lost
        self._context.relations.spawn(self._watch)

    async def stop(self) -> None:
        self._lost = None
        self._scope.cancel()
        for linked in list(self._children):
            self._dismiss(linked)
        self._context.world.lend(self._lender, ())

    def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        raise BackendError("Control instances cannot generate.")

    async def load(self, model: ModelFile) -> None:
        raise BackendError("Control instances cannot generate.")

    async def free(self, *, system_ram: bool) -> bool:
        return False

    async def still_there(self) -> bool:
        try:
            self._reconcile(await self._entries())
        except BackendError as error:
            self._gone(error.sentence)
            return False
        return True

    # --- watching -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look every few seconds; two failures in a row, and the remote is gone."""
        failures = 0
        with self._scope:
            while True:
                await anyio.sleep(POLL_SECONDS)
                try:
                    self._reconcile(await self._entries())
                    failures = 0
                except BackendError as error:
                    failures += 1
                    if failures > 1:
                        self._gone(error.sentence)
                        return

    def _gone(self, sentence: str) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(sentence)

    async def _entries(self) -> list[Entry]:
        seconds = min(ASK_SECONDS, float(max(1, self._settings.connection_attempt_timeout_seconds)))
        return entries_of(await self._session.call("ListBackends", {"nonreal": True, "full_data": True}, seconds))

    def _reconcile(self, entries: list[Entry]) -> bool:
        """Have a child for each backend of the remote that runs; True while some of them still start."""
        usable = {one.id: one for one in entries if one.status == "running" and self._may_use(one)}
        for linked in [one for one in self._children if one not in usable]:
            self._dismiss(linked)
        is_changed = False
        for linked, entry in usable.items():
            if linked in self._children:
                child = self._children[linked][1]
                is_changed = is_changed or child.entry != entry
                child.entry = entry
            else:
                self._adopt(entry)
        if is_changed:
            self._context.relations.changed()
        return any(one.status in ("loading", "waiting") and not one.servers for one in entries)

    def _may_use(self, entry: Entry) -> bool:
        if leads_back(entry, self._context.world.server_id):
            return False
        return self._settings.allow_forwarding or (entry.type != TYPE.id and entry.id >= 0)

    def _adopt(self, entry: Entry) -> None:
        made: list[RemoteChild] = []

        def make(context: BackendContext, _: SwarmSettings) -> RemoteChild:
            latest = made[-1].entry if made else entry
            made.append(RemoteChild(context, self, latest))
            self._children[entry.id] = context.id, made[-1]
            return made[-1]

        title = f"{TITLE_MARK}{self._context.id}: {self._settings.address}] {entry.title}".rstrip()
        self._context.relations.adopt(replace(TYPE, make=make), self._settings, title)

    def _dismiss(self, linked: int) -> None:
        child = self._children.pop(linked, None)
        if child is not None:
            self._context.relations.dismiss(child[0])

    # --- models -------------------------------------------------------------------------------------------------

    @property
    def _lender(self) -> str:
        return f"backend {self._context.id}"

    async def _borrow_models(self) -> None:
        found: dict[str, list[ModelEntry]] = {one.id: [] for one in SETS}
        asked: JsonObject = {
            "path": "",
            "depth": 999,
            "allowRemote": self._settings.allow_forwarding,
            "dataImages": True,
        }

        async def ask(subtype: str) -> None:
            with suppress(BackendError):  # an older Swarm does not know every set
                answer = await self._session.call("ListModels", {**asked, "subtype": subtype})
                found[subtype] = models_of(answer, subtype, self._context.world.architectures)

        async with anyio.create_task_group() as group:
            for subtype in found:
                group.start_soon(ask, subtype)
        self.model_names = {
            subtype: frozenset(one.name for one in models) for subtype, models in found.items() if models
        }
        self._context.world.lend(self._lender, [one for models in found.values() for one in models])


TYPE = BackendType(
    id="swarmswarmbackend",
    label="Swarm-API-Backend",
    description="Another Swarm server, here or elsewhere: its backends work for this one as well.",
    settings=SwarmSettings,
    make=SwarmControl,
    fast=True,
    remote=True,
)
