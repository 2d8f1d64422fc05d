"""Every declared value of the program and its extensions, collected once at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

import swarm.access
import swarm.api.routes
import swarm.architectures.families
import swarm.backends.types
import swarm.diffusion.samplers
import swarm.diffusion.schedules
import swarm.features
import swarm.prompt.tags
import swarm.web
from swarm.access.permission import Permission
from swarm.api.route import Route
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.base.hooks import Hook
from swarm.base.registry import Declared, Registry, collect, declared_in
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.jobs.needs import Need
from swarm.params.param import Param
from swarm.params.registry import ParamRegistry
from swarm.prompt.tag import PromptTag
from swarm.web.page import Page

T = TypeVar("T", bound=Declared)


@dataclass(frozen=True, kw_only=True)
class Declarations:
    """Every declared value of this program and its extensions, by kind."""

    permissions: Registry[Permission]
    params: ParamRegistry
    tags: Registry[PromptTag]
    needs: Registry[Need]
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    architectures: Registry[Architecture]
    backend_types: Registry[BackendType]
    routes: Registry[Route]
    pages: Registry[Page]
    hooks: Registry[Hook]


def collect_declarations(extensions: Sequence[ModuleType]) -> Declarations:
    """Walk the packages and the modules of extensions. Raises DuplicateId when two values claim one id."""

    def all_of(kind: type[T], *packages: ModuleType) -> Registry[T]:
        found: Registry[T] = Registry()
        for package in packages:
            found = found.joined(collect(package, kind))
        return found.joined(Registry(pair for module in extensions for pair in declared_in(module, kind)))

    return Declarations(
        permissions=all_of(Permission, swarm.access),
        params=ParamRegistry.of(all_of(Param, swarm.features)),
        tags=all_of(PromptTag, swarm.prompt.tags),
        needs=all_of(Need, swarm.features),
        samplers=all_of(Sampler, swarm.diffusion.samplers),
        schedules=all_of(Schedule, swarm.diffusion.schedules),
        architectures=all_of(Architecture, swarm.architectures.families),
        backend_types=all_of(BackendType, swarm.backends.types),
        routes=all_of(Route, swarm.api.routes),
        pages=all_of(Page, swarm.web),
        hooks=all_of(Hook),
    )
