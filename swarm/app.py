"""The composition root: builds registries, services and the ASGI app. The only file that knows everyone."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.types import ASGIApp

import swarm.access
import swarm.api.routes
import swarm.architectures.families
import swarm.backends.types
import swarm.diffusion.samplers
import swarm.diffusion.schedules
import swarm.features
import swarm.prompt.tags
import swarm.web
from swarm import __version__
from swarm.access.permission import Permission
from swarm.access.role import default_roles
from swarm.accounts.session import SessionStore
from swarm.accounts.user import UserStore
from swarm.api.dispatch import ApiRoute, Dispatch
from swarm.api.guard import Guard
from swarm.api.hosts import machine_names
from swarm.api.route import Route
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.base.database import Database
from swarm.base.hooks import Hook, Hooks
from swarm.base.registry import Declared, Registry, collect, declared_in
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.devices import device_settings
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.extend.load import load_extensions
from swarm.generation.choices import Shop
from swarm.generation.service import GenerationService
from swarm.generation.spine import Spine
from swarm.lock import FolderLock
from swarm.outputs.history import History
from swarm.outputs.index import HistoryIndex
from swarm.outputs.stars import Stars
from swarm.outputs.store import OutputStore
from swarm.params.param import Param
from swarm.params.registry import ParamRegistry
from swarm.prompt.tag import PromptTag
from swarm.queue.jobs import JobStore
from swarm.settings.file import load_settings
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings
from swarm.starter import place_starter
from swarm.state import AppState
from swarm.web.page import Page
from swarm.web.pages import page_routes

PROGRAM = Path(__file__).resolve().parent.parent
"""The folder of the program: static files, shipped assets and first-party extensions lie beside the package."""

ENCODER_THREADS = 4
T = TypeVar("T", bound=Declared)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Declarations:
    """Every declared value of this program and its extensions, by kind."""

    permissions: Registry[Permission]
    params: ParamRegistry
    tags: Registry[PromptTag]
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
        samplers=all_of(Sampler, swarm.diffusion.samplers),
        schedules=all_of(Schedule, swarm.diffusion.schedules),
        architectures=all_of(Architecture, swarm.architectures.families),
        backend_types=all_of(BackendType, swarm.backends.types),
        routes=all_of(Route, swarm.api.routes),
        pages=all_of(Page, swarm.web),
        hooks=all_of(Hook),
    )


@dataclass(frozen=True, kw_only=True)
class Files:
    """The databases of one server: `promises` fsyncs every commit, `index` can be rebuilt from what is on disk."""

    promises: Database
    index: Database

    def close(self) -> None:
        self.promises.close()
        self.index.close()


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What is kept on disk."""

    settings: ServerSettings
    users: UserStore
    sessions: SessionStore
    catalog: Catalog
    outputs: OutputStore
    queue: JobStore


def open_stores(options: LaunchOptions, known: Declarations, files: Files) -> Stores:
    """Blocking: reads settings and migrates databases."""
    settings = load_settings(options.settings_file)
    users = UserStore(
        roles=default_roles(known.permissions.values()),
        defaults=settings.default_user,
        local_id=options.user_id,
        clock=time.time,
    )
    return Stores(
        settings=settings,
        users=users,
        sessions=SessionStore(files.promises if options.persist else None, users, time.time),
        catalog=Catalog(options.models_dirs, known.architectures, files.index, time.time),
        outputs=OutputStore(
            options.output_dir,
            append_user=settings.paths.append_user_name_to_output_path,
            index=HistoryIndex(files.index),
            clock=time.time,
        ),
        queue=JobStore(files.promises, time.time),
    )


def make_pool(options: LaunchOptions, known: Declarations, settings: ServerSettings) -> BackendPool:
    return BackendPool(
        known.backend_types,
        options.backends_file,
        options.data_dir,
        options.models_dirs,
        time.time,
        settings.backends.max_backend_init_attempts,
        defaults=[("diffusers_selfstart", each) for each in device_settings()],
    )


def make_spine(known: Declarations, stores: Stores, pool: BackendPool) -> Spine:
    settings = stores.settings
    return Spine(
        settings=lambda: settings,
        params=known.params,
        tags=known.tags,
        shop=Shop(
            catalog=stores.catalog,
            samplers=known.samplers,
            schedules=known.schedules,
            architectures=known.architectures,
            backend_types=known.backend_types,
            pool=pool,
            outputs=stores.outputs,
        ),
        catalog=stores.catalog,
        outputs=stores.outputs,
        queue=stores.queue,
        pool=pool,
        dispatch=Dispatcher(
            pool,
            time.time,
            settings.backends.per_request_timeout_minutes,
            settings.backends.model_load_order_preference,
        ),
        hooks=Hooks(known.hooks.values()),
        encoders=CapacityLimiter(ENCODER_THREADS),
        now=datetime.now,
        clock=time.monotonic,
        random=random.Random(),
        version=__version__,
    )


def make_state(options: LaunchOptions, known: Declarations, stores: Stores) -> AppState:
    """Every service of one server, wired up. Nothing runs yet."""
    spine = make_spine(known, stores, make_pool(options, known, stores.settings))
    return AppState(
        options=options,
        settings=stores.settings,
        permissions=known.permissions,
        users=stores.users,
        sessions=stores.sessions,
        params=known.params,
        samplers=known.samplers,
        schedules=known.schedules,
        architectures=known.architectures,
        backend_types=known.backend_types,
        catalog=stores.catalog,
        outputs=stores.outputs,
        history=History(stores.outputs),
        stars=Stars(stores.outputs),
        queue=stores.queue,
        pool=spine.pool,
        dispatch=spine.dispatch,
        generation=GenerationService(spine),
        routes=known.routes,
        choices_for=spine.shop.for_user,
        clock=time.time,
        version=__version__,
        server_id=str(uuid.uuid4()),
    )


def build_app(options: LaunchOptions) -> ASGIApp:
    """The ASGI application of one server. Its lifespan starts and stops everything.

    Raises Refused when another server already uses the data folder, and DuplicateId for clashing declarations.
    """
    with ExitStack() as opened:
        lock = FolderLock(options.data_dir)
        lock.acquire()
        opened.callback(lock.release)
        extensions = load_extensions(PROGRAM / "extensions")
        known = collect_declarations([module for extension in extensions for module in extension.modules])
        files = Files(
            promises=Database(options.data_dir / "swarm.db", durable=True),
            index=Database(options.data_dir / "index.db", durable=False),
        )
        opened.callback(files.close)
        state = make_state(options, known, open_stores(options, known, files))
        closing = opened.pop_all()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with closing:
            await to_thread(_prepare_folders, options, state)
            async with state.pool.running(), state.generation.running(state.users.get_or_create):
                yield

    app = Starlette(
        routes=[ApiRoute(Dispatch(state, known.routes)), *page_routes(state, known.pages)], lifespan=lifespan
    )
    return Guard(app, network=lambda: state.settings.network, names=machine_names(options.host))


def _prepare_folders(options: LaunchOptions, state: AppState) -> None:
    """What a start does to the disk: the starter model on the first one, leftovers swept, models and sessions read."""
    place_starter(PROGRAM / "assets" / "starter", options.models_dirs[0], options.data_dir / "starter-placed.txt")
    swept = state.outputs.sweep()
    if swept:
        logger.info("Removed %d half-written files of an earlier run.", swept)
    state.catalog.refresh()
    state.sessions.purge()
