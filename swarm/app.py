"""The composition root: builds registries, services and the ASGI app. The only file that knows everyone."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter, create_task_group, sleep
from starlette.applications import Starlette
from starlette.types import ASGIApp

from swarm import __version__
from swarm.accounts.api_keys import ApiKeys
from swarm.api.dispatch import ApiRoute, Dispatch
from swarm.api.guard import Guard
from swarm.api.hosts import machine_names
from swarm.api.openapi import openapi
from swarm.backends.dispatch import Dispatcher
from swarm.backends.idle import IdleMemory
from swarm.backends.pool import BackendPool
from swarm.backends.world import World
from swarm.base.atomic import sweep
from swarm.base.backup import is_copy_due, keep_copy
from swarm.base.hooks import Hooks
from swarm.base.logs import LogBuffer, show_level
from swarm.base.machine import Machine
from swarm.base.outgoing import Outgoing
from swarm.base.stopping import Leaving, Stopping
from swarm.base.tasks import limit_workers, to_thread
from swarm.base.watchdog import LoopWatch
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from swarm.catalog.edit import ModelEditor
from swarm.catalog.pickles import Pickles
from swarm.declarations import Declarations, collect_declarations
from swarm.devices import device_settings, old_torch
from swarm.exposure import secure
from swarm.extend.load import load_extensions
from swarm.extend.manage import ExtensionFolder
from swarm.generation.choices import Shop
from swarm.generation.hook_sender import HookSender
from swarm.generation.service import GenerationService
from swarm.generation.spine import Spine
from swarm.generation.webhooks import Webhooks
from swarm.lock import FolderLock
from swarm.outputs.history import History
from swarm.outputs.stars import Stars
from swarm.settings.languages import Languages
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings, WebHookSettings
from swarm.settings.sounds import Sounds
from swarm.settings.word_lists import WordLists
from swarm.starter import place_starter
from swarm.state import AppState, Upkeep
from swarm.stores import Files, Stores, open_stores
from swarm.web.pages import page_routes

PROGRAM = Path(__file__).resolve().parent.parent
"""The folder of the program: static files, shipped assets and first-party extensions lie beside the package."""

ENCODER_THREADS = 4
COPY_SECONDS = 24 * 3600.0
LISTING_SECONDS = 1.0
"""How long a start looks into model files it does not know; the rest is looked into while it serves."""

logger = logging.getLogger(__name__)


def extensions_dir(options: LaunchOptions) -> Path:
    return options.extensions_dir or PROGRAM / "extensions"


def make_pool(
    options: LaunchOptions, known: Declarations, settings: ServerSettings, catalog: Catalog, server_id: str
) -> BackendPool:
    return BackendPool(
        known.backend_types,
        options.backends_file,
        options.data_dir,
        options.models_dirs,
        time.time,
        settings.backends.max_backend_init_attempts,
        defaults=[("diffusers_selfstart", each) for each in device_settings()],
        world=World(
            server_id=server_id,
            version=__version__,
            params=known.params.params,
            architectures=known.architectures,
            lend=catalog.lend,
        ),
    )


def make_webhooks(options: LaunchOptions, stores: Stores) -> Webhooks:
    def settings() -> WebHookSettings:
        return stores.settings.current.web_hooks

    def address() -> str:
        host = "localhost" if options.host in ("*", "0.0.0.0", "::", "[::]") else options.host
        return stores.settings.current.network.external_url.rstrip("/") or f"http://{host}:{options.port}"

    sender = HookSender(settings, stores.deliveries, Outgoing(), time.time, version=__version__)
    return Webhooks(settings, sender, address)


def make_spine(options: LaunchOptions, known: Declarations, stores: Stores, pool: BackendPool) -> Spine:
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
        presets=stores.accounts.presets.texts,
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
        webhooks=make_webhooks(options, stores),
        encoders=CapacityLimiter(ENCODER_THREADS),
        now=datetime.now,
        clock=time.monotonic,
        random=random.Random(),
        version=__version__,
    )


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the program that runs the server gives it. `stop(restart)` ends it; None when it cannot be ended.

    `leaving`: what the program must run before it ends the server.
    """

    logs: LogBuffer
    stop: Callable[[bool], None] | None = None
    leaving: Leaving = field(default_factory=Leaving)


def make_downloads(stores: Stores) -> Downloads:
    settings = stores.settings
    return Downloads(
        stores.catalog,
        Outgoing(),
        time.monotonic,
        hosts=lambda: settings.current.network.download_hosts.split(","),
    )


def make_upkeep(options: LaunchOptions, stores: Stores, spine: Spine, logs: LogBuffer) -> Upkeep:
    problem = old_torch()
    return Upkeep(
        logs=logs,
        machine=Machine(time.time),
        pickles=Pickles(problem),
        extensions=ExtensionFolder(extensions_dir(options), lambda path: stores.trash.put([path])),
        outgoing=Outgoing(),
        webhooks=spine.webhooks,
        languages=Languages(options.data_dir / "Languages"),
        word_lists=WordLists(options.data_dir / "Autocompletions"),
        sounds=Sounds(options.data_dir / "Audio"),
        notices=(*stores.notices, *([problem] if problem else [])),
        loop_watch=LoopWatch(),
    )


