"""The composition root: builds registries, services and the ASGI app. The only file that knows everyone."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from anyio import CapacityLimiter, create_task_group
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
from swarm.accounts.api_keys import ApiKeys
from swarm.accounts.passwords import Passwords
from swarm.accounts.presets import PresetStore
from swarm.accounts.session import SessionStore
from swarm.accounts.user import UserStore
from swarm.accounts.userdata import UserData
from swarm.api.dispatch import ApiRoute, Dispatch
from swarm.api.guard import Guard
from swarm.api.hosts import machine_names
from swarm.api.openapi import openapi
from swarm.api.route import Route
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.base.database import Database
from swarm.base.hooks import Hook, Hooks
from swarm.base.logs import LogBuffer, show_level
from swarm.base.machine import Machine
from swarm.base.outgoing import Outgoing
from swarm.base.registry import Declared, Registry, collect, declared_in
from swarm.base.stopping import Stopping
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from swarm.catalog.edit import ModelEditor
from swarm.catalog.trash import Trash
from swarm.catalog.wildcards import WildcardStore
from swarm.devices import device_settings
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.extend.load import load_extensions
from swarm.generation.choices import Shop
from swarm.generation.service import GenerationService
from swarm.generation.spine import Spine
from swarm.jobs.needs import Need
from swarm.lock import FolderLock
from swarm.outputs.history import History
from swarm.outputs.index import HistoryIndex
from swarm.outputs.places import Places
from swarm.outputs.stars import Stars
from swarm.outputs.store import OutputStore
from swarm.params.param import Param
from swarm.params.registry import ParamRegistry
from swarm.prompt.tag import PromptTag
from swarm.queue.jobs import JobStore
from swarm.settings.file import load_settings
from swarm.settings.live import SettingsStore
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

    settings: SettingsStore
    user_data: UserData
    presets: PresetStore
    users: UserStore
    sessions: SessionStore
    trash: Trash
    catalog: Catalog
    wildcards: WildcardStore
    outputs: OutputStore
    queue: JobStore


def open_stores(options: LaunchOptions, known: Declarations, files: Files) -> Stores:
    """Blocking: reads settings and migrates databases."""
    settings = load_settings(options.settings_file)
    trash = Trash(options.data_dir / "Trash", time.time)
    settings_file = None if options.lock_settings else options.settings_file
    user_data = UserData(files.promises, time.time)
    users = UserStore(
        roles=default_roles(known.permissions.values()),
        defaults=settings.default_user,
        local_id=options.user_id,
        clock=time.time,
        data=user_data,
    )
    return Stores(
        settings=SettingsStore(settings, settings_file),
        user_data=user_data,
        presets=PresetStore(files.promises),
        users=users,
        sessions=SessionStore(files.promises if options.persist else None, users, time.time),
        trash=trash,
        catalog=Catalog(options.models_dirs, known.architectures, files.index, time.time),
        wildcards=WildcardStore(options.data_dir / settings.paths.wildcards_folder, trash),
        outputs=OutputStore(
            options.output_dir,
            append_user=settings.paths.append_user_name_to_output_path,
            index=HistoryIndex(files.index),
            clock=time.time,
            places=Places(files.index, time.time),
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
    settings = stores.settings.current
    return Spine(
        settings=lambda: stores.settings.current,
        params=known.params,
        tags=known.tags,
        needs=known.needs,
        shop=Shop(
            catalog=stores.catalog,
            samplers=known.samplers,
            schedules=known.schedules,
            architectures=known.architectures,
            backend_types=known.backend_types,
            pool=pool,
            outputs=stores.outputs,
        ),
        presets=stores.presets.texts,
        catalog=stores.catalog,
        wildcards=stores.wildcards,
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


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the program that runs the server gives it. `stop(restart)` ends it; None when it cannot be ended."""

    logs: LogBuffer
    stop: Callable[[bool], None] | None = None


def make_downloads(stores: Stores) -> Downloads:
    settings = stores.settings
    return Downloads(
        stores.catalog,
        Outgoing(),
        time.monotonic,
        hosts=lambda: settings.current.network.download_hosts.split(","),
    )


