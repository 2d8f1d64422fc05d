"""The services of one running app, in one frozen bag. Built in app.py; seen by the edge (`api`, `web`) only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarm.access.permission import Permission
from swarm.accounts.session import SessionStore
from swarm.accounts.user import User, UserStore
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.base.registry import Registry
from swarm.catalog.catalog import Catalog
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.generation.choices import ServerChoices
from swarm.generation.service import GenerationService
from swarm.outputs.history import History
from swarm.outputs.stars import Stars
from swarm.outputs.store import OutputStore
from swarm.params.registry import ParamRegistry
from swarm.queue.jobs import JobStore
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class AppState:
    """Everything a handler may use. `routes`: the registry of api.route.Route, which is a floor above, hence untyped."""

    options: LaunchOptions
    settings: ServerSettings
    permissions: Registry[Permission]
    users: UserStore
    sessions: SessionStore
    params: ParamRegistry
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    architectures: Registry[Architecture]
    backend_types: Registry[BackendType]
    catalog: Catalog
    outputs: OutputStore
    history: History
    stars: Stars
    queue: JobStore
    pool: BackendPool
    dispatch: Dispatcher
    generation: GenerationService
    routes: Any
    choices_for: Callable[[User], ServerChoices]
    clock: Callable[[], float]
    version: str
    server_id: str
