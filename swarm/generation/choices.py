"""This server's answer to `params.choices`: models, samplers, backends and pictures, as one user may see them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from swarm.accounts.user import User
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.backends.pool import BackendPool
from swarm.base.registry import Registry
from swarm.catalog.catalog import Catalog
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.outputs.store import OutputStore


class ServerChoices:
    """Implements `params.choices.Choices` for one user."""

    def __init__(self, shop: Shop, user: User) -> None:
        self._shop = shop
        self._user = user

    def models(self, subtype: str) -> Sequence[str] | None:
        if subtype not in self._shop.catalog.sets():
            return None
        return [name for name in self._shop.catalog.names(subtype) if self._user.permits_model(name)]

    def files(self, folder: str, suffixes: Sequence[str]) -> Sequence[str]:
        return plain_files([root / folder for root in self._shop.catalog.roots], suffixes)

    def samplers(self) -> Sequence[tuple[str, str]]:
        return self._shop.sampler_options

    def schedules(self) -> Sequence[tuple[str, str]]:
        return self._shop.schedule_options

    def backend_types(self) -> Sequence[tuple[str, str]]:
        return [(kind.id, kind.label) for kind in self._shop.backend_types.values() if not kind.hidden]

    def backends(self) -> Sequence[tuple[str, str]]:
        return [(str(one.id), one.title or one.type.label) for one in self._shop.pool.instances()]

    def read_picture(self, path: str) -> tuple[bytes, str] | None:
        return self._shop.outputs.read(self._user.id, path)


class Shop:
    """What is on offer, for everyone; `for_user` narrows it down."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        samplers: Registry[Sampler],
        schedules: Registry[Schedule],
        architectures: Registry[Architecture],
        backend_types: Registry[BackendType],
        pool: BackendPool,
        outputs: OutputStore,
    ) -> None:
        self.catalog = catalog
        self.sampler_options = [(one.id, one.name) for one in sorted(samplers.values(), key=_order)]
        self.schedule_options = [(one.id, one.name) for one in sorted(schedules.values(), key=_order)]
        self.architectures = architectures
        self.backend_types = backend_types
        self.pool = pool
        self.outputs = outputs

    def for_user(self, user: User) -> ServerChoices:
        return ServerChoices(self, user)


def plain_files(folders: Sequence[Path], suffixes: Sequence[str]) -> list[str]:
    """Files anywhere below these folders that end in one of `suffixes`, by name relative to their folder, sorted."""
    names = set()
    for folder in folders:
        for place, _folders, files in os.walk(folder):
            below = Path(place).relative_to(folder)
            names |= {(below / name).as_posix() for name in files if name.lower().endswith(tuple(suffixes))}
    return sorted(names, key=str.lower)


def _order(declared: Sampler | Schedule) -> int:
    return declared.order


ChoicesFor = Callable[[User], ServerChoices]