def make_state(options: LaunchOptions, known: Declarations, stores: Stores, around: Surroundings) -> AppState:
    """Every service of one server, wired up. Nothing runs yet."""
    server_id = str(uuid.uuid4())
    pool = make_pool(options, known, stores.settings.current, stores.catalog, server_id)
    spine = make_spine(options, known, stores, pool)
    return AppState(
        options=options,
        settings_store=stores.settings,
        permissions=known.permissions,
        accounts=stores.accounts,
        users=stores.accounts.users,
        user_data=stores.accounts.data,
        presets=stores.accounts.presets,
        api_keys=ApiKeys(stores.accounts.data),
        sessions=stores.accounts.sessions,
        params=known.params,
        samplers=known.samplers,
        schedules=known.schedules,
        architectures=known.architectures,
        backend_types=known.backend_types,
        catalog=stores.catalog,
        editor=ModelEditor(stores.catalog, stores.trash),
        upkeep=make_upkeep(options, stores, spine, around.logs),
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
        server_id=server_id,
        stopping=Stopping(around.stop, time.time, options.require_control_within, around.leaving),
    )


def follow_settings(state: AppState) -> None:
    """Let what keeps a copy of settings hear of changes; everyone else reads `state.settings` anew each time."""

    def follow(now: ServerSettings) -> None:
        state.accounts.follow(now)
        state.outputs.append_user = now.paths.append_user_name_to_output_path
        state.outputs.max_bytes = now.paths.max_disk_bytes_per_user
        state.dispatch.timeout_seconds = now.backends.per_request_timeout_minutes * 60
        state.dispatch.load_preference = now.backends.model_load_order_preference
        state.pool.max_init_attempts = now.backends.max_backend_init_attempts
        show_level(now.logs.log_level)

    state.settings_store.on_change(follow)


def build_app(options: LaunchOptions, around: Surroundings | None = None) -> ASGIApp:
    """The ASGI application of one server. Its lifespan starts and stops everything.

    `around`: by default its own log buffer, and a server that only its program can end.

    Raises Refused when another server uses the data folder or nobody could log in, DuplicateId for a clash of ids.
    """
    with ExitStack() as opened:
        around = around or Surroundings(logs=opened.enter_context(_own_logs()))
        lock = FolderLock(options.data_dir)
        lock.acquire()
        opened.callback(lock.release)
        extensions = load_extensions(extensions_dir(options))
        known = collect_declarations([module for extension in extensions for module in extension.modules])
        files = Files.opened(options.data_dir)
        opened.callback(files.close)
        stores = open_stores(options, known, files)
        stores = replace(stores, notices=(*files.notices, *secure(options, stores.accounts, stores.settings)))
        state = make_state(options, known, stores, around)
        _plan_the_end(state, around.leaving)
        follow_settings(state)
        closing = opened.pop_all()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with closing, state.upkeep.loop_watch.watching():
            await _prepare(options, state)
            running = state.generation.running(state.users.get_or_create)
            async with state.pool.running(), state.upkeep.webhooks.running(), running, create_task_group() as watchers:
                watchers.start_soon(state.stopping.watch_control)
                watchers.start_soon(_keep_copies, options.data_dir)
                watchers.start_soon(idle_memory(state).watch)
                watchers.start_soon(_after_the_start, state)
                yield
                watchers.cancel_scope.cancel()

    app = Starlette(
        routes=[ApiRoute(Dispatch(state, known.routes)), *page_routes(state, known.pages)], lifespan=lifespan
    )
    return Guard(app, network=lambda: state.settings.network, names=machine_names(options.host))


def idle_memory(state: AppState) -> IdleMemory:
    def minutes() -> tuple[float, float]:
        backends = state.settings.backends
        return backends.clear_vram_after_minutes, backends.clear_system_ram_after_minutes

    return IdleMemory(state.pool, minutes)


def _plan_the_end(state: AppState, leaving: Leaving) -> None:
    """What comes before the end: others are told, and pictures that are being made are finished."""
    leaving.before_the_end(state.upkeep.webhooks.stopping)
    leaving.before_the_end(partial(state.generation.drain, state.options.grace_seconds))


async def _after_the_start(state: AppState) -> None:
    """What nobody has to wait for: half-written files go, models that the start has only listed are looked into."""
    # What this run writes has names of its own.
    swept = await to_thread(state.outputs.sweep) + await to_thread(sweep, state.options.data_dir)
    if swept:
        logger.info("Removed %d half-written files of an earlier run.", swept)
    while await to_thread(state.catalog.read_more):
        pass


async def _keep_copies(data_dir: Path) -> None:
    """Copy once a day what cannot be made again; the last three copies are kept."""
    while True:
        try:
            if await to_thread(is_copy_due, "swarm.db", data_dir / "Backups", time.time() - COPY_SECONDS):
                await to_thread(keep_copy, data_dir / "swarm.db", data_dir / "Backups", datetime.now())
        except OSError as error:
            logger.warning("The daily copy of the database could not be made: %s", error)
        await sleep(COPY_SECONDS / 24)


@contextmanager
def _own_logs() -> Iterator[LogBuffer]:
    """A buffer that hears the lines of this process for as long as the app is there."""
    buffer = LogBuffer()
    logging.getLogger().addHandler(buffer)
    try:
        yield buffer
    finally:
        logging.getLogger().removeHandler(buffer)


async def _prepare(options: LaunchOptions, state: AppState) -> None:
    """What comes before anything is served."""
    limit_workers()
    await to_thread(_prepare_folders, options, state)


def _prepare_folders(options: LaunchOptions, state: AppState) -> None:
    """What a start does to the disk: the starter model on the first one, models and sessions read."""
    place_starter(PROGRAM / "assets" / "starter", options.models_dirs[0], options.data_dir / "starter-placed.txt")
    state.catalog.refresh(patience=LISTING_SECONDS)
    state.wildcards.refresh()
    state.sessions.purge()
