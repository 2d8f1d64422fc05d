"""The configured backends: started, watched, edited, restarted, stopped, and remembered in the backends file.

Everything here runs on the event loop, inside the pool's own task group. Who may use a backend: dispatch.py.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from swarm.backends.backend import Backend, BackendContext, BackendStatus, BackendType
from swarm.backends.guard import attempt
from swarm.backends.instance import BackendInstance
from swarm.backends.lifecycle import RESTART_SECONDS, RETRY_SECONDS, Lifecycle
from swarm.backends.relations import Kin
from swarm.backends.settings import changed, to_json
from swarm.backends.status import backend_status, supported_features
from swarm.backends.store import Record, read_records, set_aside, write_records
from swarm.backends.world import World
from swarm.base.errors import NotFound, Refused, UserError
from swarm.base.json import JsonObject
from swarm.base.registry import Registry
from swarm.base.tasks import to_thread

_STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


class BackendPool:
    """Owns the instances. Enter `running()` inside the server's lifespan.

    `file`: the backends file. `defaults`: (type id, settings by wire name) of the backends to make when there is no
    file yet. `max_init_attempts`: how often a failed start is tried again.
    """

    def __init__(
        self,
        types: Registry[BackendType],
        file: Path,
        data_dir: Path,
        models_roots: Sequence[Path],
        clock: Callable[[], float],
        max_init_attempts: int = 3,
        *,
        defaults: Sequence[tuple[str, Mapping[str, Any]]] = (),
        retry_seconds: float = RETRY_SECONDS,
        restart_seconds: float = RESTART_SECONDS,
        world: World | None = None,
    ) -> None:
        self.types = types
        self.clock = clock
        self.closing = False
        self.revision = 0
        self.waiting: Callable[[], int] = int
        self.starving = False
        self._world = world or World()
        self._file = file
        self._data_dir = data_dir
        self._models_roots = tuple(models_roots)
        self._defaults = defaults
        self._life = Lifecycle(
            lambda one: self._make(one.id, one.type, one.settings),
            self.status_changed,
            max_init_attempts=max_init_attempts,
            retry_seconds=retry_seconds,
            restart_seconds=restart_seconds,
        )
        self._instances: dict[int, BackendInstance] = {}
        self._strangers: list[Record] = []
        self._next_id = 0
        self._next_child = -1
        self._listeners: list[Callable[[], None]] = []
        self._saving = anyio.Lock()
        self._status: JsonObject | None = None
        self._features: list[str] | None = None

    @property
    def max_init_attempts(self) -> int:
        """How often a failed start is tried again."""
        return self._life.max_init_attempts

    @max_init_attempts.setter
    def max_init_attempts(self, attempts: int) -> None:
        self._life.max_init_attempts = attempts

    # --- what others see ----------------------------------------------------------------------------------------

    def instances(self) -> list[BackendInstance]:
        """Every backend, by id."""
        return [self._instances[key] for key in sorted(self._instances)]

    def find(self, backend_id: int) -> BackendInstance:
        """Raises NotFound with the wire's sentence."""
        try:
            return self._instances[backend_id]
        except KeyError:
            raise NotFound(f"Invalid backend ID {backend_id}") from None

    def status(self) -> JsonObject:
        """The wire's `backend_status`; remembered until something changes."""
        if self._status is None:
            self._status = backend_status(self.instances())
        return self._status

    def supported_features(self) -> list[str]:
        """The wire's `supported_features`, sorted."""
        if self._features is None:
            self._features = supported_features(self.instances())
        return self._features

    def total_usages(self) -> int:
        """How many jobs all running backends hold together."""
        return sum(instance.backend.max_usages for instance in self._instances.values() if instance.can_serve)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a backend changes its status or gets a place free."""
        self._listeners.append(listener)

    def place_freed(self) -> None:
        """A job or a load has left a backend."""
        self._life.freed.fire()
        for listener in self._listeners:
            listener()

    async def wait_for_place(self) -> None:
        """Wait for the next `place_freed`."""
        await self._life.freed.wait()

    def status_changed(self) -> None:
        """Something about the list or a backend's state is different now."""
        self.revision += 1
        self._status = self._features = None
        self.place_freed()

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run `work` in the pool's task group. Raises Unavailable when the pool is not running."""
        self._life.spawn(work, *args)

    # --- life ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BackendPool]:
        """The pool's life: backends start in the background; leaving stops them all."""
        async with anyio.create_task_group() as group:
            self._life.group = group
            await self.start()
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self.stop()
                group.cancel_scope.cancel()

    async def start(self) -> None:
        """Read the backends file, or make the default backends, and begin starting them."""
        records = await to_thread(self._read)
        if records is None:
            for type_id, settings in self._defaults:
                self._create(self._next_id, self.types[type_id], settings, title="", enabled=True)
            await self._save()
        for record in records or ():
            self._next_id = max(self._next_id, record.id + 1)
            if record.type not in self.types:
                logger.error("Backend %d is of the unknown type '%s' and is left alone.", record.id, record.type)
                self._strangers.append(record)
                continue
            self._create(
                record.id, self.types[record.type], record.settings, title=record.title, enabled=record.enabled
            )
        for instance in self.instances():
            self._life.begin(instance)

    def _read(self) -> list[Record] | None:
        try:
            return read_records(self._file)
        except UserError as error:
            aside = set_aside(self._file)
            logger.error("The backends file cannot be read: %s It is kept as %s.", error.sentence, aside.name)
            return None

    def _create(
        self, backend_id: int, type: BackendType, given: Mapping[str, Any], *, title: str, enabled: bool
    ) -> BackendInstance:
        try:
            settings = changed(type.settings(), given)
        except UserError as error:
            logger.error("Backend %d starts with default settings: %s", backend_id, error.sentence)
            settings = type.settings()
        backend = self._make(backend_id, type, settings)
        instance = BackendInstance(backend_id, type, settings, title=title, enabled=enabled, backend=backend)
        self._instances[backend_id] = instance
        self._next_id = max(self._next_id, backend_id + 1)
        return instance

    def _make(self, backend_id: int, type: BackendType, settings: Any) -> Backend:
        context = BackendContext(
            id=backend_id,
            data_dir=self._data_dir,
            models_roots=self._models_roots,
            world=self._world,
            relations=Kin(self, backend_id),
        )
        return type.make(context, settings)

    def add_child(self, parent_id: int, type: BackendType, settings: Any, title: str) -> BackendInstance:
        """A backend that lives as long as the one that brings it along, and is not in the file."""
        parent = self.find(parent_id)
        backend_id, self._next_child = self._next_child, self._next_child - 1
        backend = self._make(backend_id, type, settings)
        instance = BackendInstance(backend_id, type, settings, title=title, enabled=True, backend=backend)
        instance.parent = parent
        self._instances[backend_id] = instance
        self._life.begin(instance)
        return instance

    def drop_child(self, instance: BackendInstance) -> None:
        """Take such a backend out; the jobs inside go on or fail by themselves."""
        if self._instances.get(instance.id) is instance:
            instance.reserved = instance.leaving = True
            del self._instances[instance.id]
            if self._life.group is not None:
                self.spawn(self._life.take_down, instance)
            self.status_changed()

    async def stop(self) -> None:
        """Refuse new work, give busy backends a few seconds, and stop them all."""
        self.closing = True
        self._life.group = None
        self.status_changed()
        async with anyio.create_task_group() as group:
            for instance in self.instances():
                group.start_soon(self._stop_one, instance)

    async def _stop_one(self, instance: BackendInstance) -> None:
        instance.reserved = instance.leaving = True
        with anyio.move_on_after(_STOP_SECONDS):
            await self._life.until_free(instance)
        await self._life.take_down(instance)

    # --- what administrators do ---------------------------------------------------------------------------------

    async def add(self, type_id: str) -> BackendInstance:
        """A new backend with default settings. Raises Refused with the wire's sentence for an unknown type."""
        if type_id not in self.types:
            raise Refused(f"Invalid backend type: {type_id}")
        instance = self._create(self._next_id, self.types[type_id], {}, title="", enabled=True)
        self._life.begin(instance)
        await self._save()
        return instance

    async def edit(self, backend_id: int, settings: Mapping[str, Any], title: str, new_id: int = -1) -> BackendInstance:
        """Change a backend once it is free, and start it anew. `new_id` -1 keeps its id."""
        instance = self._own(backend_id)
        if new_id not in (-1, backend_id) and (new_id < 0 or self._is_taken(new_id)):
            raise Refused(f"Backend ID {new_id} is already in use.")
        fresh = changed(instance.settings, settings)
        async with self._withdrawn(instance):
            if new_id not in (-1, instance.id):
                del self._instances[instance.id]
                instance.id = new_id
                self._instances[new_id] = instance
                self._next_id = max(self._next_id, new_id + 1)
            instance.settings = fresh
            instance.title = title
            instance.mod_count += 1
        await self._save()
        return instance

    def _is_taken(self, backend_id: int) -> bool:
        return backend_id in self._instances or any(record.id == backend_id for record in self._strangers)

    def _own(self, backend_id: int) -> BackendInstance:
        """One of the file, which administrators may change."""
        instance = self.find(backend_id)
        if instance.parent is not None:
            raise Refused(f"Backend {backend_id} came with another one: change backend {instance.parent.id} instead.")
        return instance

    async def delete(self, backend_id: int) -> bool:
        """Remove a backend once it is free; False when there was none."""
        instance = self._instances.get(backend_id)
        if instance is None:
            return False
        self._own(backend_id)
        instance.leaving = True
        async with self._withdrawn(instance):
            instance.enabled = False
            self._instances.pop(instance.id, None)
        await self._save()
        return True

    async def toggle(self, backend_id: int, enabled: bool) -> bool:
        """Switch a backend on or off once it is free; False when it was so already."""
        instance = self._own(backend_id)
        if instance.enabled == enabled:
            return False
        instance.leaving = not enabled
        async with self._withdrawn(instance):
            instance.enabled = enabled
        await self._save()
        return True

    async def restart(self, backend: str = "all") -> int:
        """Stop and start again those that run or have failed, each once it is free; returns how many."""
        states = (BackendStatus.RUNNING, BackendStatus.ERRORED)
        wanted = [one for one in self._named(backend) if one.status in states and one.parent is None]
        async with anyio.create_task_group() as group:
            for instance in wanted:
                group.start_soon(self._restart_one, instance)
        return len(wanted)

    async def _restart_one(self, instance: BackendInstance) -> None:
        async with self._withdrawn(instance):
            instance.losses = 0

    async def free_memory(self, *, system_ram: bool = False, backend: str = "all") -> int | None:
        """Ask running backends for memory; how many gave some, or None when none was asked."""
        wanted = [one for one in self._named(backend) if one.status is BackendStatus.RUNNING]
        if not wanted:
            return None
        freed = 0
        for instance in wanted:
            result = await attempt(instance.backend.free(system_ram=system_ram), str(instance))
            freed += result is True
        return freed

    def _named(self, backend: str) -> Iterable[BackendInstance]:
        return [one for one in self.instances() if backend == "all" or str(one.id) == backend]

    @asynccontextmanager
    async def _withdrawn(self, instance: BackendInstance) -> AsyncIterator[None]:
        """Take no new jobs, wait for the present ones, stop; change it inside the block; then start it anew."""
        try:
            async with instance.lock:
                if self.find(instance.id) is not instance:
                    raise NotFound(f"Invalid backend ID {instance.id}")
                instance.reserved = True
                self.status_changed()
                await self._life.until_free(instance)
                with anyio.CancelScope(shield=True):
                    await self._life.take_down(instance)
                    yield
                    instance.reserved = instance.leaving = False
                    self._life.begin(instance)
        finally:
            instance.reserved = instance.leaving = False
            self.status_changed()

    async def _save(self) -> None:
        """Write the backends file. A disk that refuses is reported to whoever made the change."""
        records = [
            Record(
                id=one.id,
                type=one.type.id,
                title=one.title,
                enabled=one.enabled,
                settings=to_json(one.settings, masked=False),
            )
            for one in self.instances()
            if one.parent is None
        ]
        try:
            async with self._saving:
                await to_thread(write_records, self._file, [*records, *self._strangers])
        except OSError as error:
            logger.error("The backends file could not be written: %s", error)
            raise Refused(
                f"The change holds until the server stops: it could not be saved ({error.strerror})."
            ) from None


__all__ = ["BackendInstance", "BackendPool"]