def make_state(options: LaunchOptions, known: Declarations, stores: Stores, around: Surroundings) -> AppState:
    """Every service of one server, wired up. Nothing runs yet."""
    spine = make_spine(known, stores, make_pool(options, known, stores.settings.current))
    return AppState(
        options=options,
        settings_store=stores.settings,
        permissions=known.permissions,
        users=stores.users,
        user_data=stores.user_data,
        presets=stores.presets,
        api_keys=ApiKeys(stores.user_data),
        passwords=Passwords(stores.user_data, time.time),
        sessions=stores.sessions,
        params=known.params,
        samplers=known.samplers,
        schedules=known.schedules,
        architectures=known.architectures,
        backend_types=known.backend_types,
        catalog=stores.catalog,
        editor=ModelEditor(stores.catalog, stores.trash),
        downloads=make_downloads(stores),
        wildcards=stores.wildcards,
        outputs=stores.outputs,
        history=History(stores.outputs),
        stars=Stars(stores.outputs),
        queue=stores.queue,
        pool=spine.pool,
        dispatch=spine.dispatch,
        generation=GenerationService(spine),
        routes=known.routes,
        openapi=partial(openapi, known.routes, version=__version__),
        choices_for=spine.shop.for_user,
        clock=time.time,
        version=__version__,
        server_id=str(uuid.uuid4()),
        logs=around.logs,
        machine=Machine(time.time),
        stopping=Stopping(around.stop, time.time, control_minutes=options.require_control_within),
    )


def follow_settings(state: AppState) -> None:
    """Let what keeps a copy of settings hear of changes; everyone else reads `state.settings` anew each time."""

    def follow(now: ServerSettings) -> None:
        state.users.change_defaults(now.default_user)
        state.outputs.append_user = now.paths.append_user_name_to_output_path
        state.dispatch.timeout_seconds = now.backends.per_request_timeout_minutes * 60
        state.dispatch.load_preference = now.backends.model_load_order_preference
        state.pool.max_init_attempts = now.backends.max_backend_init_attempts
        show_level(now.logs.log_level)

    state.settings_store.on_change(follow)


def build_app(options: LaunchOptions, around: Surroundings | None = None) -> ASGIApp:
    """The ASGI application of one server. Its lifespan starts and stops everything.

    `around`: by default its own log buffer, and a server that only its program can end.

    Raises Refused when another server already uses the data folder, and DuplicateId for clashing declarations.
    """
    with ExitStack() as opened:
        around = around or Surroundings(logs=opened.enter_context(_own_logs()))
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
        state = make_state(options, known, open_stores(options, known, files), around)
        follow_settings(state)
        closing = opened.pop_all()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with closing:
            await to_thread(_prepare_folders, options, state)
            running = state.generation.running(state.users.get_or_create)
            async with state.pool.running(), running, create_task_group() as watchers:
                watchers.start_soon(state.stopping.watch_control)
                yield
                watchers.cancel_scope.cancel()

    app = Starlette(
        routes=[ApiRoute(Dispatch(state, known.routes)), *page_routes(state, known.pages)], lifespan=lifespan
    )
    return Guard(app, network=lambda: state.settings.network, names=machine_names(options.host))


@contextmanager
def _own_logs() -> Iterator[LogBuffer]:
    """A buffer that hears the lines of this process for as long as the app is there."""
    buffer = LogBuffer()
    logging.getLogger().addHandler(buffer)
    try:
        yield buffer
    finally:
        logging.getLogger().removeHandler(buffer)


def _prepare_folders(options: LaunchOptions, state: AppState) -> None:
    """What a start does to the disk: the starter model on the first one, leftovers swept, models and sessions read."""
    place_starter(PROGRAM / "assets" / "starter", options.models_dirs[0], options.data_dir / "starter-placed.txt")
    swept = state.outputs.sweep()
    if swept:
        logger.info("Removed %d half-written files of an earlier run.", swept)
    state.catalog.refresh()
    state.wildcards.refresh()
    state.sessions.purge()
