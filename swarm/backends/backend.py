"""What a backend is, and what a kind of backend is. Instances live in pool.py, kinds in types/."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from swarm.backends.world import Nobody, Relations, World
from swarm.jobs.events import BackendEvent
from swarm.jobs.job import Job, ModelFile


class BackendStatus(Enum):
    """Where a backend stands; only RUNNING can serve (swarm-models-backends 3.4)."""

    DISABLED = "disabled"
    ERRORED = "errored"
    WAITING = "waiting"
    LOADING = "loading"
    IDLE = "idle"
    RUNNING = "running"


class Backend(Protocol):
    """Someone who makes pictures. Made by a BackendType, started, used and stopped by the pool."""

    @property
    def features(self) -> frozenset[str]:
        """Feature flags it supports, e.g. `comfyui`, `variation_seed`."""

    @property
    def max_usages(self) -> int:
        """How many jobs it may hold at once."""

    @property
    def current_model(self) -> str | None:
        """Name of the model it holds ready, extension included."""

    @property
    def model_names(self) -> dict[str, frozenset[str]] | None:
        """Model names by set that it can use, or None when it uses this server's own catalog."""

    async def start(self, lost: Callable[[str], None]) -> None:
        """Become able to serve; raises BackendError with a sentence.

        `lost(sentence)`: call it, on the event loop, when service ends unasked. An instance is started once.
        """

    async def stop(self) -> None:
        """End and free everything, however far it got; may be called twice. Jobs it still holds end in Crashed."""

    def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        """Work on `job`. Closing the generator (aclose) cancels the job. Raises BackendError or UserError."""

    async def load(self, model: ModelFile) -> None:
        """Make `model` the current one; raises BackendError with the reason."""

    async def free(self, *, system_ram: bool) -> bool:
        """Give memory back (device memory, and host memory when asked); True if something was freed."""


@dataclass(frozen=True, kw_only=True)
class BackendContext:
    """What a backend instance is handed when it is made: nothing global, nothing hidden.

    `world`: the server around it. `relations`: its place in the list, for kinds that add backends of their own.
    """

    id: int
    data_dir: Path
    models_roots: tuple[Path, ...]
    world: World = field(default_factory=World)
    relations: Relations = field(default_factory=Nobody)


@dataclass(frozen=True, kw_only=True)
class SettingMeta:
    """How one settings field is shown and spelled (swarm-models-backends 3.2, 3.3).

    `kind`: `text`, `integer`, `decimal`, `boolean`, `dropdown` or `list`; empty follows the default's Python type
    (`dropdown` when there are `values`). `name`: the wire's spelling; empty makes `OverQueue` of `over_queue`.
    """

    description: str
    kind: str = ""
    name: str = ""
    values: tuple[str, ...] | None = None
    value_names: tuple[str, ...] | None = None
    secret: bool = False
    placeholder: str = ""


def setting(
    default: Any,
    description: str,
    *,
    kind: str = "",
    name: str = "",
    values: Sequence[str] | None = None,
    value_names: Sequence[str] | None = None,
    secret: bool = False,
    placeholder: str = "",
) -> Any:
    """A field of a backend's settings dataclass: `over_queue: int = setting(1, "How many jobs may wait inside.")`."""
    meta = SettingMeta(
        description=description,
        kind=kind,
        name=name,
        values=tuple(values) if values is not None else None,
        value_names=tuple(value_names) if value_names is not None else None,
        secret=secret,
        placeholder=placeholder,
    )
    return field(default=default, metadata={"setting": meta})


@dataclass(frozen=True, kw_only=True)
class BackendType:
    """A kind of backend. `settings` is a frozen dataclass type whose fields are made with `setting(...)`.

    `standard`: shown first in the add list. `fast`: starts in no time, so it need not wait for others to start.
    `hidden`: not listed (the fake one of the tests); still usable by its id. `remote`: it is somewhere else, so once
    it has run it is tried again for ever when it does not answer.
    """

    id: str
    label: str
    description: str
    settings: type[Any]
    make: Callable[[BackendContext, Any], Backend]
    standard: bool = True
    fast: bool = False
    hidden: bool = False
    remote: bool = False
