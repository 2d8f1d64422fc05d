"""One configured backend: what was asked of it, where it stands, who uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio

from swarm.backends.backend import Backend, BackendStatus, BackendType
from swarm.jobs.job import ModelFile


class Signal:
    """Wakes everybody who waits, each time it is fired."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def fire(self) -> None:
        self._event.set()
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()


class BackendInstance:
    """A backend of the list. Lives on the event loop; only the pool changes its status, only the dispatcher its usages.

    `last_used`: unix seconds, 0 for never. `mod_count`: how often it was edited. `boots`: how often it came up.
    `reserved`: it is about to be shut down, so no new jobs; `leaving`: and it will not come back by itself.
    `works_alone`: the job inside must have no company. `loading_model`: it is reserved for making this model current.
    `hold_until`: steady seconds until which a model that is still wanted is not swapped out. `message`: why it is
    errored or waiting again. `parent`: the backend that brought this one along; None for one of the file.
    """

    def __init__(
        self, id: int, type: BackendType, settings: Any, *, title: str, enabled: bool, backend: Backend
    ) -> None:
        self.id = id
        self.type = type
        self.settings = settings
        self.title = title
        self.enabled = enabled
        self.backend = backend
        self.status = BackendStatus.WAITING if enabled else BackendStatus.DISABLED
        self.message = ""
        self.usages = 0
        self.last_used = 0.0
        self.mod_count = 0
        self.boots = 0
        self.losses = 0
        self.up_since = 0.0
        self.reserved = False
        self.leaving = False
        self.works_alone = False
        self.loading_model: ModelFile | None = None
        self.hold_until = 0.0
        self.lock = anyio.Lock()
        self.starting: anyio.CancelScope | None = None
        self.settled = anyio.Event()
        self.parent: BackendInstance | None = None

    def __str__(self) -> str:
        return f"Backend {self.id} ({self.title or self.type.label})"

    def ancestors(self) -> Iterator[BackendInstance]:
        """Its parent, the parent of that, and so on."""
        above = self.parent
        while above is not None:
            yield above
            above = above.parent

    def used(self, now: float) -> None:
        """Work began or ended here, which is work for those above as well."""
        self.last_used = now
        for one in self.ancestors():
            one.last_used = now

    @property
    def can_load_models(self) -> bool:
        """False for one that only looks after others."""
        return bool(getattr(self.backend, "can_load_models", True))

    @property
    def may_grow(self) -> bool:
        """It can still bring a first backend along, so jobs that nobody can take wait for that."""
        return self.status is BackendStatus.RUNNING and bool(getattr(self.backend, "may_grow", False))

    @property
    def can_serve(self) -> bool:
        """It runs and takes jobs, though perhaps not right now."""
        return (
            self.status is BackendStatus.RUNNING
            and self.enabled
            and not self.reserved
            and self.backend.max_usages > 0
            and self.can_load_models
        )

    @property
    def is_free(self) -> bool:
        """It can take one more job this moment."""
        has_place = self.usages < self.backend.max_usages and not self.works_alone
        return has_place and self.can_serve and self.loading_model is None

    @property
    def is_coming(self) -> bool:
        """It cannot serve yet, but is on its way."""
        if not self.enabled or self.leaving:
            return False
        return self.reserved or self.status in (BackendStatus.WAITING, BackendStatus.LOADING)
