"""Puts the engine's parts together: device, methods, models, batcher, worker."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import diffusers
import torch
import transformers

import swarm
import swarm.architectures
import swarm.diffusion
import swarm.engine.adapters
import swarm.features
from swarm.architectures.architecture import Architecture
from swarm.base.registry import Declared, Registry, collect, declared_in
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.engine import products
from swarm.engine.attending import attention
from swarm.engine.batcher import Batcher
from swarm.engine.components import Adapter
from swarm.engine.device import Device, choose_device
from swarm.engine.loader import Families
from swarm.engine.mailbox import Mailbox
from swarm.engine.memory import Models
from swarm.engine.pipeline import WholePipelines
from swarm.engine.runner import Methods
from swarm.engine.worker import Worker
from swarm.extend.load import load_extensions
from swarm.jobs.acts import Act
from swarm.jobs.frames import Ready
from swarm.jobs.stage import Patch, StageFunction
from swarm.params.param import Param

T = TypeVar("T", bound=Declared)

FEATURES = frozenset({"folderslash"})
"""Feature flags that no parameter stands for; the others are those of the parameters that act here."""

ELSEWHERE = frozenset({"autowebui"})
"""Flags of parameters that only another kind of backend understands."""

EXTENSIONS = Path(swarm.__file__).resolve().parents[1] / "extensions"


def methods(extensions: Path = EXTENSIONS) -> Methods:
    """Samplers, schedules and stages that the program and its extensions declare."""
    modules = [module for extension in load_extensions(extensions) for module in extension.modules]

    def also(kind: type[T]) -> Registry[T]:
        return Registry(pair for module in modules for pair in declared_in(module, kind))

    return Methods(
        samplers=collect(swarm.diffusion, Sampler).joined(also(Sampler)),
        schedules=collect(swarm.diffusion, Schedule).joined(also(Schedule)),
        stages=list(collect(swarm.features, StageFunction).joined(also(StageFunction)).values()),
        acts=list(collect(swarm.features, Act).joined(also(Act)).values()),
        patches=list(collect(swarm.features, Patch).joined(also(Patch)).values()),
    )


def families(residency: str = "auto") -> Families:
    """Which adapter runs which model, and how much of it stays on the device."""
    return Families(collect(swarm.architectures, Architecture), collect(swarm.engine.adapters, Adapter), residency)


def serve(
    mailbox: Mailbox,
    *,
    gpu: int,
    dtype: str,
    together: bool,
    residency: str,
    kernel: str,
    clock: Callable[[], float],
) -> None:
    """Say that the engine is ready, then serve for ever, on this thread. `kernel`: one of attention.CHOICES."""
    be_quiet()
    device = choose_device(gpu, dtype)
    attention.use(kernel, device)
    if together:  # who runs pictures alone wants the same bits every time, and this is measured anew at every start
        products.use(device)
    known = methods()
    models = Models(device, families(residency), clock, known.patches)
    whole = WholePipelines(device, known, mailbox.cancelled, make_room=lambda: models.drop_others(None))
    batcher = Batcher(models, known, clock, together=together, film=whole.film)
    worker = Worker(mailbox, models, batcher, whole, clock, switches=together)
    mailbox.outbox.put(ready_message(device))
    with torch.inference_mode():
        worker.serve()


def ready_message(device: Device) -> Ready:
    return Ready(device=str(device.place), name=device.name, memory=device.memory, features=feature_flags())


def feature_flags() -> tuple[str, ...]:
    """What requests may demand of this engine (swarm-t2i 2.6)."""
    acting = FEATURES.union(*(param.flags for param in collect(swarm.features, Param).values()))
    return tuple(sorted(acting - ELSEWHERE))


def be_quiet() -> None:
    """The libraries' own progress bars and tables do not belong in a server's log."""
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module="transformers")
    warnings.filterwarnings("ignore", module="diffusers")
