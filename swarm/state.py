"""The services of one running app, in one frozen bag. Built in app.py; seen by the edge (`api`, `web`) only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarm.access.permission import Permission
from swarm.accounts.accounts import Accounts
from swarm.accounts.api_keys import ApiKeys
from swarm.accounts.presets import PresetStore
from swarm.accounts.session import SessionStore
from swarm.accounts.user import User, UserStore
from swarm.accounts.userdata import UserData
from swarm.architectures.architecture import Architecture
from swarm.backends.backend import BackendType
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.base.json import JsonObject
from swarm.base.logs import LogBuffer
from swarm.base.machine import Machine
from swarm.base.outgoing import Outgoing
from swarm.base.registry import Registry
from swarm.base.stopping import Stopping
from swarm.base.watchdog import LoopWatch
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from swarm.catalog.edit import ModelEditor
from swarm.catalog.pickles import Pickles
from swarm.catalog.wildcards import WildcardStore
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.extend.manage import ExtensionFolder
from swarm.generation.choices import ServerChoices
from swarm.generation.service import GenerationService
from swarm.generation.webhooks import Webhooks
from swarm.outputs.history import History
from swarm.outputs.stars import Stars
from swarm.outputs.store import OutputStore
from swarm.params.registry import ParamRegistry
from swarm.queue.jobs import JobStore
from swarm.settings.languages import Languages
from swarm.settings.live import SettingsStore
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings
from swarm.settings.sounds import Sounds
from swarm.settings.word_lists import WordLists


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What those work with who look after the server. `notices`: what people should be told since the start."""

    logs: LogBuffer
    machine: Machine
    pickles: Pickles
    extensions: ExtensionFolder
    outgoing: Outgoing
    webhooks: Webhooks
    languages: Languages
    word_lists: WordLists
    sounds: Sounds
    notices: tuple[str, ...]
    loop_watch: LoopWatch


@dataclass(frozen=True, kw_only=True)
class AppState:
    """Everything a handler may use. `routes`: the registry of api.route.Route, a floor above, hence untyped.

    `openapi`: makes the reference of the API, for programs and people.
    """

    options: LaunchOptions
    settings_store: SettingsStore
    permissions: Registry[Permission]
    accounts: Accounts
    users: UserStore
    user_data: UserData
    presets: PresetStore
    api_keys: ApiKeys
    sessions: SessionStore
    params: ParamRegistry
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    architectures: Registry[Architecture]
    backend_types: Registry[BackendType]
    catalog: Catalog
    editor: ModelEditor
    upkeep: Upkeep
    downloads: Downloads
    wildcards: WildcardStore
    outputs: OutputStore
    history: History
    stars: Stars
    queue: JobStore
    pool: BackendPool
    dispatch: Dispatcher
    generation: GenerationService
    routes: Any
    openapi: Callable[[], JsonObject]
    choices_for: Callable[[User], ServerChoices]
    clock: Callable[[], float]
    version: str
    server_id: str
    stopping: Stopping

    @property
    def settings(self) -> ServerSettings:
        """The settings as they are now."""
        return self.settings_store.current
