"""The collaborators of the spine, handed from app.py to everything in `generation`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from anyio import CapacityLimiter

from swarm.accounts.presets import PresetTexts
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.base.hooks import Hooks
from swarm.base.registry import Registry
from swarm.catalog.catalog import Catalog
from swarm.generation.choices import Shop
from swarm.generation.slots import Slots
from swarm.generation.webhooks import Webhooks
from swarm.jobs.needs import Need
from swarm.outputs.store import OutputStore
from swarm.params.registry import ParamRegistry
from swarm.prompt.tag import PromptTag, Wildcards
from swarm.queue.jobs import JobStore
from swarm.settings.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class Spine:
    """Services the spine works with. `now`: local time. `clock`: seconds, for durations. `random`: makes seeds.

    `presets`: the parameter texts of a user's presets by lower-case title; must not block.
    """

    settings: Callable[[], ServerSettings]
    params: ParamRegistry
    tags: Registry[PromptTag]
    needs: Registry[Need]
    shop: Shop
    presets: PresetTexts
    catalog: Catalog
    wildcards: Wildcards
    outputs: OutputStore
    queue: JobStore
    pool: BackendPool
    dispatch: Dispatcher
    hooks: Hooks
    webhooks: Webhooks
    encoders: CapacityLimiter
    now: Callable[[], datetime]
    clock: Callable[[], float]
    random: Random
    version: str
    slots: Slots = field(default_factory=Slots)
